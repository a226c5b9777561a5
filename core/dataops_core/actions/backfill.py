"""Runs of a DAG for a time that has passed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from dataops_core.errors import ActionRefused


class Again(StrEnum):
    """Which dates run again although they have a run, in Airflow's words (`reprocess_behavior`)."""

    NONE = "none"
    FAILED = "failed"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Backfill:
    """What is to be run.

    Attributes:
        dag_id: The DAG.
        start: First date that counts.
        end: Last date that counts.
        again: Which dates run again although they have a run.
    """

    dag_id: str
    start: datetime
    end: datetime
    again: Again = Again.NONE

    @classmethod
    def of(cls, dag_id: str, start: str, end: str, again: str = Again.NONE) -> Self:
        """Read it as it was typed; a time without a zone is in UTC.

        Raises:
            ActionRefused: It is none, and why.
        """
        first, last = _instant(start), _instant(end)
        if last < first:
            raise ActionRefused(f"a backfill from {start} to {end} ends before it begins")
        if again not in list(Again):
            raise ActionRefused(f'"{again}" is none of {", ".join(Again)}: which dates run again')
        return cls(dag_id, first, last, Again(again))

    @classmethod
    def typed(cls, dag_id: str, text: str) -> Self:
        """Read `2026-11-20..2026-11-23`, or `2026-11-20..2026-11-23 failed`; raises ActionRefused."""
        period, _, again = text.strip().partition(" ")
        start, dots, end = period.partition("..")
        if not dots:
            raise ActionRefused("type the first and the last date: 2026-11-20..2026-11-23")
        return cls.of(dag_id, start, end, again.strip() or Again.NONE)

    @property
    def body(self) -> dict[str, str]:
        """What Airflow's API is asked for, as its preview shows it."""
        return {
            "dag_id": self.dag_id,
            "from_date": self.start.isoformat(),
            "to_date": self.end.isoformat(),
            "reprocess_behavior": self.again.value,
        }


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ActionRefused(f'"{text}" is not a date: write 2026-11-20, or 2026-11-20T06:00') from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
