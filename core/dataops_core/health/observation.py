"""What probes observe: one observation of a stage or a component, and how each run of a probe went.

All times are aware datetimes in UTC, all durations are seconds. `None` always means *unknown*, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dataops_core.health.details import NO_DETAILS, Attribute, Details, Measurement, RecordedDetails


class Activity(StrEnum):
    """What the system says that the stage's worker is doing right now."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    QUEUED = "queued"
    WAITING = "waiting"
    """Nothing to do until the next trigger."""
    PAUSED = "paused"


class ProgressSource(StrEnum):
    """Where a progress time comes from."""

    STAMPED = "stamped"
    """The job that wrote the data said so in the commit (`dataops.progress-time`)."""
    DERIVED = "derived"
    """Worked out from offsets, column statistics or run times."""


@dataclass(frozen=True, slots=True)
class Advance:
    """One advance of a stage's output, as the stage itself recorded it: for a table, one commit.

    Attributes:
        at: When the output advanced.
        progress_time: The stage's progress time from then on.
        oldest: Pipeline-entry time of the oldest record that this advance let through; `None` if not recorded.
        first: Whether the stage is known to have let nothing through before it.
    """

    at: datetime
    progress_time: datetime
    oldest: datetime | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class WriterChange:
    """A streaming query writes to a table that another one wrote to before: the other one's checkpoint is gone.

    Attributes:
        at: When the new one committed first.
        old: Id of the query before.
        new: Id of the query now.
    """

    at: datetime
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of one probe of one stage at one time, without evaluation.

    Attributes:
        stage: Name of the stage, unique within its pipeline.
        observed_at: When the probe read it.
        progress_time: Everything that entered the pipeline up to this instant has passed the stage. In pipeline-entry
            time: the timestamp that the broker gave the record.
        progress_source: Where `progress_time` comes from.
        position: Records that have ever passed the stage, or any count that grows with them; the base of rates.
        lag_records: Records that wait in front of the stage; never negative.
        pending_since: Pipeline-entry time of the oldest record that waits in front of the stage; `None` if none waits
            or it is unknown.
        newest_passed: Pipeline-entry time of the newest record that has passed, where something waits: between it and
            `pending_since` there is nothing. `None` if nothing waits or it is unknown.
        advanced_at: When the stage's output last advanced, by the system's own record (time of a commit, end of a run).
        advances: The stage's recent advances, oldest first: they show a reader what it has not processed yet.
        activity: What the worker is doing now.
        failure: Why the system itself calls the stage failed, in one line; `None` if it does not.
        writer_change: The newest change of the streaming query that writes; `None` if none is known.
        notes: Evidence in words, one short line each, most telling first.
        figures: Further numbers, as `details` has them.
        facts: Further words, as `details` has them; `notes` are for people.
        details: What the kind of the stage or component adds; of a recording, what was recorded of it.
    """

    stage: str
    observed_at: datetime
    progress_time: datetime | None = None
    progress_source: ProgressSource | None = None
    position: int | None = None
    lag_records: int | None = None
    pending_since: datetime | None = None
    newest_passed: datetime | None = None
    advanced_at: datetime | None = None
    advances: tuple[Advance, ...] = field(default=(), repr=False)
    activity: Activity = Activity.UNKNOWN
    failure: str | None = None
    writer_change: WriterChange | None = None
    notes: tuple[str, ...] = ()
    figures: tuple[Measurement, ...] = ()
    facts: tuple[Attribute, ...] = ()
    details: Annotated[Details, Field(exclude=True)] = field(
        default=NO_DETAILS, repr=False, compare=False, metadata={"json": False}
    )

    def __post_init__(self) -> None:
        if isinstance(self.details, RecordedDetails) or self.details is NO_DETAILS:
            recorded = RecordedDetails(recorded_measurements=self.figures, recorded_attributes=self.facts)
            object.__setattr__(self, "details", recorded)
        else:
            object.__setattr__(self, "figures", tuple(self.details.measurements()))
            object.__setattr__(self, "facts", tuple(self.details.attributes()))

    def measurement(self, name: str) -> float | None:
        """Return the value of a measurement; `None` where it is unknown."""
        return next((f.value for f in self.figures if f.name == name), None)

    def attribute(self, name: str) -> str | None:
        """Return the text of an attribute; `None` where it is unknown."""
        return next((f.text for f in self.facts if f.name == name), None)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How one run of one probe went.

    Attributes:
        probe: Kind of probe: the stage kind for a stage, else the kind of the component.
        target: What was probed, without secrets: `pipeline/stage` for a stage, an address for a component.
        pipeline: Name of the pipeline, for a stage.
        stage: Name of the stage, for a stage.
        component: Name of the component that answers for it: `kafka`, `airflow`, `trino`, `spark` or a catalog's name.
        started_at: When the run began.
        duration: Seconds that it took, or has taken so far when it ran into its deadline.
        success: Whether the component answered with what was asked. "No data" is a success.
        error: Why not, in one line without secrets.
        error_kind: The same as a word: `unreachable`, `timed_out`, `credentials_refused`, `permission_denied`,
            `bad_answer`, `not_found`; `None` for any other reason.
        remedy: What to do about it, where its cause is known; else the remedy of its kind holds.
        observation: What was seen of the stage, or of the component; `None` when `success` is false.
        detail: For a component, one line about it (version, nodes).
        system: Name of the system that it belongs to.
        needs: Names of the components that the stage cannot be observed without.
    """

    probe: str
    target: str
    component: str
    started_at: datetime
    duration: float
    success: bool
    pipeline: str | None = None
    stage: str | None = None
    error: str | None = None
    error_kind: str | None = None
    observation: Observation | None = None
    detail: str | None = None
    system: str = ""
    needs: tuple[str, ...] = ()
    remedy: str | None = None
