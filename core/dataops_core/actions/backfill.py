"""Backfills: runs of a DAG for past dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from dataops_core.errors import ActionRefused


class Again(StrEnum):
    """Which dates that have a run are run again; Airflow's `reprocess_behavior`."""

    NONE = "none"
    FAILED = "failed"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Backfill:
    """A DAG and the dates to run it for, from `start` to `end` inclusive."""

    dag_id: str
    start: datetime
    end: datetime
    again: Again = Again.NONE

    @classmethod
    def of(cls, dag_id: str, start: str, end: str, again: str = Again.NONE) -> Self:
        """Return the backfill for dates as typed; a time without a zone is in UTC.

        Raises:
            ActionRefused: A date or `again` is not valid.
        """
        first, last = _instant(start), _instant(end)
        if last < first:
            raise ActionRefused(f"a backfill from {start} to {end} ends before it begins")
        if again not in list(Again):
            raise ActionRefused(f'"{again}" does not say which dates to rerun: use one of {", ".join(Again)}')
        return cls(dag_id, first, last, Again(again))

    @classmethod
    def typed(cls, dag_id: str, text: str) -> Self:
        """Return the backfill for `2026-11-20..2026-11-23` or `2026-11-20..2026-11-23 failed`; raises ActionRefused."""
        period, _, again = text.strip().partition(" ")
        start, dots, end = period.partition("..")
        if not dots:
            raise ActionRefused("type the first and the last date: 2026-11-20..2026-11-23")
        return cls.of(dag_id, start, end, again.strip() or Again.NONE)

    @property
    def body(self) -> dict[str, str]:
        """The body of the request to Airflow's API."""
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
