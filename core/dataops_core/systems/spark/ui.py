"""Spark's web UI: what a running query's checkpoint does not tell. Read only, over Spark's monitoring REST API.

See "REST API" in Spark's monitoring guide. A batch of a Structured Streaming query is one SQL execution, whose
description names the query's id; the executions that Spark remembers are `spark.sql.ui.retainedExecutions` (1,000).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from dataops_core.config import WebSettings, without_user_info
from dataops_core.errors import BadAnswer, DataopsError
from dataops_core.transport.deadlines import Deadline
from dataops_core.transport.http import get_json

WITHIN = timedelta(minutes=10)
"""How far back late rows count."""
EVERY = timedelta(seconds=30)
"""How seldom Spark is asked: its list of executions is long."""
TIMEOUT = 2.0
"""Seconds; short, as a query may do well without its UI."""
DROPPED = "number of rows which are dropped by watermark"
"""Spark's name for what a stateful operator has dropped as late (`StateStoreWriter`)."""
_PATH = "/api/v1/applications"


@dataclass(frozen=True, slots=True)
class LateRows:
    """Rows that a query's stateful operators have dropped, because they came after the watermark.

    Attributes:
        rows: How many within the last ten minutes. Spark counts behind its first aggregation: rows of one batch with
            the same key and window can count as one. `None` where its plans do not tell, as those of a query that
            writes with `foreachBatch` do not.
        at: When the newest batch with such rows ended.
    """

    rows: int | None
    at: datetime | None


class SparkUi:
    """The web UI of the driver that runs a query; safe to share between threads.

    Args:
        settings: Where it is and who we are.
        timeout: Deadline of all requests of a look together, in seconds; batches that are left are for the next one.
    """

    def __init__(self, settings: WebSettings, timeout: float = TIMEOUT) -> None:
        self.target = without_user_info(settings.url.rstrip("/"))
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._asked: datetime | None = None
        self._failed: DataopsError | None = None
        self._app = ""
        self._deadline = Deadline(0.0)
        self._batches: dict[int, tuple[datetime, int | None]] = {}

    def late_rows(self, query_id: str, now: datetime) -> LateRows:
        """Return what was dropped as late, not older than `EVERY`; raises DataopsError."""
        with self._lock:
            if self._asked is None or now - self._asked >= EVERY:
                self._asked, self._failed = now, None
                try:
                    self._read(query_id, now)
                except DataopsError as error:  # also a secret or a certificate that cannot be read
                    self._failed = error
                except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError):
                    self._failed = BadAnswer(f"spark {self.target}: the answer is not that of a running application")
            if self._failed is not None:  # one that hangs must not hold each look up
                raise self._failed
            counted = [(ended, rows) for ended, rows in self._batches.values() if rows is not None]
        return LateRows(
            sum(rows for _, rows in counted) if counted else None,
            max((ended for ended, rows in counted if rows), default=None),
        )

    def _read(self, query_id: str, now: datetime) -> None:
        self._deadline = Deadline(self._timeout)
        apps = self._get("")
        running = next(app for app in apps if not app["attempts"][-1]["completed"])
        if running["id"] != self._app:  # another driver counts its executions anew
            self._app = str(running["id"])
            self._batches.clear()
        listed = self._get(f"/{self._app}/sql?details=false&planDescription=false&offset=0&length=100000")
        recent = {}
        for execution in listed:
            ended = _ended(execution)
            if f"id = {query_id}\n" in execution["description"] and ended is not None and now - ended <= WITHIN:
                recent[int(execution["id"])] = ended
        self._batches = {number: told for number, told in self._batches.items() if number in recent}
        for number in sorted(recent.keys() - self._batches.keys(), reverse=True):
            if self._deadline.passed:
                break
            detail = self._get(f"/{self._app}/sql/{number}?details=true&planDescription=false")
            self._batches[number] = (recent[number], _dropped(detail))

    def _get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        left = max(0.1, self._deadline.left)
        return get_json(f"spark {self.target}", self._settings, _PATH + path, left)


def _ended(execution: dict[str, Any]) -> datetime | None:
    """Return when an execution ended; `None` while it runs."""
    if execution["status"] == "RUNNING":
        return None
    began = datetime.strptime(execution["submissionTime"], "%Y-%m-%dT%H:%M:%S.%fGMT").replace(tzinfo=UTC)
    return began + timedelta(milliseconds=int(execution["duration"]))


def _dropped(execution: dict[str, Any]) -> int | None:
    told = [
        int(re.sub(r"\D", "", metric["value"]))  # with a separator of thousands, in the driver's language
        for node in execution["nodes"]
        for metric in node["metrics"]
        if metric["name"] == DROPPED
    ]
    return sum(told) if told else None
