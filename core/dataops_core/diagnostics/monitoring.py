"""Has it arrived: does a central Prometheus see the exporter, does it have our rules, do its alerts get through?

Somebody else's platform is asked, so it may tell less than a Prometheus of one's own: what it does not tell is unknown.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.resources import files

from dataops_core.diagnostics.doctor import Result, worst
from dataops_core.errors import ClientError, ConfigError, NotFound, PermissionDenied, TimedOut, Unreachable
from dataops_core.health.as_json import plain
from dataops_core.health.checks.unreachable import failure_of
from dataops_core.health.text import duration
from dataops_core.systems.prometheus.answers import Routed, Sample, Series
from dataops_core.systems.prometheus.client import AlertmanagerClient, PrometheusClient
from dataops_core.transport.bounded import load_object
from dataops_core.transport.deadlines import Deadline

JOB = ".*dataops.*"
"""Jobs that the rule of `DataopsExporterDown` watches; as in dashboards/alerts/rules.yml."""
WATCHDOG = "DataopsWatchdog"
TEST = "DataopsTest"
LASTS = timedelta(minutes=5)
"""Longer than a route waits before it tells (`group_wait`): what ends before that is never told."""
LOOK_BACK, LOOK_STEP = timedelta(hours=24), 120.0
LISTED = 5
"""Names that a line lists."""
SCHEMA_VERSION = 1
"""Version of the JSON form; raised when a field changes its meaning or goes away."""


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
class Step:
    """One check.

    Attributes:
        detail: What was found, in one line.
        mend: What to do about it, where something is wrong.
    """

    check: Check
    result: Result
    detail: str
    mend: str | None = None


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
            raise ConfigError(f'"{self.job}" is no regular expression: {error}') from None
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
        """Return one that has never been before, so that it is told also soon after another one."""
        own = {"alertname": TEST, "severity": severity, "test_id": uuid.uuid4().hex[:12]}
        if wrong := own.keys() & labels.keys():
            raise ConfigError(f"a test alert has its own {min(wrong)}", hint="leave that label out")
        annotations = {
            "summary": "A test of the way that alerts take: nothing is wrong",
            "description": "Somebody has sent it with dataops monitoring verify. It ends by itself.",
        }
        return cls({**labels, **own}, annotations, now + LASTS)


@dataclass(slots=True)
class Found:
    """What was found, in the order of the checks."""

    steps: list[Step] = field(default_factory=list)

    @property
    def result(self) -> Result:
        """The worst that was found."""
        return worst(step.result for step in self.steps)


Send = Callable[[AlertmanagerClient, Drill], None]
Told = tuple[Result, str] | tuple[Result, str, str]
"""Result, detail, and the mend where something is wrong."""


def shipped_rules() -> Mapping[str, int]:
    """Return the names of the rules that ship, each with how many rules have it."""
    text = files("dataops_core").joinpath("shipped_rules.json").read_text("utf-8")
    return load_object(text)


def verify(
    prometheus: PrometheusClient,
    alertmanager: AlertmanagerClient | None,
    wanted: Wanted,
    drill: Drill | None = None,
    send: Send | None = None,
) -> Found:
    """Look whether the exporter, its rules and its alerts have arrived.

    Args:
        prometheus: The one that the exporter is brought to.
        alertmanager: Where its alerts go to, as far as that may be asked.
        wanted: What is expected.
        drill: A test alert to send.
        send: Sends it; raises ActionRefused.
    """
    sent: ClientError | None = None
    if drill is not None and send is not None and alertmanager is not None:
        try:
            send(alertmanager, drill)
        except ClientError as error:
            sent = error
    found = Found()
    found.steps += _of_prometheus(prometheus, wanted)
    found.steps += _of_alertmanager(alertmanager, wanted, drill, sent)
    return found


def as_dict(found: Found, prometheus: str, alertmanager: str | None) -> dict[str, object]:
    """Return what was found for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "prometheus": prometheus,
        "alertmanager": alertmanager,
        "result": found.result.value,
        "steps": [plain(step) for step in found.steps],
    }


##### Prometheus


def _of_prometheus(client: PrometheusClient, wanted: Wanted) -> Iterator[Step]:
    first = Step(Check.PROMETHEUS, *_is_prometheus(client))
    yield first
    results = {Check.PROMETHEUS: first.result}
    looks: tuple[tuple[Check, Callable[[], Told]], ...] = (
        (Check.TARGET, lambda: _target(client, wanted)),
        (Check.SNAPSHOT, lambda: _snapshot(client, wanted, results[Check.TARGET])),
        (Check.RULES, lambda: _rules(client, wanted)),
        (Check.WATCHDOG, lambda: _watchdog(client, wanted)),
        (Check.ALERTMANAGER, lambda: _alertmanagers(client)),
    )
    gone = first.result is Result.FAILED
    for check, look in looks:
        if gone:
            yield Step(check, Result.UNKNOWN, "not looked for, as prometheus fails")
            continue
        try:
            step = Step(check, *look())
        except ClientError as error:
            gone = isinstance(error, TimedOut | Unreachable)
            step = Step(check, *_not_told(error, "prometheus", client.target))
        results[check] = step.result
        yield step


def _is_prometheus(client: PrometheusClient) -> Told:
    try:
        return Result.OK, f"Prometheus {client.version()}"
    except (NotFound, PermissionDenied):
        pass  # a platform that lets nobody but its own have more than queries
    except ClientError as error:
        return _failed(error, "prometheus", client.target)
    try:
        answered = client.query("vector(1)")
    except ClientError as error:
        return _failed(error, "prometheus", client.target)
    if [sample.value for sample in answered] != [1.0]:
        return Result.FAILED, "vector(1) is not 1", "Name the address that PromQL is asked at, without /api."
    return Result.OK, "answers queries; it does not tell its version"


def _target(client: PrometheusClient, wanted: Wanted) -> Told:
    job = f"job=~{json.dumps(wanted.job)}"
    up = client.query(f"up{{{job}}}")
    served = {_target_of(sample) for sample in client.query(f"dataops_build_info{{{job}}}")}
    if not up:
        return _no_target(client, wanted, bool(served))
    down = [_target_of(sample) for sample in up if sample.value != 1]
    if down:
        try:
            errors = client.scrape_errors()
        except ClientError:
            errors = {}
        whys = [f"{name}: {errors[name.rpartition('/')[2]]}" for name in down if name.rpartition("/")[2] in errors]
        return (
            Result.FAILED,
            f"{len(down)} of {len(up)} cannot be scraped: {_listed(whys or down)}",
            "Look whether a NetworkPolicy, a token or a certificate keeps Prometheus out; runbook DataopsExporterDown.",
        )
    silent = sorted({_target_of(sample) for sample in up} - served)
    if silent:
        return (
            Result.FAILED,
            f"scraped, and no exporter: {_listed(silent)}",
            "It serves no dataops_build_info: correct the target, or name the exporter's job with --job.",
        )
    detail = f"{_listed(sorted(_target_of(sample) for sample in up))}, {_since(client, f'up{{{job}}}', up)}"
    unwatched = sorted({name for name in (s.labels.get("job", "") for s in up) if not re.fullmatch(JOB, name)})
    if unwatched:
        mend = f"DataopsExporterDown watches jobs like {JOB} only: name the job so, or change that rule."
        return Result.WARNING, f"{detail}; its job is {_listed(unwatched)}", mend
    return Result.OK, detail


def _no_target(client: PrometheusClient, wanted: Wanted, served: bool) -> Told:
    if served:
        return (
            Result.UNKNOWN,
            "the exporter's metrics are there, and `up` is not: they were handed on by another Prometheus",
            "Hand on `up` as well, which DataopsExporterDown reads.",
        )
    jobs = sorted({sample.labels.get("job", "") for sample in client.query("dataops_build_info")})
    if jobs:
        return (
            Result.FAILED,
            f"no target has a job like {wanted.job}; the exporter's job is {_listed(jobs)}",
            "Name it with --job.",
        )
    return (
        Result.FAILED,
        f"no target has a job like {wanted.job}",
        "Look whether the monitor has the label that the platform selects by, and whether it selects your namespace.",
    )


def _since(client: PrometheusClient, expression: str, up: Sequence[Sample]) -> str:
    """Say since when all of them that are there now are 1."""
    now, present = up[0].at, [sample.labels for sample in up]
    try:
        found = client.query_range(expression, now - LOOK_BACK, now, LOOK_STEP)
    except ClientError:
        return "up"
    oldest = now - LOOK_BACK + timedelta(seconds=1.5 * LOOK_STEP)
    began = max((_up_since(series, now) for series in found if series.labels in present), default=now)
    if began <= oldest:
        return f"up for more than {duration(LOOK_BACK.total_seconds())}"
    return f"up since {began:%Y-%m-%d %H:%M}Z or a little longer"


def _up_since(series: Series, now: datetime) -> datetime:
    began = now
    for at, value in reversed(series.points):
        if value != 1 or began - at > timedelta(seconds=1.5 * LOOK_STEP):
            break
        began = at
    return began


def _snapshot(client: PrometheusClient, wanted: Wanted, target: Result) -> Told:
    job = f"job=~{json.dumps(wanted.job)}"
    taken = client.query(f"dataops_exporter_snapshot_timestamp_seconds{{{job}}}")
    if not taken and target is Result.FAILED:
        return Result.UNKNOWN, "there is none, as target fails"
    if not taken:
        mend = "Look at the exporter's log: its first look has not ended."
        return Result.FAILED, "there is no dataops_exporter_snapshot_timestamp_seconds", mend
    # Of a snapshot that is too old the exporter shows no more than its time; its surveys go on beside that.
    looks = f'count by (job, instance) (dataops_probe_success{{probe!="survey",{job}}})'
    fresh = {_target_of(sample) for sample in client.query(looks)}
    old = [sample for sample in taken if _target_of(sample) not in fresh]
    age = max((sample.at.timestamp() - sample.value) for sample in old or taken)
    if old:
        return (
            Result.FAILED,
            f"too old to be shown ({duration(max(0.0, age))}): {_listed(sorted(_target_of(sample) for sample in old))}",
            "The exporter answers, but has stopped to look: runbook DataopsExporterStale.",
        )
    if age < -60:
        return Result.WARNING, f"of {duration(-age)} ahead", "Set the clocks of the exporter and of Prometheus by NTP."
    return Result.OK, f"{duration(max(0.0, age))} old"


def _rules(client: PrometheusClient, wanted: Wanted) -> Told:
    shipped = {name: number for name, number in shipped_rules().items() if name not in wanted.left_out}
    try:
        loaded = client.rules(shipped)
    except (TimedOut, Unreachable):
        raise
    except ClientError as error:
        # A platform that takes queries only does tell what the rules have made.
        seen = client.query('count({__name__=~"pipeline:dataops_.+"}) or vector(0)')
        made = "some of the recorded series are there" if seen and seen[0].value else "no recorded series is there"
        return Result.UNKNOWN, f"which rules are loaded is not told ({error.message}); {made}", _ask_the_platform()
    found = Counter(rule.name for rule in loaded)
    total = sum(shipped.values())
    missing = [
        f"{name} ({found[name]} of {number})" if found[name] else name
        for name, number in shipped.items()
        if found[name] < number
    ]
    if missing:
        lost = sum(max(0, number - found[name]) for name, number in shipped.items())
        mend = (
            "Look whether the PrometheusRule has the label that the platform selects by, and is of this version; "
            "name what is left out on purpose with --left-out."
        )
        return Result.FAILED, f"{lost} of {total} are not loaded: {_listed(missing)}", mend
    failing = [f"{rule.name}: {rule.error or 'no reason is told'}" for rule in loaded if rule.health == "err"]
    if failing:
        mend = "Correct the rule, or what it reads: two targets that serve the same, a relabelling that drops a label."
        return Result.FAILED, f"{len(failing)} fail: {_listed(failing)}", mend
    waiting = sorted({rule.name for rule in loaded if rule.health != "ok"})
    if waiting:
        return Result.WARNING, f"not evaluated yet: {_listed(waiting)}", "Look again in a minute."
    return Result.OK, f"all {total} are loaded and evaluated"


def _watchdog(client: PrometheusClient, wanted: Wanted) -> Told:
    if WATCHDOG in wanted.left_out:
        return Result.NOT_USED, "left out"
    if client.query(f'ALERTS{{alertname="{WATCHDOG}",alertstate="firing"}}'):
        return Result.OK, "fires"
    return Result.FAILED, "does not fire", "Look at the rules: they are not loaded, or not evaluated."


def _alertmanagers(client: PrometheusClient) -> Told:
    try:
        active = client.alertmanagers()
    except (NotFound, PermissionDenied) as error:
        return (
            Result.UNKNOWN,
            f"where it sends alerts to is not told ({error.message})",
            "With --alertmanager it is seen from the other end: whether the Watchdog has come.",
        )
    if not active:
        return Result.FAILED, "it sends alerts to nobody", "Name an Alertmanager in its configuration (alerting)."
    return Result.OK, _listed(active)


##### Alertmanager


def _of_alertmanager(
    client: AlertmanagerClient | None, wanted: Wanted, drill: Drill | None, sent: ClientError | None
) -> Iterator[Step]:
    if client is None:
        yield Step(Check.DELIVERY, Result.NOT_USED, "not tried: no Alertmanager is named")
        yield Step(Check.TEST_ALERT, Result.NOT_USED, "not tried: no Alertmanager is named")
        return
    answers = True
    try:
        yield Step(Check.DELIVERY, *_delivery(client, wanted))
    except ClientError as error:
        answers = False
        yield Step(Check.DELIVERY, *_failed(error, "alertmanager", client.target))
    if drill is None:
        yield Step(Check.TEST_ALERT, Result.NOT_USED, "not tried: --send-test-alert sends one")
    elif sent is not None:
        yield Step(Check.TEST_ALERT, *_failed(sent, "alertmanager", client.target))
    elif not answers:
        yield Step(Check.TEST_ALERT, Result.UNKNOWN, "sent, and not looked for, as alertmanager fails")
    else:
        try:
            yield Step(Check.TEST_ALERT, *_arrival(client, wanted, drill))
        except ClientError as error:
            yield Step(Check.TEST_ALERT, *_failed(error, "alertmanager", client.target))


def _delivery(client: AlertmanagerClient, wanted: Wanted) -> Told:
    come = client.alerts({"alertname": WATCHDOG})
    if WATCHDOG in wanted.left_out:
        return Result.NOT_USED, "the Watchdog is left out"
    if not come:
        return (
            Result.FAILED,
            "the Watchdog has not come",
            "Look whether it fires, and whether Prometheus sends to this Alertmanager; it is sent once a minute.",
        )
    heard = [alert for alert in come if not alert.muted_by]
    if not heard:
        return Result.WARNING, f"the Watchdog has come, and is muted by {_muted(come)}", "End that silence."
    return Result.OK, f"the Watchdog has come, and goes to {_receivers(heard)}"


def _arrival(client: AlertmanagerClient, wanted: Wanted, drill: Drill) -> Told:
    deadline = Deadline(client.timeout)
    while not (come := client.alerts(drill.labels)):
        if deadline.passed:
            mend = (
                "Several Alertmanagers behind one address do not tell each other of alerts: ask one of them directly."
            )
            return Result.FAILED, f"taken, and not among its alerts within {duration(client.timeout)}", mend
        time.sleep(0.5)
    muted = [alert for alert in come if alert.muted_by]
    if muted:
        mend = "Nobody is told of it: end the silence, or look which alert inhibits it."
        return Result.FAILED, f"it has come, and is muted by {_muted(muted)}", mend
    told = _receivers(come)
    if wanted.receiver is not None and not any(
        _is(name, wanted.receiver) for alert in come for name in alert.receivers
    ):
        return Result.FAILED, f"it goes to {told}, not to {wanted.receiver}", "Correct the routes, or its labels."
    ends = drill.ends_at.astimezone(UTC)
    return Result.OK, f"it has come, and goes to {told}: look there; it ends by itself at {ends:%H:%M:%S}Z"


def _is(name: str, wanted: str) -> bool:
    """Tell whether it is that receiver: an operator puts the namespace and the name of its resource before."""
    return name == wanted or name.endswith(f"/{wanted}")


##### Words


def _failed(error: ClientError, name: str, target: str) -> tuple[Result, str, str]:
    mend = error.remedy or failure_of(error.kind).remedy.format(name=name, target=target)
    if isinstance(error, NotFound):
        mend = f"Look whether {target} is the base address of {name}, without /api."
    return Result.FAILED, error.message, mend


def _not_told(error: ClientError, name: str, target: str) -> tuple[Result, str, str]:
    if isinstance(error, NotFound | PermissionDenied):
        return Result.UNKNOWN, f"not told: {error.message}", _ask_the_platform()
    _, detail, mend = _failed(error, name, target)
    return Result.UNKNOWN, f"cannot be told: {detail}", mend


def _ask_the_platform() -> str:
    return "Ask those who run it, or for the right to read it."


def _target_of(sample: Sample) -> str:
    return f"{sample.labels.get('job', '')}/{sample.labels.get('instance', '')}"


def _receivers(alerts: Sequence[Routed]) -> str:
    return ", ".join(sorted({name for alert in alerts for name in alert.receivers})) or "nobody"


def _muted(alerts: Sequence[Routed]) -> str:
    return ", ".join(sorted({by for alert in alerts for by in alert.muted_by}))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
