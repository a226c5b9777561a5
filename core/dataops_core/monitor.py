"""The monitor: run all probes in parallel, and evaluate their results as health snapshots."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from threading import Event, Lock, Thread

from dataops_core.config import Settings, context_of
from dataops_core.errors import ClientError, DataopsError, TimedOut
from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.observation import Observation, ProbeResult
from dataops_core.systems.base import ComponentKind, ComponentReport, StageKind
from dataops_core.systems.clients import Clients, prepare
from dataops_core.systems.registry import registry
from dataops_core.units import duration

log = logging.getLogger(__name__)

OnSnapshot = Callable[[HealthSnapshot], None]


@dataclass(frozen=True)
class Probe:
    """One probe.

    Attributes:
        template: The fields that all its results share.
        ask: Runs the probe; raises DataopsError.
        every: Seconds between two runs. After a failure that the system reports, the probe runs at every refresh. When
            a component that it needs becomes unavailable or available again, it runs at once.
        kind: Kind of the stage or component; `None` if no system offers it.
    """

    template: ProbeResult
    ask: Callable[[], Observation | ComponentReport]
    every: float
    kind: StageKind | ComponentKind | None = None


class _Runner:
    """Runs one probe, never twice at the same time: while a run hangs, no other run is started."""

    def __init__(self, probe: Probe, deadline: float) -> None:
        self.probe = probe
        self._deadline = deadline
        self._lock = Lock()
        self._began: float | None = None
        self._began_at: datetime | None = None
        self._ended: float | None = None
        self._result: ProbeResult | None = None

    def start_if_due(self, *, now: bool = False) -> None:
        try:
            prepare(self.probe.kind)
        except Exception as error:  # noqa: BLE001 - a broken SDK must not stop the other probes
            with self._lock:
                self._result = replace(self.probe.template, started_at=datetime.now(UTC), error=_bug(error))
            return
        with self._lock:
            if self._began is not None:
                return
            rests = self._ended is not None and time.monotonic() - self._ended < self.probe.every
            observation = self._result.observation if self._result is not None else None
            if not now and rests and not (observation and observation.failure):
                return
            self._began, self._began_at = time.monotonic(), datetime.now(UTC)
        Thread(target=self._run, name=f"probe {self.probe.template.target}", daemon=True).start()

    def _run(self) -> None:
        began, began_at = time.monotonic(), datetime.now(UTC)
        result = replace(self.probe.template, started_at=began_at)
        try:
            observation = self.probe.ask()
            if isinstance(observation, Observation):
                result = replace(result, success=True, observation=observation)
            else:
                result = replace(result, success=True, detail=observation.detail, observation=observation.observation)
        except ClientError as error:
            result = replace(result, error=error.message, error_kind=error.kind, remedy=error.remedy)
        except DataopsError as error:
            result = replace(result, error=str(error))
        except Exception as error:  # noqa: BLE001 - a bug in one probe must not stop the others
            result = replace(result, error=_bug(error))
        with self._lock:
            self._result = replace(result, duration=time.monotonic() - began)
            self._began, self._ended = None, time.monotonic()

    @property
    def settled(self) -> bool:
        """Whether the newest run has a result or has exceeded its deadline."""
        with self._lock:
            return self._began is None or time.monotonic() - self._began >= self._deadline

    def report(self) -> ProbeResult | None:
        """Return the newest result; a timeout if the current run has exceeded its deadline."""
        with self._lock:
            if self._began is None or self._began_at is None:
                return self._result
            waited = time.monotonic() - self._began
            if waited < self._deadline:
                return self._result
            return replace(
                self.probe.template,
                started_at=self._began_at,
                duration=waited,
                error=f"{self.probe.template.component}: no response within {duration(self._deadline, precise=True)}",
                error_kind=TimedOut.kind,
            )


def _bug(error: Exception) -> str:
    return f"the probe itself failed: {type(error).__name__}: {error}"


class Monitor:
    """Monitors the pipelines of one context.

    Args:
        settings: The settings.
        context: Name of the context; the default context if `None`.

    Raises:
        ConfigError: There is no such context.
    """

    def __init__(self, settings: Settings, context: str | None = None) -> None:
        self.context, chosen = context_of(settings, context)
        self.registry = registry()
        self.clients = Clients(chosen, settings.probe_timeout * 0.8, self.registry)
        self.pipelines = {name: p for name, p in settings.pipelines.items() if p.context == self.context}
        self.latest: HealthSnapshot | None = None
        """The newest snapshot; `None` before the first one."""
        self._thresholds = chosen.thresholds
        self._refresh = settings.refresh
        self._deadline = settings.probe_timeout
        self._runners = [_Runner(probe, settings.probe_timeout) for probe in self._probes(settings.refresh)]
        self._available: dict[str, bool] = {}  # by component
        self._changed: dict[str, datetime] = {}  # when it last became unavailable or available, by component
        self._stop = Event()
        self._wake = Event()
        self._thread: Thread | None = None

    @property
    def complete(self) -> bool:
        """Whether each probe has a result or has exceeded its deadline."""
        return all(runner.report() is not None for runner in self._runners)

    def once(self, within: float | None = None, *, due_only: bool = False) -> HealthSnapshot:
        """Run all probes once and return the snapshot, at the latest after the timeout of a probe.

        The first call also imports the clients of the probes, which takes some tenths of a second.

        Args:
            within: Shorter timeout in seconds; probes without a response by then keep their previous result.
            due_only: Skip probes that are not due yet by their interval.
        """
        self._start_due(now=not due_only)
        longest = self._deadline + 0.2
        deadline = time.monotonic() + (longest if within is None else min(longest, within))
        self._settle(deadline)
        if self._start_overtaken():
            self._settle(deadline)
        return self._evaluate()

    def start(self, on_snapshot: OnSnapshot) -> None:
        """Start monitoring in the background.

        Args:
            on_snapshot: Called in the monitor's thread with each new snapshot.
        """
        if self._thread is not None:
            raise RuntimeError("the monitor is already running")
        self._thread = Thread(target=self._watch, args=(on_snapshot,), name="monitor", daemon=True)
        self._thread.start()

    def refresh(self) -> None:
        """Refresh now, without waiting for the next refresh."""
        self._wake.set()

    def stop(self) -> None:
        """Stop monitoring, without waiting for hung probes."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def _watch(self, on_snapshot: OnSnapshot) -> None:
        forced = False
        while not self._stop.is_set():
            self._start_due(now=forced)
            # Fast probes are shown at once; slow ones follow in a later snapshot.
            self._settle(time.monotonic() + min(1.0, self._refresh / 2))
            if self._start_overtaken():
                self._settle(time.monotonic() + min(1.0, self._refresh / 2))
            if self._stop.is_set():
                return
            try:
                snapshot = self._evaluate()
            except Exception as error:  # noqa: BLE001 - a failed evaluation must not stop the monitoring
                log.error("evaluation failed: %s: %s", type(error).__name__, error)  # noqa: TRY400
            else:
                on_snapshot(snapshot)
            forced = self._wake.wait(self._refresh)
            self._wake.clear()

    def _start_due(self, *, now: bool) -> None:
        # Probes without imports run first, while the SDKs of the others are imported.
        for runner in sorted(self._runners, key=_import_turn):
            if self._stop.is_set():
                return
            runner.start_if_due(now=now)

    def _settle(self, until: float) -> None:
        """Wait until all probes are settled, at the latest until a time of `time.monotonic`."""
        while time.monotonic() < until and not all(runner.settled for runner in self._runners):
            if self._stop.wait(0.02):
                return

    def _start_overtaken(self) -> bool:
        """Start the resting probes whose components have become unavailable, or available again, since their last run.

        Returns:
            Whether one was started.
        """
        reports = [(runner, report) for runner in self._runners if (report := runner.report()) is not None]
        for _, report in reports:
            if report.stage is None:
                if report.success is not self._available.get(report.component, report.success):
                    self._changed[report.component] = report.started_at
                self._available[report.component] = report.success
        overtaken = [
            runner
            for runner, report in reports
            if runner.probe.every
            and any(
                report.started_at < self._changed[name]
                for name in (report.component, *report.needs)
                if name in self._changed
            )
        ]
        for runner in overtaken:
            runner.start_if_due(now=True)
        return bool(overtaken)

    def _evaluate(self) -> HealthSnapshot:
        reports = [(runner.probe.template, runner.report()) for runner in self._runners]
        self.latest = evaluate(
            self.latest,
            [result for _, result in reports if result is not None],
            self.pipelines,
            datetime.now(UTC),
            self.context,
            self.registry,
            self._thresholds,
            self._refresh,
            [template.component for template, result in reports if result is None and template.stage is None],
        )
        return self.latest

    def _probes(self, refresh: float) -> list[Probe]:
        never = datetime.fromtimestamp(0, UTC)
        results = []
        for name, probe in self.clients.probes().items():
            template = ProbeResult(
                probe=probe.kind, target=probe.target, component=name, started_at=never, duration=0.0, success=False
            )
            results.append(Probe(template, probe.ask, 0.0, self.clients.kind_of(name)))
        for pipeline, settings in self.pipelines.items():
            for stage in settings.stages:
                template = ProbeResult(
                    probe=stage.kind,
                    target=f"{pipeline}/{stage.name}",
                    component=self.clients.component_of(stage),
                    started_at=never,
                    duration=0.0,
                    success=False,
                    pipeline=pipeline,
                    stage=stage.name,
                    system=self.registry.system_of(stage.kind) or "",
                    needs=self.clients.needed_by(stage),
                )
                kind = self.registry.stage_kind(stage.kind)
                pause = kind.min_interval(stage) if kind is not None else 0.0
                results.append(
                    Probe(template, partial(self.clients.observe, stage), max(0.0, pause - refresh / 2), kind)
                )
        return results


def _import_turn(runner: _Runner) -> int:
    return runner.probe.kind.import_turn if runner.probe.kind is not None else 0
