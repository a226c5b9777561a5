"""Create an observation from plain values: each is checked by type, and a missing one is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Lock

from dataops_core.bounded import Malformed
from dataops_core.errors import BadAnswer
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.reasons import line
from dataops_core.systems.base import Clients, DoctorStep
from dataops_core.systems.measured.details import MeasuredDetails
from dataops_core.systems.measured.settings import MeasuredStage
from dataops_core.times import Unit, known, moment
from dataops_core.transport.fields import as_count, as_number, as_time, as_utc
from dataops_core.units import count

NO_AGE = "it has unread records, but the age of the oldest is unknown"
NO_PROGRESS = "the progress time is missing"


class LastChange:
    """The time of the last change of a stage's progress, for systems that do not report it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._value: object = None
        self._since: datetime | None = None
        self._changed = False

    def observe(self, value: object, now: datetime) -> tuple[datetime | None, bool]:
        """Return the time of the last change, and whether the change itself was observed.

        Without an observed change this is the time of the first observation. At the first observation it is `None`.
        """
        with self._lock:
            if self._since is None:
                self._value, self._since = value, now
                return None, False
            if value != self._value:
                self._value, self._since, self._changed = value, now, True
            return self._since, self._changed


def observe_values(stage: MeasuredStage, results: Mapping[str, object], where: str, clients: Clients) -> Observation:
    """Return an observation of values.

    Args:
        stage: The stage.
        results: Values by the keys of `settings.VALUES`, and labels as `labels.NAME`; `None` for a missing one.
        where: Source of the values; starts error messages.
        clients: Caches the time of the last change.

    Raises:
        BadAnswer: A value has another type than its key, or a status is missing.
    """
    now = datetime.now(UTC)
    reader = _Reader(results, where, stage.time_unit)
    progress, pending = reader.time("progress_time") or reader.before(now, "data_age"), reader.time("pending_since")
    lag, position, status = reader.count("lag_records"), reader.count("position"), reader.text("status")
    if "status" in results and status is None:
        raise BadAnswer(f"{where}: the status is missing")
    reported = progress is not None and results.get("data_age") is None  # a time derived from an age always changes
    if progress is None and lag == 0:
        progress = now  # without lag, all records have been processed
    elif progress is None and lag is not None:
        progress = pending
    change: LastChange = clients.keep(("last change", repr(stage)), LastChange)
    advanced_at, observed = change.observe(progress, now) if reported else (None, False)
    labels = reader.labels()
    notes = [f"{name}: {text if isinstance(text, str) else count(text)}" for name, text in labels]
    if advanced_at is not None and not observed:
        notes.append(f"its progress has not changed since {advanced_at:%H:%M:%SZ}, when monitoring began")
    ahead = (progress - now).total_seconds() if progress is not None else None
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=min(progress, now) if progress is not None else None,
        progress_source=ProgressSource.DERIVED if progress is not None else None,
        position=position,
        lag_records=lag,
        pending_since=pending if lag != 0 else None,
        advanced_at=advanced_at,
        notes=tuple(notes),
        details=MeasuredDetails(
            status=status,
            progress_ahead=max(0.0, ahead) if ahead is not None else None,
            labels=tuple(labels) or None,
        ),
    )


def value_steps(results: Mapping[str, object], missing: str, remedy: str) -> Iterator[DoctorStep]:
    """Yield a step for each value, found or missing, for the doctor.

    Args:
        results: Values by key; `None` for a missing one.
        missing: Reason for a missing value.
        remedy: Fix for a missing value, with `{key}`.
    """
    for key, value in results.items():
        if value is None:
            yield DoctorStep(ok=None, detail=f"{key}: {missing}", remedy=remedy.format(key=key))
        else:
            yield DoctorStep(ok=True, detail=f"{key}: found")


def why_unknown(_stage: MeasuredStage, observation: Observation) -> str | None:
    """Return why the progress of a stage without one is unknown."""
    return NO_AGE if observation.lag_records else NO_PROGRESS


class _Reader:
    """Reads values by type; raises BadAnswer with the key but not the value."""

    def __init__(self, results: Mapping[str, object], where: str, unit: Unit) -> None:
        self._values = results
        self._where = where
        self._unit = unit

    def time(self, key: str) -> datetime | None:
        value = self._values.get(key)
        if value is None:
            return None
        number = _number(value)
        if number is not None:
            at = known(moment(number, self._unit))
        else:
            try:
                at = _time(value)
            except Malformed:
                at = None
        if at is None:
            raise self._wrong(key, "a time")
        return at

    def before(self, now: datetime, key: str) -> datetime | None:
        """Return the time that is a number of seconds before now."""
        value = self._values.get(key)
        if value is None:
            return None
        age = _number(value)
        at = known(moment(now.timestamp() - age, "s")) if age is not None else None
        if at is None:
            raise self._wrong(key, "a number of seconds")
        return at

    def count(self, key: str) -> int | None:
        value = self._values.get(key)
        if value is None:
            return None
        number = None if isinstance(value, int) else _number(value)  # a float holds whole numbers up to 2**53 only
        result = as_count(int(number) if number is not None and number.is_integer() else value)
        if result is None:
            raise self._wrong(key, "a count")
        return result

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is None:
            return None
        result = _text(value)
        if result is None:
            raise self._wrong(key, "a text")
        return result

    def labels(self) -> list[tuple[str, str | float]]:
        """Return the labels that are texts or numbers; others are unknown."""
        named = ((key.partition(".")[2], value) for key, value in self._values.items() if key.startswith("labels."))
        read = ((name, _number(value) if _number(value) is not None else _text(value)) for name, value in named)
        return [(name, value) for name, value in read if value is not None]

    def _wrong(self, key: str, kind: str) -> BadAnswer:
        return BadAnswer(f"{self._where}: the value of {key} is not {kind}")


def _number(value: object) -> float | None:
    return as_number(float(value) if isinstance(value, Decimal) and value.is_finite() else value)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    number = _number(value)
    if number is not None:
        return f"{number:g}"
    return line(value) if isinstance(value, str) and value.strip() else None


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return as_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return as_time(value)
