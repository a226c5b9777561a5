"""Read the responses of Prometheus and Alertmanager as typed values. A wrong type makes a response invalid."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dataops_core.bounded import Malformed
from dataops_core.config import without_user_info
from dataops_core.reasons import line
from dataops_core.times import known, moment
from dataops_core.transport.fields import Fields, as_number, objects

_NEVER = datetime.min.replace(tzinfo=UTC)
STATES = ("firing", "pending", "inactive")
"""States of an alert in Prometheus."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is firing.

    Attributes:
        labels: Its labels without `alertname`.
        summary: Its annotation `summary`, or `description`, or an empty text.
        since: Start of its pending or firing state; `None` if unreadable.
        unreadable: Why it cannot be read; `None` if it can be read.
    """

    name: str
    labels: Mapping[str, str]
    summary: str
    since: datetime | None
    unreadable: str | None = None


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
    """A loaded rule.

    Attributes:
        health: `ok`, `err`, or `unknown` before the first evaluation.
        error: Error of its newest evaluation, or an empty text.
    """

    name: str
    health: str
    error: str


@dataclass(frozen=True, slots=True)
class Routed:
    """An alert in Alertmanager, with its routing.

    Attributes:
        receivers: Names of the receivers of its routes.
        muted_by: Ids of silences, fingerprints of inhibiting alerts and names of mute times.
    """

    labels: Mapping[str, str]
    receivers: tuple[str, ...]
    muted_by: tuple[str, ...]


def read_data(answer: object) -> Fields:
    """Return the data of a response of Prometheus; raise Malformed."""
    fields = Fields(answer)
    if fields.require_text("status") != "success":
        raise Malformed("reports no success")
    return fields.require_inner("data")


def read_version(data: Fields) -> str:
    """Return the version from `/api/v1/status/buildinfo`."""
    return data.require_text("version")


def read_firing(data: Fields) -> tuple[Alert, ...]:
    """Return the firing alerts from `/api/v1/alerts`, oldest first."""
    return _alerts(data.require_list("alerts"), _firing)


def read_active(answer: object) -> tuple[Alert, ...]:
    """Return the alerts from Alertmanager's `/api/v2/alerts`, oldest first."""
    if not isinstance(answer, list):
        raise Malformed("is not a list")
    return _alerts(answer, lambda alert: _alert(alert, "startsAt"))


def read_vector(data: Fields) -> tuple[Sample, ...]:
    """Return the result of a query that yields a vector."""
    return tuple(
        Sample(series.require_texts("metric"), value, at)
        for series in _results(data, "vector")
        for at, value in [_point(series.require_list("value"))]
    )


def read_matrix(data: Fields) -> tuple[Series, ...]:
    """Return the result of a query over time."""
    return tuple(
        Series(series.require_texts("metric"), [_point(point) for point in series.require_list("values")])
        for series in _results(data, "matrix")
    )


def read_scrape_errors(data: Fields) -> dict[str, str]:
    """Return the errors of the newest scrapes of failed targets, by label `instance`."""
    failed = [(target, target.text("lastError")) for target in data.require_objects("activeTargets")]
    return {target.require_inner("labels").text("instance") or "": line(error) for target, error in failed if error}


def read_rules(data: Fields, names: Collection[str]) -> tuple[Rule, ...]:
    """Return the rules with these names."""
    rules = [rule for group in data.require_objects("groups") for rule in group.require_objects("rules")]
    return tuple(
        Rule(name, rule.require_text("health"), line(error) if (error := rule.text("lastError")) else "")
        for rule in rules
        if (name := rule.require_text("name")) in names
    )


def read_alertmanagers(data: Fields) -> tuple[str, ...]:
    """Return the addresses of the Alertmanagers that a Prometheus sends alerts to."""
    result = data.require_objects("activeAlertmanagers")
    return tuple(without_user_info(alertmanager.require_text("url")) for alertmanager in result)


def read_routed(answer: object) -> tuple[Routed, ...]:
    """Return the alerts of Alertmanager with their receivers, including muted ones."""
    return tuple(_routed(alert) for alert in objects(answer))


def check_taken(body: bytes) -> None:
    """Raise Malformed if the response to a post has a body: Alertmanager sends none, a sign-in page does."""
    if body.strip():
        raise Malformed("has a body")


def _results(data: Fields, kind: str) -> Iterator[Fields]:
    if data.require_text("resultType") != kind:
        raise Malformed(f"has a result that is not a {kind}")
    return data.require_objects("result")


def _routed(alert: Fields) -> Routed:
    status = alert.require_inner("status")
    muted = [by for key in ("silencedBy", "inhibitedBy", "mutedBy") for by in status.texts(key)]
    receivers = tuple(receiver.require_text("name") for receiver in alert.require_objects("receivers"))
    return Routed(alert.require_texts("labels"), receivers, tuple(muted))


def _alerts(items: Sequence[object], read: Callable[[Fields], Alert | None]) -> tuple[Alert, ...]:
    """Return alerts, unreadable ones first, then oldest first; raise Malformed if none is readable."""
    results = []
    for number, item in enumerate(items, 1):
        try:
            results.append(read(Fields(item)))
        except Malformed as error:
            name = Fields(item).inner("labels").text("alertname") if isinstance(item, Mapping) else None
            results.append(Alert(name or f"#{number}", {}, "", None, unreadable=f"it {error}"))
    firing = [alert for alert in results if alert is not None]
    if results and all(alert is not None and alert.unreadable is not None for alert in results):
        raise Malformed(f"has no readable alert: the first {str(firing[0].unreadable).removeprefix('it ')}")
    return tuple(sorted(firing, key=lambda alert: (alert.since is not None, alert.since or _NEVER)))


def _firing(alert: Fields) -> Alert | None:
    state = alert.require_text("state")
    if state not in STATES:
        raise Malformed("is in an unknown state")
    return _alert(alert, "activeAt") if state == "firing" else None


def _alert(alert: Fields, since: str) -> Alert:
    labels = alert.require_texts("labels")
    notes = alert.inner("annotations")
    name = labels.pop("alertname", "")
    return Alert(name, labels, notes.text("summary") or notes.text("description") or "", alert.require_time(since))


def _point(answer: object) -> tuple[datetime, float]:
    """Return time and value of a point, `[1700000000.5, "NaN"]`."""
    if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[1], str):
        raise Malformed("has a point that is not a time and a value")
    seconds = as_number(answer[0])
    at = known(moment(seconds, "s")) if seconds is not None else None
    if at is None:
        raise Malformed("has a point with an invalid time")
    try:
        return at, float(answer[1])
    except ValueError:
        raise Malformed("has a point whose value is not a number") from None
