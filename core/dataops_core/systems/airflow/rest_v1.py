"""Airflow 2's REST API (v1) in terms of v2: the paths, parameters and fields that differ, and the form of its logs."""

from __future__ import annotations

import ast
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import requests
import urllib3

from dataops_core.bounded import Malformed, loads
from dataops_core.errors import RequestRefused
from dataops_core.systems.airflow.pool import Response, SessionPool
from dataops_core.transport.fields import Fields, as_time
from dataops_core.units import duration

_ORDER = {"-run_after": "-execution_date", "name": "uri"}
"""Values of `order_by` that v1 does not have."""
_CLEAR = ("dry_run", "dag_run_id", "only_failed", "reset_dag_runs", "include_downstream", "task_ids")
_LINE = re.compile(r"\[(\d{4}-[^\]]{6,40})\] (?:\{([^}]*)\} )?([A-Z]+) - (.*)", re.DOTALL)
"""A line of a log in Airflow 2's default format."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class V1Pool(SessionPool):
    """Sends the SDK's requests of v2 to v1; `Response.read` returns an answer of v1 as one of v2.

    Args:
        session: The session, which has the credentials.
        timeout: Seconds of a request that names no timeout itself.
        target: The address of the web server.
    """

    def __init__(self, session: requests.Session, timeout: float, target: str) -> None:
        super().__init__(session, timeout)
        self._target = target

    def request(
        self,
        method: str,
        url: str,
        *,
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: urllib3.Timeout | None = None,
        **_: Any,  # noqa: ANN401 - as its base class
    ) -> Response:
        """Send a request as its base class does; raises RequestRefused where v1 has no such request."""
        path, mark, query = url.removeprefix(f"{self._target}/api/v2").partition("?")
        asked = endpoint(path)
        sent = None if body is None else json.dumps(asked.body(loads(body)))
        parameters = [
            (name, _ORDER.get(value, value) if name == "order_by" else value) for name, value in parse_qsl(query)
        ]
        url = f"{self._target}/api/v1{asked.renamed or path}{mark}{urlencode(parameters)}"
        response = super().request(method, url, body=sent, headers=headers, timeout=timeout)
        return replace(response, read=lambda data: asked.answer(loads(data)))


def _same(result: Any) -> Any:  # noqa: ANN401 - JSON
    return result


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path of v2.

    Attributes:
        path: Below `/api/v2`, as a regular expression.
        renamed: Path below `/api/v1`; `None` if it is the same.
        body: Returns the body for v1 of a body for v2.
        answer: Returns the response of v2 for a response of v1.
    """

    path: str
    renamed: str | None = None
    body: Callable[[Any], Any] = _same
    answer: Callable[[Any], Any] = _same


def endpoint(path: str) -> Endpoint:
    """Return what differs at a path of v2, which begins below `/api/v2`."""
    return next(each for each in _ENDPOINTS if re.fullmatch(each.path, path))


def _known(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _clear(body: Mapping[str, Any]) -> dict[str, Any]:
    tasks = body.get("task_ids") or []
    if any(not isinstance(task, str) for task in tasks):
        raise RequestRefused(
            "Airflow 2 cannot clear single instances of a mapped task",
            hint="Clear the failed tasks of the run instead.",
        )
    return {name: body[name] for name in _CLEAR if body.get(name) is not None}


def _no_backfill(_body: object) -> object:
    raise RequestRefused(
        "Airflow 2 cannot create backfills over its REST API",
        hint="Run `airflow dags backfill` where Airflow is installed.",
    )


def _dag(answer: object) -> object:
    if not isinstance(answer, Mapping):
        return answer
    dag = Fields(answer)
    return {
        **answer,
        "timetable_summary": _schedule(dag),
        "relative_fileloc": answer.get("fileloc"),  # as import errors name it
        "next_dagrun_run_after": answer.get("next_dagrun_create_after"),
    }


def _schedule(dag: Fields) -> str | None:
    interval = dag.inner("schedule_interval")
    if not interval:
        return None
    days, seconds = interval.count("days"), interval.count("seconds")
    if interval.text("__type") == "TimeDelta" and (days is not None or seconds is not None):
        return duration((days or 0) * 86_400 + (seconds or 0))
    return interval.text("value") or dag.text("timetable_description") or interval.text("__type")


def _asset(answer: object) -> object:
    if not isinstance(answer, Mapping):
        return answer
    return {**answer, "name": answer.get("uri"), "scheduled_dags": answer.get("consuming_dags")}


def _run_after(run: object) -> datetime:
    """Return when a run could start, which v1 does not report: v2 sorts by it."""
    if not isinstance(run, Mapping):
        return _NEVER
    try:
        times = [as_time(run.get(name)) for name in ("logical_date", "execution_date", "data_interval_end")]
    except Malformed:  # of this run; its reader says so
        return _NEVER
    return max((at for at in times if at is not None), default=_NEVER)


def _items(name: str, change: Callable[[object], object], renamed: str | None = None) -> Callable[[Any], Any]:
    """Return what changes each item of a list."""

    def answer(result: Any) -> Any:  # noqa: ANN401 - JSON
        items = result.get(name) if isinstance(result, Mapping) else None
        return {**result, renamed or name: [change(item) for item in items]} if isinstance(items, list) else result

    return answer


def _runs(result: Any) -> Any:  # noqa: ANN401 - JSON
    runs = result.get("dag_runs") if isinstance(result, Mapping) else None
    return {**result, "dag_runs": sorted(runs, key=_run_after, reverse=True)} if isinstance(runs, list) else result


def _log(answer: object) -> object:
    fields = Fields(answer)
    lines = list(_lines(fields.require_text("content")))
    token = fields.text("continuation_token")
    ended = _ended(token)
    return {"content": lines, "continuation_token": None if ended or (ended is None and not lines) else token}


def _ended(token: str | None) -> bool | None:
    """Return whether a log has ended, which v1 says in its signed token only; `None` if it is unknown."""
    payload = (token or "").partition(".")[0]
    try:
        return Fields(loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), size=2**16)).flag("end_of_log")
    except ValueError:
        return None


def _lines(content: str) -> Iterator[object]:
    """Yield the lines of a log in the form of v2; one of another format as its text."""
    for text in _texts(content):
        for row in text.removesuffix("\n").split("\n") if text else ():
            match = _LINE.fullmatch(row)
            if match is None:
                yield row
            else:
                at, source, level, event = match.groups()
                yield {"timestamp": at, "level": level.lower(), "event": event, "logger": source}


def _texts(content: str) -> list[str]:
    """Return the texts of a log. v1 writes them as Python writes `[(host, text), …]`."""
    texts: list[str] = []
    at = 1
    try:
        while content.startswith("(", at):
            _, at = _literal(content, at + 1)
            text, at = _literal(content, at + len(", "))
            texts.append(text)
            at += len("), ") if content.startswith("), ", at) else len(")")
    except (IndexError, SyntaxError, ValueError):
        return [content]
    return texts if content.startswith("[") and content[at:] == "]" else [content]


def _literal(content: str, start: int) -> tuple[str, int]:
    """Return the Python text that starts at an index, and the index behind it; raises ValueError and others."""
    quote, at = content[start], start + 1
    if quote not in "'\"":
        raise ValueError
    while True:
        end = content.index(quote, at)
        before = content[at:end]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return str(ast.literal_eval(content[start : end + 1])), end + 1
        at = end + 1


_ENDPOINTS = (
    Endpoint("/monitor/health", "/health"),
    Endpoint("/assets", "/datasets", answer=_items("datasets", _asset, "assets")),
    Endpoint("/dags", answer=_items("dags", _dag)),
    Endpoint("/dags/[^/]+", answer=_dag),
    Endpoint("/dags/[^/]+/dagRuns", body=_known, answer=_runs),
    Endpoint("/dags/[^/]+/clearTaskInstances", body=_clear),
    Endpoint(".*/logs/[0-9]+", answer=_log),
    Endpoint("/backfills.*", body=_no_backfill),
    Endpoint(".*"),
)
"""The first one that a path matches; all others are the same in v1."""
