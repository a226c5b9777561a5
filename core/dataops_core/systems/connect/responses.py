"""Read the responses of Kafka Connect's REST API as typed values. A wrong type makes a response invalid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dataops_core.bounded import Malformed
from dataops_core.reasons import line
from dataops_core.redaction import redacted
from dataops_core.times import known, moment
from dataops_core.transport.fields import Fields

STATES = ("RUNNING", "FAILED", "PAUSED", "STOPPED", "UNASSIGNED", "RESTARTING", "DESTROYED")
"""States of connectors and tasks."""
CAUSED = "Caused by: "
DEFAULT_SLOT, DEFAULT_HEARTBEAT = "debezium", "__debezium-heartbeat"
"""Debezium's defaults."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a connector.

    Attributes:
        cause: The innermost cause of its trace, without secrets.
    """

    number: int
    state: str
    worker: str
    cause: str | None


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector and its tasks.

    Attributes:
        kind: `source` or `sink`; `None` if Connect does not report it.
        cause: As in `Task`.
    """

    name: str
    kind: str | None
    state: str
    worker: str
    cause: str | None
    tasks: tuple[Task, ...]

    @property
    def first_cause(self) -> str | None:
        """The cause of the connector's own failure, else of its first task that has one."""
        causes = (self.cause, *(task.cause for task in self.tasks))
        return next((cause for cause in causes if cause is not None), None)

    def of_state(self, *states: str) -> tuple[Task, ...]:
        """Return the tasks that are in one of these states."""
        return tuple(task for task in self.tasks if task.state in states)


@dataclass(frozen=True, slots=True)
class Config:
    """The checked keys of a connector's configuration. The other keys may be secret and are not kept.

    Attributes:
        tables: Iceberg tables that it writes.
        errors_tolerated: Whether records that fail are dropped without a dead letter queue.
        slot: Replication slot of a Debezium source of PostgreSQL.
        heartbeat_topic: Topic of a Debezium source's heartbeats; `None` if heartbeats are off.
        heartbeat_interval: Seconds between two heartbeats.
    """

    connector_class: str
    tables: tuple[str, ...]
    errors_tolerated: bool
    group: str | None
    slot: str | None = None
    heartbeat_topic: str | None = None
    heartbeat_interval: float | None = None


def read_version(answer: object) -> str:
    """Return the version of `/`."""
    fields = Fields(answer)
    fields.require_text("kafka_cluster_id")  # otherwise any service with a version would be accepted
    return fields.require_text("version")


def read_connectors(answer: object) -> tuple[Connector, ...]:
    """Return the connectors of `/connectors?expand=status`, sorted by name."""
    fields = Fields(answer)
    if not isinstance(answer, Mapping):
        raise Malformed("is not an object")
    return tuple(read_connector(fields.require_inner(name).require_inner("status")) for name in sorted(answer))


def read_connector(fields: Fields) -> Connector:
    """Return the connector of `/connectors/NAME/status`."""
    own = fields.require_inner("connector")
    return Connector(
        name=fields.require_text("name"),
        kind=kind if (kind := fields.text("type")) in ("source", "sink") else None,
        state=_state(own),
        worker=own.text("worker_id") or "",
        cause=_cause(own),
        tasks=tuple(
            Task(task.require_count("id"), _state(task), task.text("worker_id") or "", _cause(task))
            for task in fields.require_objects("tasks")
        ),
    )


def read_topics(answer: object, name: str) -> tuple[str, ...]:
    """Return the topics of `/connectors/NAME/topics`."""
    fields = Fields(answer).require_inner(name)
    fields.require_list("topics")
    return tuple(sorted(fields.texts("topics")))


def read_config(answer: object) -> Config:
    """Return the checked keys of `/connectors/NAME/config`."""
    fields = Fields(answer)
    tables = (fields.text("iceberg.tables") or "").split(",")
    tolerated = fields.text("errors.tolerance") == "all" and not fields.text("errors.deadletterqueue.topic.name")
    name = fields.require_text("connector.class")
    debezium = name.startswith("io.debezium.")
    topic, interval = _heartbeat(fields) if debezium else (None, None)
    return Config(
        connector_class=name.rpartition(".")[2],
        tables=tuple(table.strip() for table in tables if table.strip()),
        errors_tolerated=tolerated,
        group=fields.text("consumer.override.group.id"),
        slot=(fields.text("slot.name") or DEFAULT_SLOT) if debezium and name.endswith("PostgresConnector") else None,
        heartbeat_topic=topic,
        heartbeat_interval=interval,
    )


def _heartbeat(fields: Fields) -> tuple[str | None, float | None]:
    """Return the topic and the interval in seconds of a source's heartbeats; `None` if heartbeats are off."""
    text, topics = fields.text("heartbeat.interval.ms") or "", fields.text("topic.prefix")
    interval = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
    if not interval or topics is None:
        return None, None
    return f"{fields.text('topic.heartbeat.prefix') or DEFAULT_HEARTBEAT}.{topics}", interval / 1000


def read_source_time(answer: object) -> datetime | None:
    """Return the source time that a source connector has read up to, from `/connectors/NAME/offsets`.

    Debezium writes it as `ts_usec` into the offset of each partition; other connectors write no time.
    """
    stamps = [each.inner("offset").count("ts_usec") for each in Fields(answer).require_objects("offsets")]
    times = [known(moment(stamp, "us")) for stamp in stamps if stamp is not None]
    found_times = [at for at in times if at is not None]
    return min(found_times) if found_times and len(found_times) == len(stamps) else None


def _state(fields: Fields) -> str:
    state = fields.require_text("state")
    if state not in STATES:
        raise Malformed("has a connector or task in an unknown state")
    return state


def _cause(fields: Fields) -> str | None:
    trace = fields.text("trace")
    if trace is None or not trace.strip():
        return None
    lines = [each.strip() for each in trace.splitlines() if each.strip()]
    causes = [each.removeprefix(CAUSED) for each in lines if each.startswith(CAUSED)]
    return redacted(line(causes[-1] if causes else lines[0]), strict=True)
