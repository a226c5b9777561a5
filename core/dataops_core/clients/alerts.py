"""Prometheus and Alertmanager: the alerts that are active, read only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

from dataops_core.clients.reasons import innermost
from dataops_core.config import AlertsSettings, resolve_secret
from dataops_core.errors import AuthenticationFailed, BadAnswer, PermissionDenied, TimedOut, Unreachable

PATHS = {"prometheus": "/api/v1/alerts", "alertmanager": "/api/v2/alerts?active=true&silenced=false&inhibited=false"}


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is firing.

    Attributes:
        labels: Its labels without its name.
        summary: Its annotation `summary`, else `description`, else nothing.
        since: Since when it is firing, or pending before that.
    """

    name: str
    labels: Mapping[str, str]
    summary: str
    since: datetime


class AlertsClient:
    """A Prometheus or an Alertmanager; safe to share between threads.

    Args:
        name: `prometheus` or `alertmanager`.
        settings: Where it is and who we are.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, name: str, settings: AlertsSettings, timeout: float = 8.0) -> None:
        self.name = name
        self.target = settings.url.rstrip("/")
        self._settings = settings
        self._timeout = timeout

    def alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that fire, the oldest first; raises ClientError."""
        with self._errors():
            answer = requests.get(
                self.target + PATHS[self.name], headers=self._headers(), auth=self._basic(), timeout=self._timeout
            )
            if answer.status_code == 401:
                raise AuthenticationFailed(f"{self.name} {self.target}: refused our credentials (401)")
            if answer.status_code == 403:
                raise PermissionDenied(f"{self.name} {self.target}: denies us permission (403)")
            if answer.status_code != 200:
                raise BadAnswer(f"{self.name} {self.target}: HTTP {answer.status_code}")
            found = answer.json()
            if self.name == "alertmanager":
                alerts = [_alert(alert, alert["startsAt"]) for alert in found]
            else:
                firing = [alert for alert in found["data"]["alerts"] if alert["state"] == "firing"]
                alerts = [_alert(alert, alert["activeAt"]) for alert in firing]
            return tuple(sorted(alerts, key=lambda alert: alert.since))

    def _headers(self) -> dict[str, str]:
        token = self._settings.token
        return {"Authorization": f"Bearer {resolve_secret(token)}"} if token is not None else {}

    def _basic(self) -> tuple[str, str] | None:
        settings = self._settings
        if settings.username is None or settings.password is None:
            return None
        return settings.username, resolve_secret(settings.password)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        where = f"{self.name} {self.target}"
        try:
            yield
        except requests.exceptions.Timeout as error:
            raise TimedOut(f"{where}: no answer within {self._timeout:g} s") from error
        except requests.exceptions.JSONDecodeError as error:
            raise BadAnswer(f"{where}: the answer is not JSON") from error
        except requests.exceptions.ConnectionError as error:
            raise Unreachable(f"{where}: cannot be reached: {innermost(error)}") from error
        except (requests.exceptions.RequestException, KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadAnswer(f"{where}: the answer is not that of {self.name.title()}") from error


def _alert(found: Mapping[str, Any], since: str) -> Alert:
    labels = dict(found["labels"])
    notes = found.get("annotations") or {}
    name = str(labels.pop("alertname", ""))
    return Alert(
        name, labels, str(notes.get("summary") or notes.get("description") or ""), datetime.fromisoformat(since)
    )
