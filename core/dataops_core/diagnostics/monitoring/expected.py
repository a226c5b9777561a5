"""What is expected of a central Prometheus and its Alertmanager, and the words for what is found."""

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
"""Jobs that the rule of `DataopsExporterDown` watches; as in dashboards/alerts/rules.yml."""
WATCHDOG = "DataopsWatchdog"
TEST = "DataopsTest"
LASTS = timedelta(minutes=5)
"""Longer than `group_wait` of a route: an alert that ends earlier is never sent."""
LISTED = 5
"""Names that a line lists."""


class Check(StrEnum):
    """What is looked at, in this order."""

    PROMETHEUS = "prometheus"
    """It answers, and is one."""
    TARGET = "target"
    """The exporter is scraped."""
    SNAPSHOT = "snapshot"
    """What was scraped is fresh."""
    RULES = "rules"
    """The rules that ship are loaded and evaluated."""
    WATCHDOG = "watchdog"
    """The alert that always fires does."""
    ALERTMANAGER = "alertmanager"
    """Prometheus has somebody to send alerts to."""
    DELIVERY = "delivery"
    """The Watchdog has come to Alertmanager."""
    TEST_ALERT = "test_alert"
    """An alert of ours is taken, and led to a receiver."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is expected.

    Attributes:
        job: Expression for the exporter's job.
        left_out: Names of rules that are left out on purpose.
        receiver: Where a test alert has to be led.
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
                raise ConfigError(f'there is no rule "{name}"', hint=f"there are {', '.join(shipped_rules())}")


@dataclass(frozen=True, slots=True)
class Drill:
    """An alert that says that nothing is wrong."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ends_at: datetime

    @classmethod
    def make(cls, severity: str, labels: Mapping[str, str], now: datetime) -> Drill:
        """Return an alert with a new id, so that it is sent even soon after another one."""
        own = {"alertname": TEST, "severity": severity, "test_id": uuid.uuid4().hex[:12]}
        if wrong := own.keys() & labels.keys():
            raise ConfigError(f"a test alert sets its own {min(wrong)}", hint="leave that label out")
        annotations = {
            "summary": "A test of alert delivery: nothing is wrong",
            "description": "Sent with dataops monitoring verify. It resolves by itself.",
        }
        return cls({**labels, **own}, annotations, now + LASTS)


Outcome = tuple[Status, str] | tuple[Status, str, str]
"""Status, detail, and the remedy where something is wrong."""


def shipped_rules() -> Mapping[str, int]:
    """Return the names of the rules that ship, each with how many rules have it."""
    text = files("dataops_core").joinpath("shipped_rules.json").read_text("utf-8")
    return load_object(text)


def failed(error: ClientError, name: str, target: str) -> tuple[Status, str, str]:
    """Return what an error of a service fails."""
    remedy = error.remedy or failure_of(error.kind).remedy.format(name=name, target=target)
    if isinstance(error, NotFound):
        remedy = f"Check that {target} is the base address of {name}, without /api."
    return Status.FAILED, error.message, remedy


def unknown(error: ClientError, name: str, target: str) -> tuple[Status, str, str]:
    """Return what an error leaves unknown."""
    if isinstance(error, NotFound | PermissionDenied):
        return Status.UNKNOWN, f"not readable: {error.message}", platform_remedy()
    _, detail, remedy = failed(error, name, target)
    return Status.UNKNOWN, f"unknown: {detail}", remedy


def platform_remedy() -> str:
    """Return the remedy where the platform gives no right."""
    return "Ask its administrators, or request read access."


def listed(names: Sequence[str]) -> str:
    """Return names in a line, the first few of many."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
