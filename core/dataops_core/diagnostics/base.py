"""Steps with a status, and the report of a diagnosis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

N = TypeVar("N", bound=StrEnum)


class Status(StrEnum):
    """Result of a step."""

    OK = "ok"
    WARNING = "warning"
    """It works, but only in part or not for long."""
    UNKNOWN = "unknown"
    """Not checked, or it could not be determined."""
    FAILED = "failed"
    NOT_USED = "not_used"


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst status; `NOT_USED` counts as `OK`."""
    results = set(statuses)
    return next((s for s in (Status.FAILED, Status.UNKNOWN, Status.WARNING) if s in results), Status.OK)


@dataclass(frozen=True, slots=True)
class Step(Generic[N]):
    """One step of a diagnosis.

    Attributes:
        name: A layer of a connection, a check of the monitoring, or a question to a component.
        detail: The result, in one line.
        remedy: The fix, if there is a problem.
    """

    name: N
    status: Status
    detail: str
    remedy: str | None = None

    def as_dict(self, key: str) -> dict[str, str | None]:
        """Return the step as JSON-ready data, with its name at the given key."""
        return {key: self.name.value, "result": self.status.value, "detail": self.detail, "mend": self.remedy}


@dataclass(slots=True)
class Report(Generic[N]):
    """The steps of a diagnosis, in order."""

    steps: list[Step[N]] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """The worst status of the steps."""
        return worst(step.status for step in self.steps)

    def add(self, name: N, status: Status, detail: str, remedy: str | None = None) -> None:
        """Add the next step."""
        self.steps.append(Step(name, status, detail, remedy))
