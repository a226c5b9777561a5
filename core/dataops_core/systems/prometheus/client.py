"""Clients of Prometheus and Alertmanager: queries, targets, rules, and the routing of an alert.

`alerts` reads active alerts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urlencode

from dataops_core.bounded import Malformed
from dataops_core.config import WebSettings, without_user_info
from dataops_core.errors import BadAnswer
from dataops_core.systems.prometheus.responses import (
    Routed,
    Rule,
    Sample,
    Series,
    check_taken,
    read_alertmanagers,
    read_data,
    read_matrix,
    read_routed,
    read_rules,
    read_scrape_errors,
    read_vector,
    read_version,
)
from dataops_core.transport.fields import Fields
from dataops_core.transport.http import get_json, post_json

T = TypeVar("T")


class PrometheusClient:
    """A Prometheus or compatible server; safe to share between threads.

    Each method raises ClientError, or NotFound if the server does not have that part of the API.

    Args:
        settings: Address and credentials.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, settings: WebSettings, timeout: float = 8.0) -> None:
        self.target = without_user_info(settings.url.rstrip("/"))
        self._settings = settings
        self._timeout = timeout
        self.where = f"prometheus {self.target}"

    def version(self) -> str:
        """Return the version of the program."""
        return self._read("/api/v1/status/buildinfo", read_version)

    def query(self, expression: str) -> tuple[Sample, ...]:
        """Return the current vector of an expression."""
        path = f"/api/v1/query?{urlencode({'query': expression})}"
        return self._read(path, read_vector)

    def query_range(self, expression: str, start: datetime, end: datetime, step: float) -> tuple[Series, ...]:
        """Return the matrix of an expression over time; `step` is in seconds."""
        parameters = {"query": expression, "start": start.timestamp(), "end": end.timestamp(), "step": step}
        path = f"/api/v1/query_range?{urlencode(parameters)}"
        return self._read(path, read_matrix)

    def scrape_errors(self) -> dict[str, str]:
        """Return the errors of the newest scrapes of failed targets, by label `instance`."""
        return self._read("/api/v1/targets?state=active", read_scrape_errors)

    def rules(self, names: Collection[str]) -> tuple[Rule, ...]:
        """Return the rules with these names; a rule that is loaded several times occurs several times."""
        # older versions ignore this filter and return all rules
        path = "/api/v1/rules?" + urlencode([("rule_name[]", name) for name in sorted(names)])
        return self._read(path, partial(read_rules, names=names))

    def alertmanagers(self) -> tuple[str, ...]:
        """Return the addresses of the Alertmanagers that it sends alerts to."""
        return self._read("/api/v1/alertmanagers", read_alertmanagers)

    def _read(self, path: str, read: Callable[[Fields], T]) -> T:
        answer = get_json(self.where, self._settings, path, self._timeout)
        try:
            return read(read_data(answer))
        except Malformed as error:
            raise BadAnswer(f"{self.where}: the response is not from Prometheus: it {error}") from error


class AlertmanagerClient:
    """An Alertmanager; safe to share between threads. Each method raises ClientError.

    Args:
        settings: Address and credentials.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, settings: WebSettings, timeout: float = 8.0) -> None:
        self.target = without_user_info(settings.url.rstrip("/"))
        self.timeout = timeout
        self._settings = settings
        self._where = f"alertmanager {self.target}"

    def post(self, labels: Mapping[str, str], annotations: Mapping[str, str], ends_at: datetime) -> None:
        """Send an alert that resolves itself at `ends_at`."""
        alert = {"labels": dict(labels), "annotations": dict(annotations), "endsAt": ends_at.isoformat()}
        body = post_json(self._where, self._settings, "/api/v2/alerts", [alert], self.timeout)
        try:
            check_taken(body)
        except Malformed as error:
            raise BadAnswer(
                f"{self._where}: the response is not from Alertmanager: it {error}",
                hint="the alert may not have been sent; check for a proxy or a sign-in page at this address",
            ) from error

    def alerts(self, labels: Mapping[str, str]) -> tuple[Routed, ...]:
        """Return the alerts with these labels, including muted ones."""
        matchers = [("filter", f'{name}="{_escaped(value)}"') for name, value in labels.items()]
        result = get_json(self._where, self._settings, f"/api/v2/alerts?{urlencode(matchers)}", self.timeout)
        try:
            routed = read_routed(result)
        except Malformed as error:
            raise BadAnswer(f"{self._where}: the response is not from Alertmanager: it {error}") from error
        # a server may ignore the filter and return all alerts
        return tuple(alert for alert in routed if labels.items() <= alert.labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
