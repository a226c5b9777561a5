"""The health of stages, components and pipelines, evaluated from the observations of probes.

All times are aware datetimes in UTC, all durations are seconds. `None` always means *unknown*, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dataops_core.health.observation import Observation, ProbeResult

SCHEMA_VERSION = 1
"""Version of the JSON of a health snapshot; increased when a field changes its meaning or is removed."""


def store_of(catalog: str) -> str:
    """Return the name of the component that is the object store of a catalog's tables."""
    return f"{catalog} store"


class StageState(StrEnum):
    """State of a stage. Shown as glyph and word, never by colour alone."""

    CAUGHT_UP = "caught_up"
    IDLE = "idle"
    """Caught up, and nothing new arrives."""
    BEHIND = "behind"
    """Lagging, and the lag does not grow."""
    SLOW = "slow"
    """Lagging, and the lag grows although output advances."""
    STUCK = "stuck"
    """Input waits, and output has not advanced for longer than the stall time."""
    FAILED = "failed"
    """The system reports a failure, or a check found a critical problem."""
    UNKNOWN = "unknown"
    """The probe could not determine it."""
    AFFECTED = "affected"
    """The stage itself works, but data is missing because of a stage upstream or of a component."""
    STARTING = "starting"
    """Not probed yet."""


class Status(StrEnum):
    """Status of a pipeline."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    STARTING = "starting"
    """Some probes have no result yet, and no problem is known."""

    @property
    def exit_code(self) -> int:
        """Exit code of `dataops probe`: 0 ok, 1 warning, 2 critical, 3 unknown or starting."""
        return {Status.OK: 0, Status.WARNING: 1, Status.CRITICAL: 2}.get(self, 3)


WORST_FIRST = (Status.CRITICAL, Status.UNKNOWN, Status.WARNING, Status.STARTING, Status.OK)
"""Statuses in order of urgency."""


class Severity(StrEnum):
    """Effect of a finding on the verdict."""

    CRITICAL = "critical"
    """Data is lost or cannot pass: the stage has failed, or the component is unhealthy."""
    WARNING = "warning"
    """Data is at risk: a warning, unless a stage is stuck or slow."""
    ADVICE = "advice"
    """Maintenance is due: a warning only when nothing else is wrong."""
    NOTE = "note"
    """Never a warning by itself: it explains or accompanies the state of a stage that is stuck, slow or behind."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """The suggested action for a finding.

    Attributes:
        text: One sentence.
        command: The exact shell command, if there is one.
        dag_id: The DAG to trigger from the console, if that is the remedy.
    """

    text: str
    command: str | None = None
    dag_id: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a stage or a component.

    Attributes:
        check: Name of the check, e.g. `small-files`.
        subject: Name of the stage or component.
        sentence: The problem, without the subject, with numbers.
        since: Start of the problem; `None` if unknown.
        evidence: Further numbers and times, one line each.
        explains: Whether it can be the cause of a stuck, slow, lagging or failed stage.
    """

    check: str
    subject: str
    severity: Severity
    sentence: str
    since: datetime | None = None
    evidence: tuple[str, ...] = ()
    remedy: Remedy | None = None
    explains: bool = False

    @property
    def check_id(self) -> str:
        """Stable id of the finding."""
        return f"{self.subject}/{self.check}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of a stage's recent history, for trends, rates and sparklines.

    Attributes:
        at: When it was observed.
        lag: Hop lag in seconds.
        lag_records: Lag in records.
        position: As in `Observation`.
        progress_time: As in `StageHealth`.
        newest_passed: As in `Observation`; if unknown, the progress time of the stage alone.
    """

    at: datetime
    lag: float | None
    lag_records: int | None
    position: int | None
    progress_time: datetime | None = None
    newest_passed: datetime | None = None


@dataclass(frozen=True, slots=True)
class OwnState:
    """The state of a stage by its own input and output, regardless of upstream stages.

    Attributes:
        state: Never `affected`.
        since: Start of the state; `None` if unknown.
        noticed_at: Time of the first snapshot with this state; `None` if it is the first snapshot at all.
    """

    state: StageState
    since: datetime | None = None
    noticed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StageHealth:
    """The state of one stage with its reason and values.

    Attributes:
        state: `affected` if the cause is upstream or a component.
        reason: Reason of the state, in one sentence.
        since: Start of the state; `None` if unknown.
        observation: Newest successful observation, which may be older than the snapshot: see `observed_at`.
        observed_at: Time of that observation; `None` if there has never been one.
        error: Error of the newest probe run; `None` if it succeeded.
        error_kind: As in `ProbeResult`.
        probe_duration: Seconds that the newest probe run took.
        progress_time: Everything that entered the pipeline up to then has passed the stage. Never later than the
            progress time of its inputs.
        hop_lag: Upstream progress minus own progress, in seconds.
        waiting_since: Since when its oldest input waits; `None` if none waits or it is unknown.
        read_to: Progress time up to which its input counts as read: that of its inputs when it was last `idle`. A stage
            that leaves out the last records of its input never reaches it. `None` if it was not idle with its current
            progress.
        data_age: Seconds between now and `progress_time`.
        rate: Throughput out, in records per second, over the recent history.
        inflow: Throughput in, in records per second.
        eta: Seconds until caught up at the current rates; `None` if the lag does not shrink or is unknown.
        affected_by: Name of the upstream stage or of the component that holds its data back.
        own: State regardless of upstream stages; `None` in recordings of older versions.
        samples: Recent history, oldest first.
        findings: Problems besides the state, the most severe first.
        last_findings: Findings of the newest successful probe run, for the start of each problem.
        needs: Names of the components without which it cannot be observed.
        remedy: Fix for the error, as in `ProbeResult`.
    """

    name: str
    kind: str
    component: str
    reads: tuple[str, ...]
    state: StageState
    reason: str
    since: datetime | None = None
    observation: Observation | None = None
    observed_at: datetime | None = None
    error: str | None = None
    error_kind: str | None = None
    probe_duration: float | None = None
    progress_time: datetime | None = None
    hop_lag: float | None = None
    waiting_since: datetime | None = None
    read_to: datetime | None = field(default=None, repr=False, metadata={"json": False})
    data_age: float | None = None
    rate: float | None = None
    inflow: float | None = None
    eta: float | None = None
    affected_by: str | None = None
    own: OwnState | None = None
    samples: tuple[Sample, ...] = ()
    findings: tuple[Finding, ...] = ()
    last_findings: tuple[Finding, ...] = field(default=(), repr=False)
    system: str = ""
    needs: tuple[str, ...] = ()
    remedy: str | None = None

    @property
    def own_state(self) -> StageState:
        """State regardless of upstream stages."""
        return self.own.state if self.own is not None else self.state


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """The health of one component.

    Attributes:
        name: `kafka`, `airflow`, `trino`, a catalog's name or that of its store (`lake store`), `prometheus` or
            `alertmanager`.
        kind: `kafka`, `airflow`, `trino`, `iceberg`, `store`, `prometheus` or `alertmanager`.
        target: Its address, without secrets.
        reachable: `None` before the first response or timeout.
        error: Why it is unavailable or unhealthy; `None` if it is healthy.
        error_kind: As in `ProbeResult`.
        detail: One line about it, such as its version.
        checked_at: Start of the newest probe run.
        duration: Seconds that the newest probe run took.
        since: Since when it has been healthy, or not.
        well_at: Start of the newest probe run that found it healthy; `None` if there was none.
        failed_at: Start of the first failed probe run of its newest outage; `None` if there was no outage.
        observation: Newest successful observation.
        findings: Its problems, the most severe first.
        remedy: Fix for the error, as in `ProbeResult`.
    """

    name: str
    kind: str
    target: str
    reachable: bool | None
    error: str | None = None
    error_kind: str | None = None
    detail: str | None = None
    checked_at: datetime | None = None
    duration: float | None = None
    since: datetime | None = None
    well_at: datetime | None = None
    failed_at: datetime | None = None
    observation: Observation | None = None
    findings: tuple[Finding, ...] = ()
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the data is stuck, and since when.

    Attributes:
        check_id: Stable id of the finding: `<stage>/<check>`, `<component>/<check>`, or `<stage>/<state>` if no check
            found the cause; `None` if the pipeline is healthy.
        stage: The stage that is the cause.
        component: The unavailable or unhealthy component that is the cause.
        sentence: The verdict in one sentence.
        since: Start of the problem; `None` if unknown or healthy.
        evidence: Numbers and times, one line each.
        blast_radius: Names of the affected stages, upstream first.
    """

    status: Status
    sentence: str
    check_id: str | None = None
    stage: str | None = None
    component: str | None = None
    since: datetime | None = None
    evidence: tuple[str, ...] = ()
    blast_radius: tuple[str, ...] = ()
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class PipelineHealth:
    """One pipeline: its stages, upstream first, and the verdict.

    Attributes:
        data_age: Age in seconds of the newest complete data at the oldest end of the pipeline. Idle ends count only if
            all ends are idle.
        source_age: Seconds since the newest record of the source at which the slowest path begins; `data_age` is this
            plus the sum of the hop lags on that path.
        objective: Maximum data age, in seconds.
        slowest_path: Names of the stages from that source to that end; empty if unknown.
    """

    name: str
    title: str
    stages: tuple[StageHealth, ...]
    verdict: Verdict
    data_age: float | None = None
    source_age: float | None = None
    objective: float | None = None
    slowest_path: tuple[str, ...] = ()

    def stage(self, name: str) -> StageHealth:
        """Return the stage with that name; raises KeyError."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class HealthSnapshot:
    """The health of a context at one time, for the console, the command line and the exporter.

    Attributes:
        probes: The newest result of each probe, for diagnosis and metrics.
    """

    taken_at: datetime
    context: str
    pipelines: tuple[PipelineHealth, ...] = ()
    components: tuple[ComponentHealth, ...] = ()
    probes: tuple[ProbeResult, ...] = field(default=(), repr=False)

    def pipeline(self, name: str) -> PipelineHealth:
        """Return the pipeline with that name; raises KeyError."""
        for pipeline in self.pipelines:
            if pipeline.name == name:
                return pipeline
        raise KeyError(name)

    @property
    def status(self) -> Status:
        """The worst status of all pipelines."""
        results = {p.verdict.status for p in self.pipelines}
        return next((s for s in WORST_FIRST if s in results), Status.UNKNOWN)
