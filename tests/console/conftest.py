"""The console with a monitor and clients that a test steers; states and verdicts come from the real model."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests import orders
from tests.orders import healthy, now, seconds, see
from tests.settings import Settings

from dataops_core.actions import ActionPolicy
from dataops_core.config import context_of
from dataops_core.errors import DataopsError, RecordingError
from dataops_core.health.model import HealthSnapshot
from dataops_core.recorder.recording import Recording
from dataops_core.systems.airflow.responses import Dag, DagRun
from dataops_core.systems.clients import Clients
from dataops_core.systems.trino.responses import QueryDetail, QueryProgress, ServerQuery
from dataops_tui import ordered_input
from dataops_tui.app import DataopsApp

SIZES = [(80, 24), (160, 48)]


def settings(**context: Any) -> Settings:
    """Return the settings of one context with the pipeline of `tests.orders`."""
    return Settings.model_validate(
        {
            "refresh": 60,  # nothing is loaded again while a test looks
            "contexts": {
                "test": {
                    "kafka": {"bootstrap_servers": "kafka:1"},
                    "airflow": {"url": "http://airflow"},
                    "connect": {"url": "http://connect"},
                    "schema_registry": {"url": "http://registry"},
                    "trino": {"url": "http://trino", "catalog": "lake", "schema": "gold"},
                    "catalogs": {"lake": {"properties": {"type": "rest", "uri": "http://lake"}}},
                    **context,
                }
            },
            "pipelines": {"p": {**orders.CHAIN.model_dump(exclude_unset=True, by_alias=True), "context": "test"}},
        }
    )


def well(previous: HealthSnapshot | None = None) -> HealthSnapshot:
    """Return a snapshot of a pipeline where data flows."""
    return see(healthy(now()), now(), previous)


def trino_down() -> HealthSnapshot:
    """Return a snapshot in which Trino does not answer."""
    at = now()
    error = "trino http://trino: cannot be reached: Connection refused"
    return see({**healthy(at), "view": error}, at, down={"trino": error})


@dataclass
class FakeMonitor:
    clients: Clients
    recorded: Path | None = None
    not_recorded: str | None = None
    replays: bool = False
    refreshed: int = 0
    stopped: bool = False
    started: threading.Event = field(default_factory=threading.Event)
    _on_snapshot: Callable[[HealthSnapshot], None] | None = None

    def start(self, on_snapshot: Callable[[HealthSnapshot], None]) -> None:
        self._on_snapshot = on_snapshot
        self.started.set()

    def push(self, snapshot: HealthSnapshot) -> None:
        """Let a health snapshot arrive."""
        assert self.started.wait(30)
        assert self._on_snapshot is not None
        self._on_snapshot(snapshot)

    def recording(self) -> Recording:
        if self.recorded is None:
            raise RecordingError("nothing is recorded")
        return Recording(self.recorded)

    def refresh(self) -> None:
        self.refreshed += 1

    def stop(self) -> None:
        self.stopped = True


def run(dag_id: str, number: int, state: str = "success") -> DagRun:
    started = now() - seconds(60 * number)
    ended = started + seconds(30) if state in ("success", "failed") else None
    return DagRun(dag_id, f"run__{number}", state, "scheduled", started, started, ended, None, None)


@dataclass
class FakeAirflow:
    """Answers from memory; `hold` keeps it from answering, as a server that hangs does."""

    target: str = "http://airflow"
    triggered: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failure: DataopsError | None = None
    hold: threading.Event | None = None

    def _answer(self) -> None:
        if self.hold is not None:
            self.hold.wait(30)
        if self.failure is not None:
            raise self.failure

    @property
    def api_url(self) -> str:
        return f"{self.target}/api/v2"

    def page(self, dag_id: str) -> str:
        return f"{self.target}/dags/{dag_id}"

    def dags(self) -> tuple[Dag, ...]:
        self._answer()
        known = Dag(
            "conform", paused=False, schedule="*/5 * * * *", owners=("data",), tags=("boreal",), import_errors=False
        )
        broken = replace(known, dag_id="assess", paused=True, schedule=None)
        return (broken, known, replace(known, dag_id="[bold]odd\x1b[31m", import_errors=True))

    def runs(self, dag_id: str, limit: int = 20) -> tuple[DagRun, ...]:
        self._answer()
        assert limit == 100
        found = (run("conform", 1, "running"), run("conform", 2), run("conform", 3, "failed"), run("assess", 4))
        return tuple(r for r in found if dag_id in ("~", r.dag_id))

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> DagRun:
        self._answer()
        self.triggered.append((dag_id, conf))
        return run(dag_id, 0, "queued")


@dataclass
class FakeQuery:
    """A statement whose rows come when the test lets them."""

    rows: list[tuple[Any, ...]]
    columns: tuple[tuple[str, str], ...] = (("id", "bigint"), ("name", "varchar"))
    failure: DataopsError | None = None
    go: threading.Event = field(default_factory=threading.Event)
    query_id: str = "q_1"
    update_type: str | None = None
    update_count: int | None = None
    cancelled: bool = False

    def batches(self) -> Generator[list[tuple[Any, ...]]]:
        self.go.wait(30)
        if self.failure is not None:
            raise self.failure
        for at in range(0, len(self.rows), 500):
            if self.cancelled:
                return
            yield self.rows[at : at + 500]

    def progress(self) -> QueryProgress:
        return QueryProgress("RUNNING", 3, 8, 1000, 0, 1.5, 0.0)

    def cancel(self) -> None:
        self.cancelled = True

    def stop(self, within: float = 3.0) -> None:
        self.cancel()
        self.go.set()


@dataclass
class FakeTrino:
    target: str = "http://trino"
    asked: list[str] = field(default_factory=list)
    next: FakeQuery = field(default_factory=lambda: FakeQuery([(1, "a")]))
    names: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    """What is answered to SHOW TABLES and the like."""
    fetched: list[str] = field(default_factory=list)
    running: tuple[ServerQuery, ...] = ()
    """What runs, whoever has sent it."""
    killed: list[tuple[str, str]] = field(default_factory=list)
    failure: DataopsError | None = None
    hold: threading.Event | None = None

    def query(self, statement: str) -> FakeQuery:
        self.asked.append(statement)
        return self.next

    def _answer(self) -> None:
        if self.hold is not None:
            self.hold.wait(30)
        if self.failure is not None:
            raise self.failure

    def fetch(self, statement: str, within: float) -> list[tuple[Any, ...]]:
        self.fetched.append(statement)
        self._answer()
        return self.names.get(statement, [])

    def queries(self) -> tuple[ServerQuery, ...]:
        self._answer()
        return self.running

    def query_detail(self, query_id: str) -> QueryDetail:
        self._answer()
        (query,) = (query for query in self.running if query.query_id == query_id)
        return QueryDetail(query, query.statement, "line 1:8: Column 'x' cannot be resolved" if query.error else "")

    def kill(self, query_id: str, message: str) -> None:
        self._answer()
        self.killed.append((query_id, message))


@dataclass
class Console:
    """A console, and what it talks to."""

    app: DataopsApp
    monitor: FakeMonitor
    airflow: FakeAirflow
    trino: FakeTrino
    audit: Path


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Generator[None]:
    """Keep what the console writes (history, rows, log) out of the user's home; an internal error fails the test."""
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    yield
    log = tmp_path / "state/dataops/errors.log"
    if log.exists() and request.node.get_closest_marker("faults") is None:
        text = log.read_text(encoding="utf-8")
        # what fails in the background is posted as WorkFailed: the clients here are not whole
        if any(re.match(r"\d{4}-\S+ (?!.*background thread)", line) for line in text.splitlines()):
            pytest.fail(f"internal errors:\n{text}")


@pytest.fixture(autouse=True)
def _no_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let letters act right after a screen change: a test presses keys faster than anybody reads."""
    monkeypatch.setattr(ordered_input, "CALM", 0.0)


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return make_console(tmp_path)


def looking(folder: Path, **console: object) -> Console:
    """Return a console that looks as these settings of it say."""
    raw = settings().model_dump(exclude_unset=True, by_alias=True)
    return make_console(folder, Settings.model_validate({**raw, "console": console}))


def make_console(folder: Path, chosen: Settings | None = None) -> Console:
    chosen = chosen or settings()
    airflow, trino = FakeAirflow(), FakeTrino()
    monitor = FakeMonitor(Clients(kafka=object(), airflow=airflow, trino=trino))  # type: ignore[arg-type]
    audit = folder / "audit.jsonl"
    policy = ActionPolicy(*context_of(chosen), audit_path=audit)
    return Console(DataopsApp(chosen, None, lambda: monitor, policy), monitor, airflow, trino, audit)
