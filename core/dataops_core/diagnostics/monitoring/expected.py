"""Expectations of a central Prometheus and its Alertmanager, and shared results of their checks."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.resources import files

from dataops_core.bounded import load_object
from dataops_core.diagnostics.base import Status
from dataops_core.errors import ClientError, ConfigError, NotFound, PermissionDenied
from dataops_core.health.checks.unreachable import failure_of

JOB = ".*dataops.*"
"""Jobs that the rule `DataopsExporterDown` selects, as in dashboards/alerts/rules.yml."""
WATCHDOG = "DataopsWatchdog"
TEST = "DataopsTest"
LASTS = timedelta(minutes=5)
"""Duration of a test alert, longer than a route's `group_wait`: an alert that ends earlier is never sent."""
LISTED = 5
"""Maximum number of names in a line."""


class Check(StrEnum):
    """A check of the monitoring, in order of execution."""

    PROMETHEUS = "prometheus"
    """The service responds and is a Prometheus."""
    TARGET = "target"
    """Prometheus scrapes the exporter."""
    SNAPSHOT = "snapshot"
    """The scraped health snapshot is fresh."""
    RULES = "rules"
    """The shipped rules are loaded and evaluated."""
    WATCHDOG = "watchdog"
    """The alert that always fires is firing."""
    ALERTMANAGER = "alertmanager"
    """Prometheus has an Alertmanager."""
    DELIVERY = "delivery"
    """The Watchdog has arrived at Alertmanager."""
    TEST_ALERT = "test_alert"
    """Alertmanager accepts a test alert and routes it to a receiver."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Expectations of the user.

    Attributes:
        job: Regular expression of the exporter's job.
        left_out: Names of rules that are omitted on purpose.
        receiver: Receiver of a test alert; `None` for any.
    """

    job: str = JOB
    left_out: Collection[str] = ()
    receiver: str | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.job)
        except re.error as error:
            raise ConfigError(f'"{self.job}" is not a valid regular expression: {error}') from None
        for name in self.left_out:
            if name not in shipped_rules():
                raise ConfigError(f'there is no rule "{name}"', hint=f"known are: {', '.join(shipped_rules())}")


@dataclass(frozen=True, slots=True)
class Drill:
    """A test alert."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ends_at: datetime

    @classmethod
    def make(cls, severity: str, labels: Mapping[str, str], now: datetime) -> Drill:
        """Return a test alert with a new id, so that it is sent even shortly after another one."""
        own = {"alertname": TEST, "severity": severity, "test_id": uuid.uuid4().hex[:12]}
        if reserved := own.keys() & labels.keys():
            raise ConfigError(f"the label {min(reserved)} of a test alert is reserved", hint="omit this label")
        annotations = {
            "summary": "A test of alert delivery: nothing is wrong",
            "description": "Sent with dataops monitoring verify. It resolves by itself.",
        }
        return cls({**labels, **own}, annotations, now + LASTS)


Outcome = tuple[Status, str] | tuple[Status, str, str]
"""Status and detail, with a remedy if there is a problem."""


def shipped_rules() -> Mapping[str, int]:
    """Return the number of shipped rules by name."""
    text = files("dataops_core").joinpath("shipped_rules.json").read_text("utf-8")
    return load_object(text)


def failed(error: ClientError, name: str, target: str) -> tuple[Status, str, str]:
    """Return the outcome of a check that an error of a service fails."""
    remedy = error.remedy or failure_of(error.kind).remedy.format(name=name, target=target)
    if isinstance(error, NotFound):
        remedy = f"Check that {target} is the base address of {name}, without /api."
    return Status.FAILED, error.message, remedy


def unknown(error: ClientError, name: str, target: str) -> tuple[Status, str, str]:
    """Return the outcome of a check whose result is unknown because of an error."""
    if isinstance(error, NotFound | PermissionDenied):
        return Status.UNKNOWN, f"not readable: {error.message}", platform_remedy()
    _, detail, remedy = failed(error, name, target)
    return Status.UNKNOWN, f"unknown: {detail}", remedy


def platform_remedy() -> str:
    """Return the remedy for missing permissions on the platform."""
    return "Ask its administrators, or request read access."


def listed(names: Sequence[str]) -> str:
    """Return names in a line; only the first ones of many."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
