"""`dataops kafka`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from heapq import nlargest
from itertools import compress
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataops_core.cli.invocation import Chosen, Invocation, TyperContext
from dataops_core.cli.options import HELP, KafkaOption, RowOutput, RowsOption
from dataops_core.cli.subjects import schema, subjects
from dataops_core.cli.terminal import Exit, say
from dataops_core.errors import ConfigError

if TYPE_CHECKING:
    from dataops_core.systems.kafka.client import KafkaClient
    from dataops_core.systems.kafka.model import Topic
    from dataops_core.systems.kafka.records import Record
    from dataops_core.systems.kafka.schema_registry import SchemaRegistry
    from dataops_core.values import Columns

LIMIT = 10
"""Default number of records."""
TOPIC_COLUMNS = (
    ("topic", "varchar"),
    ("partitions", "integer"),
    ("replicas", "integer"),
    ("under_replicated", "integer"),
    ("offline", "integer"),
    ("records", "bigint"),
    ("newest", "timestamp"),
    ("error", "varchar"),
)
GROUP_COLUMNS = (
    ("group", "varchar"),
    ("state", "varchar"),
    ("members", "integer"),
    ("lag", "bigint"),
    ("lag_seconds", "double"),
    ("topics", "varchar"),
    ("note", "varchar"),
    ("error", "varchar"),
)
LAG_COLUMNS = (
    ("topic", "varchar"),
    ("partition", "integer"),
    ("committed", "bigint"),
    ("end", "bigint"),
    ("lag", "bigint"),
    ("lag_seconds", "double"),
    ("note", "varchar"),
)
RECORD_COLUMNS = (
    ("time", "timestamp"),
    ("partition", "integer"),
    ("offset", "bigint"),
    ("key", "varchar"),
    ("headers", "varchar"),
    ("kind", "varchar"),
    ("schema_id", "integer"),
    ("size", "bigint"),
    ("value", "varchar"),
    ("error", "varchar"),
)
SHOWN = ("time", "partition", "offset", "key", "value")
"""Columns in the table format; the other formats have all columns."""


app = typer.Typer(rich_markup_mode=None, context_settings=HELP, help="Kafka's topics, groups and records.")


@app.command("topics")
def topics(
    context: TyperContext,
    wanted: Annotated[
        str | None, typer.Option("--filter", metavar="REGEX", help="Only topics whose name matches.")
    ] = None,
    component: KafkaOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """List topics with partitions, replicas, out-of-sync partitions, records, and the time of the newest record.

    Example: dataops kafka topics --filter '^orders'

    Exit codes: 0 done, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    return _list_topics(context.obj, component, wanted, output.value)


@app.command("groups")
def groups(
    context: TyperContext,
    group: Annotated[str | None, typer.Argument(metavar="GROUP", help="Default: all.")] = None,
    component: KafkaOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """List consumer groups with their lag; for a named group, each partition with a committed offset.

    lag_seconds is the age of the oldest unread record, by its timestamp.

    Example: dataops kafka groups billing -o json

    Exit codes: 0 done, 1 no such group, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    if group is None:
        return _list_groups(context.obj, component, output.value)
    return _show_group(context.obj, component, group, output.value)


app.command("subjects")(subjects)
app.command("schema")(schema)


@app.command("peek")
def peek(
    context: TyperContext,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic.")],
    partition: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only this partition.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="START",
            help="An offset, 2h, 30m or 3d ago, an ISO time, beginning, end, or tail N of each partition.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of records. Default: 10, unlimited with --follow.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue with new records until ctrl+c.")] = False,
    component: KafkaOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """Read a topic's records, decoded: JSON, text, hex, Avro or Protobuf by the schema registry. Nothing is committed.

    Without --from: the newest records of all partitions by time, or with --follow only new records. With --from: the
    first records from there. Long keys and values are truncated; size is their full length.

    Example: dataops kafka peek orders --from 2h --limit 5

    Exit codes: 0 done, 1 no such topic or partition, 2 wrong use or settings, 3 no connection, 4 timed out,
    130 interrupted.
    """
    return _peek(
        context.obj, component, topic, partition=partition, start=start, limit=limit, follow=follow, output=output.value
    )


def _list_topics(invocation: Invocation, component: str | None, wanted: str | None, output: str) -> int:
    """Write all topics, or those whose name matches a regular expression."""
    from dataops_core.cli.listing import name_pattern, say_unreadable, write_rows
    from dataops_core.systems.kafka import cluster

    pattern = name_pattern(wanted)
    topics = cluster.topics(_client(invocation, component))
    results = list(compress(topics, pattern.matches([topic.name for topic in topics])))
    write_rows(output, TOPIC_COLUMNS, [_topic(topic) for topic in results])
    say_unreadable(results, "topics")
    return Exit.OK


def _topic(topic: Topic) -> tuple[Any, ...]:
    if topic.error is not None:
        return (topic.name, *[None] * (len(TOPIC_COLUMNS) - 2), topic.error)
    return (
        topic.name,
        len(topic.partitions),
        max((len(p.replicas) for p in topic.partitions), default=0),
        len(topic.under_replicated),
        len(topic.offline),
        topic.records,
        topic.newest,
        topic.unreadable,
    )


def _list_groups(invocation: Invocation, component: str | None, output: str) -> int:
    """Write all consumer groups."""
    from dataops_core.cli.listing import listed, say_unreadable, write_rows
    from dataops_core.systems.kafka import cluster

    result = cluster.groups(_client(invocation, component))
    rows = [
        (
            group.name,
            group.state.lower() if group.state is not None else None,
            len(group.members) if group.members is not None else None,
            group.lag,
            _rounded(group.lag_seconds),
            listed(group.topics, output),
            "; ".join(group.notes) or None,
            group.unreadable,
        )
        for group in result
    ]
    write_rows(output, GROUP_COLUMNS, rows)
    say_unreadable(result, "consumer groups")
    return Exit.OK


def _show_group(invocation: Invocation, component: str | None, name: str, output: str) -> int:
    """Write the committed offset and the lag of a consumer group in each partition with a commit."""
    from dataops_core.cli.listing import write_rows
    from dataops_core.systems.kafka import cluster
    from dataops_core.units import count

    group = cluster.group(_client(invocation, component), name)
    lags = group.lags or ()
    rows = [(at.topic, at.partition, at.committed, at.high, at.lag, _rounded(at.lag_seconds), at.note) for at in lags]
    write_rows(output, LAG_COLUMNS, rows)
    lag = "lag unknown" if lags else "no commit on a partition that can be read"
    if group.lag is not None:
        lag = f"lag {count(group.lag)}"
    state = (group.state or "unknown").lower()
    say(f"{name}: {state}, members: {len(group.members or ())}, {lag}")
    return Exit.OK


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _peek(
    invocation: Invocation,
    component: str | None,
    topic: str,
    *,
    partition: int | None,
    start: str | None,
    limit: int | None,
    follow: bool,
    output: str,
) -> int:
    """Write records of a topic as they arrive, without committing offsets.

    Without `start`, these are the newest records, or with `follow` only new ones.
    """
    from dataops_core.cli.listing import rows_writer
    from dataops_core.systems.kafka import records as kafka_peek
    from dataops_core.systems.kafka.records import Start, parse_start

    chosen = invocation.chosen()
    name = chosen.component("kafka", "Kafka", component)
    number = limit or LIMIT
    begin = parse_start(start, datetime.now(UTC)) if start is not None else Start(tail=0 if follow else number)
    reading = kafka_peek.peek(
        chosen.clients.need("kafka", name),
        topic,
        begin,
        Event(),
        registry=_registry(chosen, name),
        partition=partition,
        follow=follow,
    )
    columns = [column for column in RECORD_COLUMNS if output != "table" or column[0] in SHOWN]
    out = rows_writer(output)
    reasons: set[str] = set()
    with closing(reading):
        batches: Iterator[list[Record]] = (records for records, _ in reading)
        if start is None and not follow:
            batches = iter([_newest(batches, number)])
        elif limit is not None or not follow:
            batches = _first(batches, number)
        try:
            for records in batches:
                if records:
                    out.rows(columns, [_row(record, columns) for record in records])
                    _say_undecoded(records, reasons)
        except KeyboardInterrupt:
            out.end(columns)
            return Exit.INTERRUPTED
    out.end(columns)
    return Exit.OK


def _newest(batches: Iterator[list[Record]], number: int) -> list[Record]:
    """Return the newest records of all partitions, oldest first."""
    result = nlargest(number, (record for records in batches for record in records), key=_age)
    return sorted(result, key=_age)


def _age(record: Record) -> tuple[float, int, int]:
    from dataops_core.times import seconds

    return (seconds(record.time) if record.time is not None else 0.0, record.partition, record.offset)


def _first(batches: Iterator[list[Record]], number: int) -> Iterator[list[Record]]:
    """Yield a number of records, and read no more."""
    for records in batches:
        yield records[:number]
        number -= len(records)
        if number <= 0:
            return


def _row(record: Record, columns: Columns) -> tuple[Any, ...]:
    from dataops_core.systems.kafka.records import as_dict

    about = as_dict(record)
    if record.unreadable is not None and columns[-1][0] == "value":  # a table has no column for the error
        about["value"] = f"cannot be read: {record.unreadable}"
    return tuple(about[name] for name, _ in columns)


def _say_undecoded(records: list[Record], reported: set[str]) -> None:
    for record in records:
        for decoded in (record.decoded_key, record.decoded):
            if decoded is not None and decoded.reason is not None and decoded.reason not in reported:
                reported.add(decoded.reason)
                say(f"dataops: not decoded: {decoded.reason}")


def _client(invocation: Invocation, component: str | None) -> KafkaClient:
    chosen = invocation.chosen()
    client: KafkaClient = chosen.clients.need("kafka", chosen.component("kafka", "Kafka", component))
    return client


def _registry(chosen: Chosen, kafka: str) -> SchemaRegistry | None:
    """Return a cluster's schema registry; `None` if the context has none, or several and the cluster names none."""
    from dataops_core.config.check import no_such
    from dataops_core.systems.kafka.settings import KafkaSettings

    wanted = chosen.context.of(KafkaSettings)[kafka].schema_registry
    known = chosen.components("schema_registry")
    if wanted is not None and wanted not in known:
        raise ConfigError(f"kafka {kafka}: {no_such('schema registry', wanted, known)}")
    if wanted is None and len(known) > 1 and "schema_registry" not in known:
        names = ", ".join(known)
        say(
            f"dataops: no schemas used: the context has several schema registries ({names})."
            f" Set schema_registry of {kafka}."
        )
    registry: SchemaRegistry | None = chosen.clients.get("schema_registry", wanted)
    return registry
