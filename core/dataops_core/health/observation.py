"""Observations of stages and components, and results of probe runs.

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
    """Current activity of a stage's worker, as the system reports it."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    QUEUED = "queued"
    WAITING = "waiting"
    """Nothing to do until the next trigger."""
    PAUSED = "paused"


class ProgressSource(StrEnum):
    """Source of a progress time."""

    STAMPED = "stamped"
    """The job that wrote the data put it into the commit (`dataops.progress-time`)."""
    DERIVED = "derived"
    """Derived from offsets, column statistics or run times."""


@dataclass(frozen=True, slots=True)
class Advance:
    """One advance of a stage's output, as the stage itself recorded it: for a table, one commit.

    Attributes:
        at: When the output advanced.
        progress_time: The stage's progress time after it.
        oldest: Pipeline-entry time of the oldest record that passed with it; `None` if unknown.
        first: Whether it is certain that no record passed before it.
    """

    at: datetime
    progress_time: datetime
    oldest: datetime | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class WriterChange:
    """A change of the streaming query that writes to a table: the previous query's checkpoint was lost.

    Attributes:
        at: Time of the new query's first commit.
        old: Id of the previous query.
        new: Id of the new query.
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
        progress_time: Everything that entered the pipeline up to this time has passed the stage. In pipeline-entry
            time: the timestamp that the broker gave the record.
        position: Number of records that have ever passed the stage, or a count that grows with them; the base of rates.
        lag_records: Lag in records; never negative.
        pending_since: Pipeline-entry time of the oldest unread record; `None` if there is none or it is unknown.
        newest_passed: Pipeline-entry time of the newest record that has passed; no record lies between it and
            `pending_since`. `None` if no record waits or it is unknown.
        advanced_at: When the stage's output last advanced, as the system recorded it (time of a commit, end of a run).
        advances: The stage's recent advances, oldest first; they show which input its readers have not read.
        failure: Failure that the system reports, in one line; `None` if there is none.
        writer_change: The newest change of the streaming query that writes; `None` if none is known.
        notes: Evidence in words, one short line each, most important first.
        figures: Measurements of `details`.
        facts: Attributes of `details`; `notes` are for people.
        details: Values of the kind of stage or component; recorded values in a recording.
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
        """Return the value of a measurement; `None` if unknown."""
        return next((f.value for f in self.figures if f.name == name), None)

    def attribute(self, name: str) -> str | None:
        """Return the text of an attribute; `None` if unknown."""
        return next((f.text for f in self.facts if f.name == name), None)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one run of one probe.

    Attributes:
        probe: Kind of the stage or the component.
        target: `pipeline/stage` for a stage, the address without secrets for a component.
        component: Name of the component that was queried: `kafka`, `airflow`, `trino`, `spark` or a catalog's name.
        duration: Seconds that it took, or has taken so far if it exceeded its deadline.
        success: Whether the response was valid. "No data" is a success.
        pipeline: Name of the pipeline; `None` for a component.
        stage: Name of the stage; `None` for a component.
        error: Error in one line without secrets; `None` on success.
        error_kind: Kind of the error: `unreachable`, `timed_out`, `credentials_refused`, `permission_denied`,
            `bad_answer`, `not_found`; `None` for any other error.
        observation: The observation of the stage or the component; `None` on failure.
        detail: For a component, one line about it (version, nodes).
        needs: Names of the components without which the stage cannot be observed.
        remedy: Fix for the error, if its cause is known; else the remedy of its kind applies.
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
