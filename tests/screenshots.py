"""`make screenshots`: a picture of each place of the console, drawn from made-up data at a fixed time.

No service is asked: the clients are those that the console's tests use. The clock stands still, so that figures
of age do not change. Their files are not the same bytes each time.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from threading import Event
from typing import Any, Self
from unittest import mock

from tests import orders
from tests.console.conftest import Console, FakeQuery, looking
from tests.consumer_groups import consumer_group
from tests.screen import shown, until_shown
from tests.settings import ContextSettings
from textual.pilot import Pilot
from textual.widgets import Input

from dataops_core.actions.audit import AuditLog
from dataops_core.health.model import HealthSnapshot
from dataops_core.json_text import dumps
from dataops_core.systems.airflow.responses import Dag, DagRun
from dataops_core.systems.clients import Clients
from dataops_core.systems.connect.responses import Connector, Task
from dataops_core.systems.iceberg import inspect as iceberg_inspect
from dataops_core.systems.iceberg.inspect import TableSummary
from dataops_core.systems.kafka import cluster as kafka_cluster
from dataops_core.systems.kafka import records as kafka_peek
from dataops_core.systems.kafka import subjects as kafka_subjects
from dataops_core.systems.kafka.model import ConsumerGroup, GroupLag, Partition, Topic
from dataops_core.systems.kafka.records import Record
from dataops_core.systems.kafka.schema_registry import Decoded
from dataops_core.systems.kafka.schema_registry import Reference as SchemaReference
from dataops_core.systems.kafka.subjects import Subject, SubjectSchema
from dataops_core.systems.trino.responses import ServerQuery

FOLDER = Path(__file__).parents[1] / "docs/images/console"
SIZE = (120, 32)
NOW = datetime(2026, 1, 5, 3, 20, 0, tzinfo=UTC)


class StandingClock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(NOW.timestamp(), tz)


def ago(seconds: float) -> datetime:
    """Return a time before the one at which the pictures are drawn."""
    return NOW - timedelta(seconds=seconds)


@dataclass(frozen=True)
class Shot:
    """One picture.

    Attributes:
        keys: What is pressed after the start.
        wait: What the screen shows then.
        after: What is pressed after that, before the picture is taken.
    """

    keys: Sequence[str]
    wait: str
    after: Sequence[str] = ()


def command(typed: str) -> tuple[str, ...]:
    """Return the keys that go to a place."""
    names = {" ": "space", "*": "asterisk", "_": "underscore", ".": "full_stop"}
    return ("f2", *(names.get(c, c) for c in typed), "enter")


SHOTS: Mapping[str, Shot] = {
    "pipelines": Shot((), "is stuck"),
    "stage": Shot(("enter",), "lag (records)"),
    "kafka": Shot(command("kafka"), "payments"),
    "peek": Shot(command("peek orders"), "schema 7", ("j",)),
    "groups": Shot(command("groups"), "billing"),
    "subjects": Shot(command("subjects"), "payments-value", ("j",)),
    "schema": Shot(command("subjects"), "payments-value", ("j", "enter")),
    "dags": Shot(command("dags"), "reconcile", ("j",)),
    "connect": Shot(command("connect"), "orders-sink", ("j",)),
    "tables": Shot(command("tables"), "gold.revenue"),
    "sql": Shot(command("sql SELECT * FROM revenue"), "3 rows in", ("f6",)),
    "queries": Shot(command("queries"), "queued in"),
    "alerts": Shot(command("alerts"), "land/stuck"),
    "events": Shot(command("events"), "stuck"),
    "xray": Shot(command("xray"), "└─ view"),
    "audit": Shot(command("audit"), "chain of"),
    "command": Shot(("colon", "p"), "pipelines"),
    "help": Shot(("question_mark",), "Active keys"),
}


def topics(client: object) -> tuple[Topic, ...]:
    def partition(number: int, high: int, newest: float, isr: tuple[int, ...] = (1, 2, 3)) -> Partition:
        return Partition(number, 0, high, ago(newest), 1 + number % 3, (1, 2, 3), isr)

    return (
        Topic("orders", tuple(partition(n, 410_000 + 37 * n, 1 + n) for n in range(6))),
        Topic("payments", tuple(partition(n, 220_000 + 11 * n, 2 + n) for n in range(6))),
        Topic("refunds", (partition(0, 1_204, 340), partition(1, 1_187, 61, isr=(1, 3)))),
        Topic("shipments", tuple(partition(n, 98_000 + 5 * n, 4 + n) for n in range(3))),
        Topic("__consumer_offsets", tuple(partition(n, 12_000 + n, 1) for n in range(3))),
    )


def groups(client: object) -> tuple[ConsumerGroup, ...]:
    return (
        consumer_group(
            "billing",
            "STABLE",
            3,
            tuple(GroupLag("payments", n, 220_000, 220_000 + 11 * n, waits=n / 5) for n in range(6)),
        ),
        consumer_group(
            "fraud",
            "STABLE",
            6,
            tuple(GroupLag("orders", n, 410_000, 410_000 + 37 * n, waits=n / 4) for n in range(6)),
        ),
        consumer_group(
            "mailer",
            "EMPTY",
            0,
            (GroupLag("refunds", 0, 1_000, 1_204, waits=7_410.0), GroupLag("refunds", 1, 1_000, 1_187, waits=7_385.0)),
        ),
    )


def subjects(registry: object) -> list[Subject]:
    where = "schema registry http://registry"
    return [
        Subject("customer", 2, "PROTOBUF", 11, "BACKWARD", inherited=True),
        Subject("orders-value", 4, "AVRO", 7, "FULL", inherited=False),
        Subject("payments-value", 1, "JSON", 9, "BACKWARD", inherited=True),
        Subject("refunds-value", compatibility="BACKWARD", inherited=True, unreadable=f"{where}: HTTP 500"),
        Subject("shipments-value", 12, "AVRO", 1042, "NONE", inherited=False),
    ]


def subject_schema(registry: object, name: str, version: int | None = None) -> SubjectSchema:
    (subject,) = (each for each in subjects(registry) if each.name == name)
    fields = [("id", "long"), ("customer", "shop.Customer"), ("total", "string"), ("items", "int")]
    record = {"type": "record", "name": "Order", "namespace": "shop"}
    parts = [{"name": field, "type": kind} for field, kind in fields]
    text = dumps({**record, "fields": parts}, indent=2)
    return SubjectSchema(subject, text, (SchemaReference("shop.Customer", "customers-value", 2),))


class FakeConnect:
    """Answers from memory."""

    target = "http://connect"

    def connectors(self) -> tuple[Connector, ...]:
        cause = "org.apache.iceberg.exceptions.RESTException: Error occurred while processing GET request"
        up, down = Task(0, "RUNNING", "connect-1:8083", None), Task(1, "FAILED", "connect-2:8083", cause)
        return (
            Connector("customers-source", "source", "PAUSED", "connect-1:8083", None, (replace(up, state="PAUSED"),)),
            Connector("orders-sink", "sink", "RUNNING", "connect-1:8083", None, (up, down)),
            Connector("orders-source", "source", "RUNNING", "connect-2:8083", None, (up,)),
            Connector("refunds-source", "source", "RUNNING", "connect-2:8083", None, ()),
        )


def peek(
    client: object,
    name: str,
    start: object,
    stop: Event,
    keep: Callable[[Record], bool],
    registry: object,
    **more: object,
) -> Iterator[tuple[list[Record], int]]:
    towns = ("Ausable", "Cohoes", "Elmira", "Oswego")
    found = []
    for n in range(12):
        text = f'{{"id": {7000 + n}, "town": "{towns[n % 4]}", "total": "{12 + 3 * n}.50", "items": {1 + n % 5}}}'
        value = b"\0\0\0\0\7" + text.encode()
        headers = (("trace", f"t-{7000 + n}".encode()),)
        record = Record(n % 6, 410_000 + n, ago(12 - n), f"c-{n % 5}".encode(), value, headers, len(value))
        found.append(replace(record, decoded=Decoded(7, text)))
    yield found, len(found)
    stop.wait()


def tables(client: object) -> tuple[TableSummary, ...]:
    return (
        TableSummary("bronze.orders", ago(2), 2_460_555, 380_000_000, 412, 180, read=True),
        TableSummary("silver.orders", ago(100), 2_451_020, 210_000_000, 36, 24, read=True),
        TableSummary("gold.revenue", ago(70), 1_460, 410_000, 2, 24, read=True),
    )


def query(number: int, state: str, statement: str, **more: Any) -> ServerQuery:
    made = ServerQuery(
        query_id=f"20260105_03{number:04}_00042_kq7d2",
        state=state,
        user="ana",
        source="trino-cli",
        statement=statement,
        resource_group="global.adhoc",
        created=ago(90 - number),
        elapsed=90.0 - number,
        queued=0.0,
        cpu=31.0,
        splits_done=412,
        splits_total=980,
        rows=1_200_000,
        bytes=310_000_000,
        memory=200_000_000,
        blocked=(),
        error="",
        error_type="",
    )
    return replace(made, **more)


def dressed(folder: Path, **look: object) -> Console:
    """Return a console whose clients tell of a small shop, and that looks as these settings say."""
    console = looking(folder, **look)
    clients = console.monitor.clients
    context = ContextSettings.model_validate(
        {"catalogs": {"lake": {"properties": {"type": "rest", "uri": "http://lake"}}}}
    )
    others = {name: clients.get(name) for name in ("kafka", "airflow", "trino")}
    further = {"lake": object(), "connect": FakeConnect(), "schema_registry": object()}
    console.monitor.clients = Clients(context, **further, **others)
    dag = Dag("conform", paused=False, schedule="*/5 * * * *", owners=("data",), tags=("silver",), import_errors=False)
    console.airflow.dags = lambda: (  # type: ignore[method-assign]
        replace(dag, dag_id="backfill_refunds", paused=True, schedule=None, tags=("repair",)),
        dag,
        replace(dag, dag_id="daily_revenue", schedule="10 0 * * *", tags=("gold",)),
        replace(dag, dag_id="reconcile_payments", schedule="@hourly", import_errors=True),
    )

    def run(dag_id: str, number: int, state: str) -> DagRun:
        began = ago(100 + 300 * number)
        ended = began + timedelta(seconds=31 + number)
        return DagRun(dag_id, f"scheduled__{began:%H:%M}", state, "scheduled", began, began, ended, None, None)

    runs = [run("conform", n, "failed" if n == 4 else "success") for n in range(12)]
    runs += [run("daily_revenue", n, "success") for n in range(5)]
    console.airflow.runs = lambda dag_id, limit=20: tuple(  # type: ignore[method-assign]
        run for run in runs if dag_id in ("~", run.dag_id)
    )
    columns = (("day", "date"), ("town", "varchar"), ("orders", "bigint"), ("revenue", "decimal(12,2)"))
    rows = [("2026-01-04", "Ausable", 412, "5120.50"), ("2026-01-04", "Cohoes", 388, "4630.00")]
    console.trino.next = FakeQuery([*rows, ("2026-01-04", "Elmira", 305, None)], columns)
    console.trino.next.go.set()
    console.trino.running = (
        query(1, "RUNNING", "INSERT INTO gold.revenue SELECT * FROM silver.orders", user="airflow", source="airflow"),
        query(20, "QUEUED", "SELECT town, sum(total) FROM silver.orders GROUP BY 1", queued=70.0, splits_done=0),
        query(30, "RUNNING", "SELECT * FROM bronze.orders", blocked=("WAITING_FOR_MEMORY",), user="ben"),
        query(60, "FAILED", "SELECT * FROM bronze.oders", error="TABLE_NOT_FOUND", error_type="USER_ERROR"),
    )
    trigger = {"context": "test", "action": "trigger_dag", "target": "http://airflow", "dag_id": "daily_revenue"}
    AuditLog(console.audit).append({**trigger, "outcome": "allowed"})
    AuditLog(console.audit).append({**trigger, "outcome": "done"})
    sql = {"context": "test", "action": "run_sql", "target": "http://trino", "statement": "DROP TABLE gold.revenue"}
    AuditLog(console.audit).append({**sql, "risk": "ddl", "outcome": "refused", "reason": "the context is read-only"})
    return console


def history() -> list[HealthSnapshot]:
    """Return what was seen before `land` got stuck, and that it is."""
    before = orders.see(orders.healthy(ago(130)), ago(130))
    return [before, orders.stuck(before)]


@contextmanager
def standing_still() -> Iterator[None]:
    """Let the clock stand still wherever the console looks at it, and name no user and machine."""
    stamp = {"at": NOW.isoformat(timespec="milliseconds"), "user": "ana", "host": "console"}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for name in ("CACHE", "CONFIG", "DATA", "STATE"):
            stack.enter_context(mock.patch.dict(os.environ, {f"XDG_{name}_HOME": str(Path(folder) / name.lower())}))
        stack.enter_context(mock.patch("dataops_core.actions.audit._stamp", return_value=stamp))
        for module in ("dataops_tui.base", "dataops_tui.resource", "dataops_tui.styled", "tests.orders"):
            stack.enter_context(mock.patch(f"{module}.datetime", StandingClock))
        for name, stand_in in (("topics", topics), ("groups", groups)):
            stack.enter_context(mock.patch.object(kafka_cluster, name, stand_in))
        for stand_in in (subjects, subject_schema):
            stack.enter_context(mock.patch.object(kafka_subjects, stand_in.__name__, stand_in))
        stack.enter_context(mock.patch.object(kafka_peek, "peek", peek))
        stack.enter_context(mock.patch.object(iceberg_inspect, "tables", tables))
        yield


async def draw(name: str) -> str:
    """Return a picture as SVG."""
    shot = SHOTS[name]
    with standing_still(), tempfile.TemporaryDirectory() as folder:
        console = dressed(Path(folder))
        async with console.app.run_test(size=SIZE, notifications=False) as pilot:
            for snapshot in history():
                console.monitor.push(snapshot)
                await pilot.pause()
            await until_shown(console.app, lambda text: "is stuck" in text, "the pipeline")
            await pilot.press(*shot.keys)
            await until_shown(console.app, lambda text: shot.wait in text, f"{name}: {shot.wait}")
            await pilot.press(*shot.after)
            for line in console.app.screen.query(Input):
                line.cursor_blink = False
            await until_still(console, pilot)
            return console.app.export_screenshot(title=f"dataops-tui: {name}") + "\n"


async def until_still(console: Console, pilot: Pilot[None]) -> None:
    """Wait until nothing more is drawn."""
    before = ""
    while before != (text := shown(console.app)):
        before = text
        await pilot.pause(0.3)


def main() -> int:
    """Write all pictures, or those that are named."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or SHOTS:
        (FOLDER / f"{name}.svg").write_text(asyncio.run(draw(name)))
        sys.stdout.write(f"written: {name}.svg\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
