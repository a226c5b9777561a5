"""Read the number of late rows of a running query from the REST API of Spark's web UI; the checkpoint does not have it.

See "REST API" in Spark's monitoring guide. A batch of a Structured Streaming query is one SQL execution, whose
description names the query's id; the executions that Spark remembers are `spark.sql.ui.retainedExecutions` (1,000).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from urllib.parse import quote

from dataops_core.bounded import Malformed
from dataops_core.config import WebSettings, without_user_info
from dataops_core.errors import BadAnswer, DataopsError
from dataops_core.times import known, moment
from dataops_core.transport.deadlines import Deadline
from dataops_core.transport.fields import Fields, as_time, objects
from dataops_core.transport.http import get_json

WITHIN = timedelta(minutes=10)
"""Window of late rows."""
EVERY = timedelta(seconds=30)
"""Minimum interval between requests; the list of executions is long."""
TIMEOUT = 2.0
"""Seconds; short, because a query may be healthy without its UI."""
DROPPED = "number of rows which are dropped by watermark"
"""Spark's name of the metric of dropped late rows (`StateStoreWriter`)."""
_PATH = "/api/v1/applications"


@dataclass(frozen=True, slots=True)
class LateRows:
    """Rows that a query's stateful operators dropped because they were older than the watermark.

    Attributes:
        rows: Number within the last 10 minutes. Spark counts after its first aggregation, so rows of one batch with
            the same key and window can count as one. `None` if the plans do not show it, for example with
            `foreachBatch`.
        at: End of the newest batch with such rows.
    """

    rows: int | None
    at: datetime | None


class SparkUi:
    """The web UI of the driver that runs a query; safe to share between threads.

    Args:
        settings: Address and credentials.
        timeout: Deadline of all requests of a refresh in seconds; the next refresh reads the remaining batches.
    """

    def __init__(self, settings: WebSettings, timeout: float = TIMEOUT) -> None:
        self.target = without_user_info(settings.url.rstrip("/"))
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._requested: datetime | None = None
        self._failed: DataopsError | None = None
        self._app = ""
        self._deadline = Deadline(0.0)
        self._batches: dict[int, tuple[datetime, int | None]] = {}

    def late_rows(self, query_id: str, now: datetime) -> LateRows:
        """Return the dropped late rows, cached for `EVERY`; raise DataopsError."""
        with self._lock:
            if self._requested is None or now - self._requested >= EVERY:
                self._requested, self._failed = now, None
                try:
                    self._read(query_id, now)
                except DataopsError as error:  # also an unreadable secret or certificate
                    self._failed = error
                except Malformed as error:
                    self._failed = BadAnswer(f"spark {self.target}: the response is not from Spark: it {error}")
            if self._failed is not None:  # a UI that hangs must not slow down every refresh
                raise self._failed
            counted = [(ended, rows) for ended, rows in self._batches.values() if rows is not None]
        return LateRows(
            sum(rows for _, rows in counted) if counted else None,
            max((ended for ended, rows in counted if rows), default=None),
        )

    def _read(self, query_id: str, now: datetime) -> None:
        self._deadline = Deadline(self._timeout)
        app = read_running(self._get(""))
        if app != self._app:  # a new driver counts its executions from 0
            self._app = app
            self._batches.clear()
        listed = self._get(f"/{quote(app, safe='')}/sql?details=false&planDescription=false&offset=0&length=100000")
        ended = read_ended(listed, query_id)
        recent = {number: at for number, at in ended.items() if now - at <= WITHIN}
        self._batches = {number: read for number, read in self._batches.items() if number in recent}
        for number in sorted(recent.keys() - self._batches.keys(), reverse=True):
            if self._deadline.passed:
                break
            detail = self._get(f"/{quote(app, safe='')}/sql/{number}?details=true&planDescription=false")
            self._batches[number] = (recent[number], read_dropped(detail))

    def _get(self, path: str) -> object:
        left = max(0.1, self._deadline.left)
        result: object = get_json(f"spark {self.target}", self._settings, _PATH + path, left)
        return result


def read_running(answer: object) -> str:
    """Return the id of the running application from `/applications`; raise Malformed."""
    for app in objects(answer):
        attempts = [*app.require_objects("attempts")]
        if attempts and not attempts[-1].require_flag("completed"):
            return app.require_text("id")
    raise Malformed("has no running application")


def read_ended(answer: object, query_id: str) -> dict[int, datetime]:
    """Return the end of each batch of a query by execution, from `/sql`; raise Malformed if it is not a list.

    Executions that are unreadable, still running or of another query are left out.
    """
    ended = {}
    for execution in objects(answer):
        number, took = execution.count("id"), execution.count("duration")
        began = execution.text("submissionTime") or ""
        ours = f"id = {query_id}\n" in (execution.text("description") or "")
        at = as_time(began.removesuffix("GMT") + "+00:00") if began.endswith("GMT") else None
        if not ours or number is None or took is None or at is None or execution.text("status") in (None, "RUNNING"):
            continue
        end = known(moment(at.timestamp() * 1000 + took, "ms"))
        if end is not None:
            ended[number] = end
    return ended


def read_dropped(answer: object) -> int | None:
    """Return the late rows that an execution dropped, from `/sql/ID`, or `None` if its plan does not show them."""
    dropped = [
        _digits(metric.require_text("value"))
        for node in Fields(answer).require_objects("nodes")
        for metric in node.require_objects("metrics")
        if metric.text("name") == DROPPED
    ]
    return sum(dropped) if dropped else None


def _digits(text: str) -> int:
    """Return a number that has thousands separators of the driver's locale."""
    digits = re.sub(r"[^0-9]", "", text)
    if not 0 < len(digits) <= 18:
        raise Malformed("has a metric that is not a number")
    return int(digits)
