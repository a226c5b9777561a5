"""What all diagnoses are made of: steps with a status each, and a report of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

N = TypeVar("N", bound=StrEnum)


class Status(StrEnum):
    """How a step ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, and will not for long, or not wholly."""
    UNKNOWN = "unknown"
    """Not tried, or in vain: what it needs has failed."""
    FAILED = "failed"
    NOT_USED = "not_used"


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of them; what is not used is well."""
    found = set(statuses)
    return next((s for s in (Status.FAILED, Status.UNKNOWN, Status.WARNING) if s in found), Status.OK)


@dataclass(frozen=True, slots=True)
class Step(Generic[N]):
    """Something that a diagnosis tried.

    Attributes:
        name: What was tried: a layer of a connection, a check of a platform, a question to a component.
        detail: What was found, in one line.
        remedy: What to do about it, where something is wrong.
    """

    name: N
    status: Status
    detail: str
    remedy: str | None = None

    def as_dict(self, key: str) -> dict[str, str | None]:
        """Return the step for JSON, with its name at a key."""
        return {key: self.name.value, "result": self.status.value, "detail": self.detail, "mend": self.remedy}


@dataclass(slots=True)
class Report(Generic[N]):
    """The steps of a diagnosis, in their order."""

    steps: list[Step[N]] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """The worst that was found."""
        return worst(step.status for step in self.steps)

    def add(self, name: N, status: Status, detail: str, remedy: str | None = None) -> None:
        """Add what was found at the next step."""
        self.steps.append(Step(name, status, detail, remedy))
