"""Settings of stages that are observed by values: common ones, and expressions on documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Literal

from pydantic import Field

from dataops_core.config.base import StageSettings
from dataops_core.systems.measured.details import MeasuredDetails

LABELS_MAX = 20
"""Maximum number of labels of a stage; each number is a series of the exporter."""


class MeasuredStage(StageSettings):
    """Common settings of stages that are observed by values."""

    every: float = Field(default=30.0, gt=0)
    """Seconds between two observations."""
    time_unit: Literal["s", "ms", "us"] = "s"
    """Unit of times that are numbers, counted from 1970 in UTC. Texts are in ISO 8601, in UTC without a time zone."""
    status_ok: tuple[str, ...] = ()
    """Healthy statuses; any other one is a failure of the stage."""
    lag_records_max: int | None = Field(default=None, ge=0)
    """Maximum lag in records. Default: no limit."""


class ExpressionStage(MeasuredStage):
    """A stage that is observed by expressions; each kind documents them for its language."""

    progress_time: str | None = None
    data_age: str | None = None
    pending_since: str | None = None
    lag_records: str | None = None
    position: str | None = None
    status: str | None = None
    labels: dict[str, str] = Field(default={})


class DocumentStage(ExpressionStage):
    """A stage that is observed by expressions on a JSON document."""

    progress_time: str | None = None
    """JMESPath expression of the time up to which the stage has processed all data."""
    data_age: str | None = None
    """JMESPath expression of the age of the newest complete data in seconds, in place of `progress_time`."""
    pending_since: str | None = None
    """JMESPath expression of the time at which the oldest unread record entered the pipeline."""
    lag_records: str | None = None
    """JMESPath expression of the number of unread records."""
    position: str | None = None
    """JMESPath expression of a count that grows with each processed record; the base of rates."""
    status: str | None = None
    """JMESPath expression of the status, which must be one of `status_ok`."""
    labels: dict[str, str] = Field(default={})
    """JMESPath expressions of additional values by name: a number becomes a metric, a text is shown."""


VALUES = ("progress_time", "data_age", "pending_since", "lag_records", "position", "status")
"""Keys of the values in a document or row, besides labels."""


def expressions(stage: ExpressionStage) -> Mapping[str, str]:
    """Return the expressions of a stage by key; labels as `labels.NAME`."""
    own = {key: text for key in VALUES if (text := getattr(stage, key)) is not None}
    return own | {f"labels.{name}": text for name, text in stage.labels.items()}


def document_problems(stage: DocumentStage, details: type[MeasuredDetails] = MeasuredDetails) -> Iterator[str]:
    """Yield the problems of a document stage; each line begins with the key."""
    from dataops_core.systems.measured.expressions import expression_problem  # noqa: PLC0415 - once a stage is checked

    return expression_problems(stage, expression_problem, details)


def expression_problems(
    stage: ExpressionStage, problem: Callable[[str], str | None], details: type[MeasuredDetails] = MeasuredDetails
) -> Iterator[str]:
    """Yield the problems of a stage with expressions; each line begins with the key.

    Args:
        stage: The stage.
        problem: Returns the problem of one expression, or `None`.
        details: Type of the stage's details; labels may not use its names.
    """
    yield from progress_problems(stage.progress_time, stage.data_age, stage.lag_records)
    for key, text in expressions(stage).items():
        wrong = problem(text)
        if wrong is not None:
            yield f".{key}: {wrong}"
    if (stage.status is None) != (not stage.status_ok):
        yield ": `status` and `status_ok` come together"
    yield from label_problems(stage.labels, details)


def progress_problems(progress_time: object, data_age: object, lag_records: object) -> Iterator[str]:
    """Yield a problem if a stage sets none of the values that define its progress, or two of them."""
    if progress_time is None and data_age is None and lag_records is None:
        yield ": needs `progress_time`, `data_age` or `lag_records`: without one of them its state is unknown"
    if progress_time is not None and data_age is not None:
        yield ": has `progress_time` and `data_age`; keep one of the two"


def label_problems(labels: Mapping[str, object], details: type[MeasuredDetails]) -> Iterator[str]:
    """Yield the problems of the names of labels."""
    taken = {each.name for each in fields(details)} | set(VALUES)
    if len(labels) > LABELS_MAX:
        yield f".labels: has {len(labels)} labels; the maximum is {LABELS_MAX}"
    for name in labels:
        if not (name.isascii() and name.isidentifier() and name.islower()):
            yield f'.labels: "{name}": a name may hold lower-case letters, digits and _ only'
        elif name in taken:
            yield f'.labels: "{name}": the stage already has a value of this name'
