"""Prometheus and Alertmanager as those see them who bring something: targets, rules, and the way of an alert.

What they tell of the alerts that are active is in `alerts`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from dataops_core.config import WebSettings, without_user_info
from dataops_core.errors import BadAnswer
from dataops_core.transport.http import get_json, post_json
from dataops_core.transport.reasons import line

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of a query's result at one time."""

    labels: Mapping[str, str]
    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a query's result over time."""

    labels: Mapping[str, str]
    points: Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is loaded.

    Attributes:
        health: `ok`, `err`, or `unknown` before it is evaluated for the first time.
        error: What its newest evaluation failed with; empty where it did not.
    """

    name: str
    health: str
    error: str


@dataclass(frozen=True, slots=True)
class Routed:
    """An alert as Alertmanager has it.

    Attributes:
        receivers: Names of those that its routes lead to.
        muted_by: Ids of silences, fingerprints of alerts and names of times that keep it from them.
    """

    labels: Mapping[str, str]
    receivers: tuple[str, ...]
    muted_by: tuple[str, ...]


class PrometheusClient:
    """A Prometheus, or what answers like one; safe to share between threads.

    Each method raises ClientError; NotFound where this one does not have that part of the API.

    Args:
        settings: Where it is and who we are.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, settings: WebSettings, timeout: float = 8.0) -> None:
        self.target = without_user_info(settings.url.rstrip("/"))
        self._settings = settings
        self._timeout = timeout
        self._where = f"prometheus {self.target}"

    def version(self) -> str:
        """Return the version of the program."""
        return self._read("/api/v1/status/buildinfo", lambda data: str(data["version"]))

    def query(self, expression: str) -> tuple[Sample, ...]:
        """Return what an expression that yields a vector has now."""
        path = f"/api/v1/query?{urlencode({'query': expression})}"
        return self._read(path, lambda data: tuple(_sample(found) for found in data["result"]))

    def query_range(self, expression: str, start: datetime, end: datetime, step: float) -> tuple[Series, ...]:
        """Return what it had from time to time."""
        asked = {"query": expression, "start": start.timestamp(), "end": end.timestamp(), "step": step}
        path = f"/api/v1/query_range?{urlencode(asked)}"
        return self._read(path, lambda data: tuple(_series(found) for found in data["result"]))

    def scrape_errors(self) -> dict[str, str]:
        """Return what the newest scrape of each target failed with, by its label `instance`."""

        def failing(data: Any) -> dict[str, str]:  # noqa: ANN401 - JSON
            return {
                str(target["labels"].get("instance", "")): line(target["lastError"])
                for target in data["activeTargets"]
                if target.get("lastError")
            }

        return self._read("/api/v1/targets?state=active", failing)

    def rules(self, names: Collection[str]) -> tuple[Rule, ...]:
        """Return the rules of these names, one for each time that it is loaded."""
        # An older one does not know this filter and tells of all its rules.
        path = "/api/v1/rules?" + urlencode([("rule_name[]", name) for name in sorted(names)])
        return self._read(
            path,
            lambda data: tuple(
                _rule(rule) for group in data["groups"] for rule in group["rules"] if rule["name"] in names
            ),
        )

    def alertmanagers(self) -> tuple[str, ...]:
        """Return the addresses of the Alertmanagers that it sends to."""
        return self._read(
            "/api/v1/alertmanagers",
            lambda data: tuple(without_user_info(str(found["url"])) for found in data["activeAlertmanagers"]),
        )

    def _read(self, path: str, parse: Callable[[Any], T]) -> T:
        answer = get_json(self._where, self._settings, path, self._timeout)
        try:
            return parse(answer["data"])  # what fails has none, and no HTTP 200
        except (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise BadAnswer(f"{self._where}: the answer is not that of Prometheus") from error


class AlertmanagerClient:
    """An Alertmanager; safe to share between threads. Each method raises ClientError.

    Args:
        settings: Where it is and who we are.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, settings: WebSettings, timeout: float = 8.0) -> None:
        self.target = without_user_info(settings.url.rstrip("/"))
        self.timeout = timeout
        self._settings = settings
        self._where = f"alertmanager {self.target}"

    def post(self, labels: Mapping[str, str], annotations: Mapping[str, str], ends_at: datetime) -> None:
        """Raise an alert that ends by itself."""
        alert = {"labels": dict(labels), "annotations": dict(annotations), "endsAt": ends_at.isoformat()}
        post_json(self._where, self._settings, "/api/v2/alerts", [alert], self.timeout)

    def alerts(self, labels: Mapping[str, str]) -> tuple[Routed, ...]:
        """Return the alerts with these labels, muted ones as well."""
        matchers = [("filter", f'{name}="{_escaped(value)}"') for name, value in labels.items()]
        found = get_json(self._where, self._settings, f"/api/v2/alerts?{urlencode(matchers)}", self.timeout)
        try:
            routed = tuple(_routed(alert) for alert in found)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadAnswer(f"{self._where}: the answer is not that of Alertmanager") from error
        # What does not know the filter may answer with all.
        return tuple(alert for alert in routed if labels.items() <= alert.labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _time(seconds: Any) -> datetime:  # noqa: ANN401 - JSON
    return datetime.fromtimestamp(float(seconds), UTC)


def _sample(found: Mapping[str, Any]) -> Sample:
    at, value = found["value"]
    return Sample(dict(found["metric"]), float(value), _time(at))


def _series(found: Mapping[str, Any]) -> Series:
    return Series(dict(found["metric"]), [(_time(at), float(value)) for at, value in found["values"]])


def _rule(found: Mapping[str, Any]) -> Rule:
    error = found.get("lastError")
    return Rule(str(found["name"]), str(found["health"]), line(error) if error else "")


def _routed(found: Mapping[str, Any]) -> Routed:
    state = found["status"]
    muted = [str(by) for key in ("silencedBy", "inhibitedBy", "mutedBy") for by in state.get(key) or ()]
    return Routed(dict(found["labels"]), tuple(str(receiver["name"]) for receiver in found["receivers"]), tuple(muted))
