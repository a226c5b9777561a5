"""Runs of a job of the dbt platform, as its Administrative API v2 reports them.

Source: `openapi-v2.yaml` of github.com/dbt-labs/dbt-cloud-openapi-spec (2026-08), schema `RunResponse`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dataops_core.bounded import Malformed
from dataops_core.systems.dbt.responses import one_line
from dataops_core.transport.fields import Fields

STATES: Mapping[int, str] = {1: "queued", 2: "starting", 3: "running", 10: "success", 20: "error", 30: "cancelled"}
"""States by their number in `status`."""
FAILED = ("error", "cancelled")
LINK = ("https://", "http://")
"""Beginnings of a valid link."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a job.

    Attributes:
        state: One of `STATES`, or `status 7` for an unknown number.
        saved: Whether its artifacts are stored; `None` if the API does not report it.
        message: Why it failed, in one line without secrets.
        link: Its page.
    """

    id: int
    state: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    saved: bool | None
    message: str | None
    link: str | None

    @property
    def finished(self) -> bool:
        """Whether it has ended, with or without success."""
        return self.state == "success" or self.failed

    @property
    def failed(self) -> bool:
        """Whether it ended with an error, or was cancelled."""
        return self.state in FAILED

    @property
    def title(self) -> str:
        """Its id and its state: `105 (error)`."""
        return f"{self.id} ({self.state})"


def read_runs(answer: object) -> tuple[Run, ...]:
    """Return the runs of a listing, newest first.

    An invalid run is left out if a finished one is listed before it, because then it cannot have the newest artifacts.
    Otherwise it raises Malformed.
    """
    runs: list[Run] = []
    for each in Fields(answer).require_objects("data"):
        try:
            runs.append(_run(each))
        except Malformed:
            if not any(run.finished for run in runs):
                raise
    return tuple(sorted(runs, key=lambda run: run.id, reverse=True))


def read_run(answer: object) -> Run:
    """Return the run of a response; raise Malformed."""
    return _run(Fields(answer).require_inner("data"))


def read_id(answer: object) -> int:
    """Return the id of a response with one object, such as a job; raise Malformed."""
    return Fields(answer).require_inner("data").require_count("id")


def _run(fields: Fields) -> Run:
    status = fields.require_count("status")
    link = one_line(fields.text("href"))
    return Run(
        id=fields.require_count("id"),
        state=STATES.get(status, f"status {status}"),
        created_at=fields.require_time("created_at"),
        started_at=fields.time("started_at"),
        finished_at=fields.time("finished_at"),
        saved=fields.flag("artifacts_saved"),
        message=one_line(fields.text("status_message")),
        link=link if link is not None and link.startswith(LINK) else None,
    )
