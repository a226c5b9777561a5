"""The canary: send a test record through a pipeline, and measure when it arrives at each hop."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from string import Template
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from dataops_core.config import CanaryHop, CanarySettings, PipelineSettings, StageSettings
from dataops_core.errors import ClientError, ConfigError
from dataops_core.health.as_json import plain
from dataops_core.systems.clients import prepare
from dataops_core.version import version

if TYPE_CHECKING:
    from dataops_core.systems.clients import Clients
    from dataops_core.systems.kafka.model import Sent
    from dataops_core.systems.trino.client import TrinoClient

POLL = 0.5
"""Seconds between two polls of a hop: a measured time may be too high by this plus one response time."""
GRACE = 10.0
"""Seconds to poll the other hops after the canary arrived at the last one, before they count as skipped."""
TRINO_SECONDS = 20.0
"""Timeout of a query in Trino."""
SCHEMA_VERSION = 1
"""Version of the JSON; increased when a field changes its meaning or is removed."""


class Outcome(StrEnum):
    """The result of a canary at one hop."""

    SEEN = "seen"
    LATE = "late"
    """Arrived later than `late_after`."""
    SKIPPED = "skipped"
    """Not arrived, although it arrived at a hop further downstream."""
    MISSING = "missing"
    """Not arrived before the timeout."""
    UNKNOWN = "unknown"
    """Unknown, because the component of the hop does not respond."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A test record.

    Attributes:
        id: Unique id; begins with the mark.
        fields: Values of `$id` and `$now` in the conditions that detect it.
    """

    id: str
    topic: str
    key: str
    value: str
    fields: dict[str, str]

    @classmethod
    def make(cls, settings: CanarySettings, now: datetime) -> Canary:
        """Return a canary with a new id."""
        canary_id = settings.mark + uuid.uuid4().hex[:12]
        at = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"id": canary_id, "now": at}
        key, value = (Template(text).substitute(fields) for text in (settings.key, settings.value))
        return cls(canary_id, settings.topic, key, value, fields)


IsPresent = Callable[["Sent"], bool]
"""Returns whether the sent record has arrived; raises ClientError."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A hop at which to detect a canary.

    Attributes:
        late_after: Seconds after the previous hop from which the canary is late; `None` for never.
    """

    name: str
    is_present: IsPresent
    late_after: float | None


@dataclass(frozen=True, slots=True)
class HopResult:
    """The result of a canary at one hop.

    Attributes:
        after: Seconds from its arrival in the topic to its arrival at this hop; `None` if it did not arrive.
        took: Seconds since its arrival at the previous hops; for the topic, the duration of sending.
        error: Why the outcome is unknown.
    """

    hop: str
    outcome: Outcome
    after: float | None = None
    took: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """The results of a canary in a pipeline.

    Attributes:
        id: Id of the canary.
        passages: The result of the topic first, then that of each hop.
    """

    pipeline: str
    id: str
    topic: str
    partition: int
    offset: int
    sent_at: datetime
    passages: tuple[HopResult, ...]


def hops_of(pipeline: PipelineSettings, settings: CanarySettings, canary: Canary, clients: Clients) -> list[Hop]:
    """Return the hops of a canary; raises ConfigError if a component is not configured."""
    stages = {stage.name: stage for stage in pipeline.stages}
    return [_hop(hop, stages.get(hop.stage or ""), canary, clients) for hop in settings.hops]


def _hop(hop: CanaryHop, stage: StageSettings | None, canary: Canary, clients: Clients) -> Hop:
    where = Template(hop.where or "").substitute(canary.fields)
    if stage is None:
        statement = f"SELECT 1 FROM {hop.relation} WHERE {where} LIMIT 1"
        return Hop(hop.name, _in_relation(clients.need("trino", hop.on), statement), hop.late_after)
    kind = clients.registry.stage_kind(stage.kind)
    prepare(kind)  # import before the record is sent, so that no hop's time includes it
    if kind is None or kind.find_canary is None:
        raise ConfigError(f"a canary cannot be detected in {hop.name}")
    return Hop(hop.name, kind.find_canary(stage, clients, where), hop.late_after or stage.lag_ok)


def _in_relation(client: TrinoClient, statement: str) -> IsPresent:
    return lambda _: bool(client.fetch(statement, TRINO_SECONDS))


def follow(
    hops: Sequence[Hop],
    sent: Sent,
    sending: float,
    timeout: float,
    on_arrival: Callable[[str, float], None] = lambda _hop, _after: None,
    grace: float = GRACE,
) -> tuple[HopResult, ...]:
    """Poll all hops in parallel until the canary arrives at the last one, and return the results.

    A hop that does not respond does not delay the others.

    Args:
        hops: The hops, upstream first.
        sent: Topic, partition and offset of the record.
        sending: Seconds that sending took.
        timeout: Seconds after which polling stops.
        on_arrival: Called with the name of a hop and its seconds, in the order of arrival.
        grace: Seconds to poll the other hops after the arrival at the last hop.

    Returns:
        The result of the topic, and that of each hop.
    """
    began = time.monotonic()
    results = [HopResult(sent.topic, Outcome.SEEN, 0.0, sending)]
    stop = Event()
    watches = [_Watch(hop, sent, began, stop) for hop in hops]
    pending = list(watches)
    end = began + timeout
    try:
        while pending and time.monotonic() < end:
            stop.wait(0.05)
            for watch in [watch for watch in pending if watch.after is not None]:
                pending.remove(watch)
                on_arrival(watch.hop.name, watch.after or 0.0)
            last = watches[-1].after
            if last is not None:
                end = min(end, began + last + grace)
    finally:
        stop.set()
    for index, watch in enumerate(watches):
        further = any(later.after is not None for later in watches[index + 1 :])
        results.append(_result(watch, max(result.after or 0.0 for result in results), further=further))
    return tuple(results)


class _Watch:
    """Polls one hop in a thread."""

    def __init__(self, hop: Hop, sent: Sent, began: float, stop: Event) -> None:
        self.hop = hop
        self.after: float | None = None
        self.error: str | None = "no response yet"
        self._sent, self._began, self._stop = sent, began, stop
        Thread(target=self._run, name=f"canary {hop.name}", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self.hop.is_present(self._sent):
                    self.after = time.monotonic() - self._began
                    return
                self.error = None
            except ClientError as error:
                self.error = str(error)
            self._stop.wait(POLL)


def _result(watch: _Watch, before: float, *, further: bool) -> HopResult:
    hop, after, error = watch.hop, watch.after, watch.error
    if after is None:
        outcome = Outcome.UNKNOWN if error else Outcome.SKIPPED if further else Outcome.MISSING
        return HopResult(hop.name, outcome, error=error)
    took = max(0.0, after - before)
    late = hop.late_after is not None and took > hop.late_after
    return HopResult(hop.name, Outcome.LATE if late else Outcome.SEEN, after, took)


def as_dict(journey: Journey) -> dict[str, Any]:
    """Return a journey as JSON-ready data, as docs/canary.md describes it."""
    values = {field.name: plain(getattr(journey, field.name)) for field in fields(journey)}
    return {"schema_version": SCHEMA_VERSION, "version": version(), **values}
