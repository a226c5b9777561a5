"""The health of stages, components and pipelines, as it is evaluated from what probes observe.

All times are aware datetimes in UTC, all durations are seconds. `None` always means *unknown*, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dataops_core.health.observation import Observation, ProbeResult

SCHEMA_VERSION = 1
"""Version of the JSON form of a health snapshot; raised when a field changes its meaning or goes away."""


def store_of(catalog: str) -> str:
    """Return the name of the object store in which the tables of a catalog lie, as a component."""
    return f"{catalog} store"


class StageState(StrEnum):
    """How a stage is doing. Shown as glyph and word, never by colour alone."""

    CAUGHT_UP = "caught_up"
    IDLE = "idle"
    """Caught up, and nothing new arrives."""
    BEHIND = "behind"
    """Lagging, and not losing ground."""
    SLOW = "slow"
    """Lagging, and the lag grows although output advances."""
    STUCK = "stuck"
    """Input waits, and output has not advanced for longer than the stall time."""
    FAILED = "failed"
    """The system itself says so."""
    UNKNOWN = "unknown"
    """The probe could not determine it."""
    AFFECTED = "affected"
    """The stage itself works, but data is missing because of a stage upstream or of a component."""
    STARTING = "starting"
    """Not probed yet: nothing is known, and nothing is wrong."""


class Status(StrEnum):
    """The conclusion for a whole pipeline."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    STARTING = "starting"
    """Not all probes have had their first result, and nothing is known to be wrong."""

    @property
    def exit_code(self) -> int:
        """Exit code of `dataops probe`: 0 ok, 1 warning, 2 critical, 3 unknown or starting."""
        return {Status.OK: 0, Status.WARNING: 1, Status.CRITICAL: 2}.get(self, 3)


WORST_FIRST = (Status.CRITICAL, Status.UNKNOWN, Status.WARNING, Status.STARTING, Status.OK)
"""What is to be looked at first."""


class Severity(StrEnum):
    """What a finding does to the verdict."""

    CRITICAL = "critical"
    """Data is lost or cannot pass: the stage has failed, or the component does not do its work."""
    WARNING = "warning"
    """Data is at risk: a warning, unless something is stuck or slow."""
    ADVICE = "advice"
    """Maintenance is due: a warning only when nothing else is wrong."""
    NOTE = "note"
    """Never a warning by itself: it explains why a stage is stuck, slow or behind, or is reported with it."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a finding.

    Attributes:
        text: One sentence.
        command: The exact shell command, where there is one.
        dag_id: The DAG to trigger from the console, where that is the remedy.
    """

    text: str
    command: str | None = None
    dag_id: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a stage or a component.

    Attributes:
        check: Name of the check in `dataops_core.health.checks`, e.g. `small-files`.
        subject: Name of the stage or component.
        severity: What it does to the verdict.
        sentence: What is wrong, without the subject, with numbers.
        since: Since when, as far as can be determined.
        evidence: Further numbers and times, one line each.
        remedy: What to do.
        explains: Whether it is why a stage is stuck, slow or behind, or a view of Trino has failed, where it is.
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
        lag_records: Records in front of the stage.
        position: As in `Observation`.
        progress_time: As in `StageHealth`.
        newest_passed: As in `Observation`.
    """

    at: datetime
    lag: float | None
    lag_records: int | None
    position: int | None
    progress_time: datetime | None = None
    newest_passed: datetime | None = None


@dataclass(frozen=True, slots=True)
class OwnState:
    """The state of a stage by its own input and output, whatever is upstream.

    Attributes:
        state: Never `affected`.
        since: Since when, as far as known.
        noticed_at: Time of the first snapshot in which it was so; `None` if it was so in the first one of all.
    """

    state: StageState
    since: datetime | None = None
    noticed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StageHealth:
    """One stage's state with what it rests on.

    Attributes:
        state: Its state in the pipeline: `affected` where the cause is upstream or a component.
        reason: Why it is in this state, in one sentence.
        since: Since when it is in this state, as far as can be determined.
        observation: Newest successful observation; may be older than the snapshot: see `observed_at`.
        observed_at: When that observation was made; `None` if there has never been one.
        error: Why the newest run of the probe failed; `None` if it did not.
        error_kind: As in `ProbeResult`.
        probe_duration: Seconds that the newest run took.
        progress_time: Everything that entered the pipeline up to then has passed the stage; never later than the
            progress time of what it reads.
        hop_lag: Upstream progress minus own progress, in seconds.
        data_age: Seconds between now and `progress_time`.
        rate: Records per second that pass, over the recent history.
        inflow: Records per second that arrive in front of the stage.
        eta: Seconds until caught up at the present rates; `None` if not shrinking or unknown.
        affected_by: Name of the upstream stage, or of the component, that holds its data back.
        own: Its state without regard to what is upstream; `None` in recordings of older versions.
        samples: Recent history, oldest first.
        findings: What is wrong with it, besides what `state` says; the worst first.
        last_findings: The findings of the newest probe run that succeeded, for since when they last.
        system: Name of the system that it belongs to.
        needs: Names of the components that it cannot be observed without.
        remedy: What to do about the error, as in `ProbeResult`.
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
        """Its state without regard to what is upstream."""
        return self.own.state if self.own is not None else self.state


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """Whether a component answers.

    Attributes:
        name: `kafka`, `airflow`, `trino`, a catalog's name or that of its store (`lake store`), `prometheus` or
            `alertmanager`.
        kind: `kafka`, `airflow`, `trino`, `iceberg`, `store`, `prometheus` or `alertmanager`.
        target: Its address, without secrets.
        reachable: `None` before the first answer or deadline.
        error: Why it is not reachable, or why it does not do its work.
        error_kind: As in `ProbeResult`.
        detail: One line about it.
        checked_at: When it was last asked.
        duration: Seconds that it took to answer.
        since: Since when it has been well, or not.
        well_at: When it was last checked and well; `None` if never.
        observation: What was seen of it when it answered last.
        findings: What is wrong with it; the worst first.
        remedy: What to do about the error, as in `ProbeResult`.
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
    observation: Observation | None = None
    findings: tuple[Finding, ...] = ()
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the data is stuck, and since when.

    Attributes:
        status: Conclusion for the pipeline.
        check_id: Stable id of the finding: `<stage>/<check>`, `<component>/<check>`, or `<stage>/<state>` where no
            check knows the cause; `None` when all is well.
        stage: The stage to blame.
        component: The unavailable or unhealthy component, if it is the cause.
        sentence: The verdict in one sentence.
        since: Since when.
        evidence: Numbers and times, one line each.
        blast_radius: Names of everything downstream of the stage, upstream first.
        remedy: What to do.
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
        data_age: Age in seconds of the newest complete data that a reader of an end sees, of the oldest end. Ends into
            which nothing new flows count only where there are no others.
        source_age: Seconds since the newest record of the source at which the slowest path begins; `data_age` is this
            plus the sum of the hop lags along that path.
        slowest_path: Names of the stages from that source to that end; empty if unknown.
        objective: The data age that is agreed, in seconds.
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
        """Return the stage of that name; raises KeyError."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class HealthSnapshot:
    """Everything known at one instant; the one thing that flows to console, command line and exporter.

    Attributes:
        probes: The newest result of each probe, for diagnosis and metrics.
    """

    taken_at: datetime
    context: str
    pipelines: tuple[PipelineHealth, ...] = ()
    components: tuple[ComponentHealth, ...] = ()
    probes: tuple[ProbeResult, ...] = field(default=(), repr=False)

    def pipeline(self, name: str) -> PipelineHealth:
        """Return the pipeline of that name; raises KeyError."""
        for pipeline in self.pipelines:
            if pipeline.name == name:
                return pipeline
        raise KeyError(name)

    @property
    def status(self) -> Status:
        """The worst status of all pipelines."""
        found = {p.verdict.status for p in self.pipelines}
        return next((s for s in WORST_FIRST if s in found), Status.UNKNOWN)
