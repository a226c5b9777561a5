"""Start and stop of the whole stack; independent steps run in parallel."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
import time
import urllib.error
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import trino
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from dataops_core.units import duration
from dataops_local import class_cache, components, fetch, kafka, preflight
from dataops_local.console_config import write_config
from dataops_local.display import Display
from dataops_local.errors import LocalError
from dataops_local.layout import Layout
from dataops_local.run import last_line
from dataops_local.step_durations import StepDurations
from dataops_local.supervisor import ALIVE, Program, Supervisor

NOT_YET = (OSError, urllib.error.URLError, KafkaException, json.JSONDecodeError, KeyError)
"""Errors of a component that is still starting."""
POLL = 0.2
"""Seconds between two readiness checks."""


class Cancelled(Exception):
    """The start was cancelled, because another step has failed."""


@dataclass(frozen=True)
class Step:
    """One step of the start.

    Attributes:
        name: Name in the display.
        after: Names of the steps that have to finish first.
        act: Starts the program or does the work.
        ready: Returns whether the step is ready; `None` if it is ready once `act` returns.
        program: Name of the program that the step starts, to detect its exit.
        within: Timeout in seconds.
    """

    name: str
    after: tuple[str, ...]
    act: Callable[[], None]
    ready: Callable[[], bool] | None = None
    program: str | None = None
    within: float = 180


class Stack:
    """One local stack."""

    def __init__(self, layout: Layout, console: Console) -> None:
        self.layout = layout
        self.console = console
        self.supervisor = Supervisor(layout)
        self._began = datetime.now(UTC)

    def up(self, *, without: Collection[str] = (), tied: bool = False) -> subprocess.Popen[bytes] | None:
        """Start all programs and wait until they are ready.

        Args:
            without: Names of programs to omit.
            tied: Whether the stack stops with this process.

        Returns:
            The supervisor's process if it is tied to this one; `None` if the stack was already running.

        Raises:
            LocalError: A step failed; all programs have been stopped.
        """
        layout = self.layout
        layout.state.mkdir(parents=True, exist_ok=True)
        if self.supervisor.is_running():
            return None
        for name in self.supervisor.sweep():
            self.console.print(f"stopped {name}, which was left running by a crash")
        preflight.check(layout)
        fetch.fetch(self.console.print)
        class_cache.build(self.console.print)
        programs = components.programs(layout)
        unknown = set(without) - {program.name for program in programs}
        if unknown:
            raise LocalError(f"no such program: {', '.join(sorted(unknown))}: see `status`")
        self._began = datetime.now(UTC)
        self._write_env()
        write_config(layout, without)
        conf = self.supervisor.configure(programs)
        process = self.supervisor.launch(conf, tied=tied)
        try:
            self._run(self._steps([p for p in programs if p.name not in without]))
        except BaseException:
            self.console.print("stopping the started programs …")
            self.supervisor.shutdown()
            raise
        return process

    def down(self) -> bool:
        """Stop all programs; return whether the stack was running."""
        if not self.layout.state.exists():
            return False
        running = self.supervisor.is_running()
        if running:
            alive = [info for info in self.supervisor.states().values() if info["statename"] in ALIVE]
            self.console.print(f"stopping {len(alive)} programs …")
        self.supervisor.shutdown()
        return running

    def _write_env(self) -> None:
        path = self.layout.state / "env"
        path.touch(0o600)
        pairs = components.job_env(self.layout).items()
        path.write_text("".join(f"export {key}={shlex.quote(value)}\n" for key, value in pairs))

    def _steps(self, programs: Sequence[Program]) -> list[Step]:
        layout = self.layout
        names = {program.name for program in programs}

        def start(name: str) -> Callable[[], None]:
            def run() -> None:
                self.supervisor.start(name)

            return run

        def start_kafka() -> None:
            kafka.format_kafka(layout)
            self.supervisor.start("kafka")

        steps = [
            Step(
                "kafka",
                (),
                start_kafka,
                lambda: kafka.kafka_ready(layout),
                "kafka",
            ),
            Step("store", (), start("store"), lambda: components.store_ready(layout), "store"),
            Step("trino", (), start("trino"), lambda: components.trino_ready(layout), "trino"),
            Step("topics", ("kafka",), lambda: kafka.create_topics(layout)),
            Step("simulator", ("topics",), start("simulator"), lambda: self._runs("simulator"), "simulator"),
            Step(
                "land_readings",
                ("topics", "store"),
                start("land_readings"),
                lambda: self._has_landed() if "simulator" in names else self._runs("land_readings"),
                "land_readings",
            ),
            Step("reference files", ("first record through trino",), lambda: components.upload_reference(layout)),
            Step(
                "first record through trino",
                ("trino", "land_readings"),
                lambda: None,
                self._first_record if "simulator" in names else None,
            ),
            # Not earlier: it would take a core from the first record, which the user waits for.
            Step(
                "detect_excursions",
                ("first record through trino", "topics", "store"),
                start("detect_excursions"),
                lambda: self._runs("detect_excursions"),
                "detect_excursions",
            ),
            Step(
                "airflow database",
                ("first record through trino",),
                lambda: components.migrate_airflow(layout),
            ),
            Step("airflow pools", ("airflow database",), lambda: components.make_pool(layout)),
            Step(
                "airflow-api",
                ("airflow database",),
                start("airflow-api"),
                lambda: components.http_ready(layout.url("airflow") + "/api/v2/version"),
                "airflow-api",
            ),
            # The others connect to the API server, and a task that cannot reach it fails.
            *(
                Step(name, ("airflow-api",), start(name), lambda name=name: self._runs(name), name)  # type: ignore[misc]
                for name in list(components.AIRFLOW_PARTS)[1:]
            ),
            Step(
                "airflow",
                tuple(components.AIRFLOW_PARTS),
                lambda: None,
                lambda: components.airflow_ready(layout),
            ),
            Step(
                "exporter",
                ("first record through trino",),
                start("exporter"),
                lambda: components.http_ready(layout.url("exporter") + "/-/healthy"),
                "exporter",
            ),
            Step(
                "prometheus",
                ("exporter",),
                start("prometheus"),
                lambda: components.http_ready(layout.url("prometheus") + "/-/ready"),
                "prometheus",
            ),
        ]
        left_out = set() if "airflow-api" in names else {"airflow database", "airflow pools", "airflow"}
        return [step for step in steps if step.name not in left_out and (step.program is None or step.program in names)]

    def _runs(self, name: str) -> bool:
        return self.supervisor.state(name) == "RUNNING"

    def _has_landed(self) -> bool:
        """Return whether a batch has been committed since the start."""
        commits = (self.layout.checkpoints / "land_readings" / "commits").glob("[0-9]*")
        return any(path.stat().st_mtime >= self._began.timestamp() for path in commits)

    def _first_record(self) -> bool:
        """Return whether Trino returns a record that was landed since the start."""
        connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
            host="127.0.0.1", port=self.layout.port("trino"), user="local", request_timeout=10, max_attempts=1
        )
        try:
            cursor = connection.cursor()
            began = self._began.isoformat(timespec="seconds")
            cursor.execute(
                f"SELECT 1 FROM lake.bronze.readings WHERE ingested_at >= from_iso8601_timestamp('{began}') LIMIT 1"
            )
            return bool(cursor.fetchall())
        except trino.exceptions.Error:
            return False
        finally:
            connection.close()

    def _run(self, steps: Sequence[Step]) -> None:
        usual = StepDurations(self.layout.state / "usual.json")
        display = Display(self.console, usual.seconds)
        events = {step.name: threading.Event() for step in steps}
        failed: list[Exception] = []
        stop = threading.Event()

        def walk(step: Step) -> None:
            try:
                self._walk(step, events, display, stop)
            except Cancelled:
                return
            except LocalError as error:
                failed.append(error)
                display.update(step.name, "failed", str(error))
                stop.set()
            except Exception as error:  # noqa: BLE001 - a thread's error must reach the user
                failed.append(LocalError(f"{step.name}: {type(error).__name__}: {error}"))
                display.update(step.name, "failed", str(error))
                stop.set()

        threads = [threading.Thread(target=walk, args=(step,), daemon=True) for step in steps]
        with display:
            for step in steps:
                display.update(step.name, "waiting", waits_for(step, events))
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    while thread.is_alive():
                        thread.join(0.2)
            finally:
                stop.set()
        if failed:
            raise failed[0]
        usual.remember(display.took())

    def _walk(self, step: Step, events: dict[str, threading.Event], display: Display, stop: threading.Event) -> None:
        for name in step.after:
            event = events.get(name)
            while event is not None and not event.wait(POLL):
                if stop.is_set():
                    raise Cancelled
                display.update(step.name, "waiting", waits_for(step, events))
        display.update(step.name, "starting")
        step.act()
        deadline = time.monotonic() + step.within
        while step.ready is not None and not self._is_ready(step):
            if stop.is_set():
                raise Cancelled
            if time.monotonic() > deadline:
                raise LocalError(f"{step.name} was not ready within {duration(step.within)}: see {self._log(step)}")
            restarts = self._check_alive(step)
            display.update(step.name, "starting", restarts)
            time.sleep(POLL)
        display.update(step.name, "ready")
        events[step.name].set()

    def _is_ready(self, step: Step) -> bool:
        try:
            return step.ready is None or step.ready()
        except NOT_YET:
            return False

    def _check_alive(self, step: Step) -> str:
        """Return a note if the program is being restarted; raises LocalError if it has exited permanently."""
        if step.program is None:
            return ""
        state = self.supervisor.state(step.program)
        if state in ("FATAL", "EXITED", "STOPPED"):
            raise LocalError(
                f"{step.name} exited during its start: {last_line(self._log(step))}: see {self._log(step)}"
            )
        return "exited; restarting" if state == "BACKOFF" else ""

    def _log(self, step: Step) -> Path:
        return self.layout.log_dir / (f"{step.program}.log" if step.program else "")

    def status(self) -> tuple[Table, bool]:
        """Return a table of the programs, and whether all of them are running."""
        states = self.supervisor.states()
        table = Table(box=None, pad_edge=False)
        for heading in ("program", "state", "pid", "up", "memory MB", "port"):
            table.add_column(heading, justify="left" if heading in ("program", "state") else "right")
        total = 0.0
        for program in components.programs(self.layout) if states else ():
            info = states.get(program.name)
            if info is None:
                continue
            memory = _memory(info["pid"]) if info["pid"] else 0.0
            total += memory
            up = duration(info["now"] - info["start"]) if info["statename"] == "RUNNING" else ""
            table.add_row(
                program.name,
                info["statename"].lower() if info["start"] else "not started",
                str(info["pid"] or ""),
                up,
                f"{memory:.0f}" if memory else "",
                str(self.layout.port(program.port)) if program.port else "",
            )
        table.add_row("all", "" if states else "not running", "", "", f"{total:.0f}" if states else "", "")
        return table, bool(states) and all(info["statename"] == "RUNNING" for info in states.values())


def waits_for(step: Step, events: dict[str, threading.Event]) -> str:
    """Return which steps a step waits for."""
    open_ = [name for name in step.after if name in events and not events[name].is_set()]
    return f"waits for {', '.join(open_)}" if open_ else ""


def _memory(pid: int) -> float:
    """Return the memory of a process and its children in MB, with shared pages counted once."""
    total = 0.0
    try:
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_full_info().pss / 1e6
    except psutil.Error:  # the process ended meanwhile
        return total
    return total
