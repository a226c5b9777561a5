"""Checks of a central Prometheus: its target, its rules, and its Alertmanagers."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from dataops_core.diagnostics.base import Status, Step
from dataops_core.diagnostics.monitoring.expected import (
    JOB,
    WATCHDOG,
    Check,
    Outcome,
    Wanted,
    failed,
    listed,
    platform_remedy,
    shipped_rules,
    unknown,
)
from dataops_core.errors import ClientError, NotFound, PermissionDenied, TimedOut, Unreachable
from dataops_core.systems.prometheus.client import PrometheusClient
from dataops_core.systems.prometheus.responses import Sample, Series
from dataops_core.units import duration

LOOKBACK, RESOLUTION = timedelta(hours=24), 120.0


def of_prometheus(client: PrometheusClient, wanted: Wanted) -> Iterator[Step[Check]]:
    """Yield the results of the checks; after a timeout or a lost connection, the others are unknown."""
    first = Step(Check.PROMETHEUS, *_is_prometheus(client))
    yield first
    results = {Check.PROMETHEUS: first.status}
    steps: tuple[tuple[Check, Callable[[], Outcome]], ...] = (
        (Check.TARGET, lambda: _target(client, wanted)),
        (Check.SNAPSHOT, lambda: _snapshot(client, wanted, results[Check.TARGET])),
        (Check.RULES, lambda: _rules(client, wanted)),
        (Check.WATCHDOG, lambda: _watchdog(client, wanted)),
        (Check.ALERTMANAGER, lambda: _alertmanagers(client)),
    )
    unavailable = first.status is Status.FAILED
    for check, run in steps:
        if unavailable:
            yield Step(check, Status.UNKNOWN, "not checked, because prometheus failed")
            continue
        try:
            step = Step(check, *run())
        except ClientError as error:
            unavailable = isinstance(error, TimedOut | Unreachable)
            step = Step(check, *unknown(error, "prometheus", client.target))
        results[check] = step.status
        yield step


def _is_prometheus(client: PrometheusClient) -> Outcome:
    try:
        return Status.OK, f"Prometheus {client.version()}"
    except (NotFound, PermissionDenied):
        pass  # some platforms allow only queries
    except ClientError as error:
        return failed(error, "prometheus", client.target)
    try:
        samples = client.query("vector(1)")
    except ClientError as error:
        return failed(error, "prometheus", client.target)
    if [sample.value for sample in samples] != [1.0]:
        return Status.FAILED, "vector(1) is not 1", "Set the address that serves PromQL, without /api."
    return Status.OK, "responds to queries; its version is not readable"


def _target(client: PrometheusClient, wanted: Wanted) -> Outcome:
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
        reasons = [f"{name}: {errors[name.rpartition('/')[2]]}" for name in down if name.rpartition("/")[2] in errors]
        return (
            Status.FAILED,
            f"{len(down)} of {len(up)} cannot be scraped: {listed(reasons or down)}",
            "Check the NetworkPolicy, token and certificate that Prometheus uses; runbook DataopsExporterDown.",
        )
    silent = sorted({_target_of(sample) for sample in up} - served)
    if silent:
        return (
            Status.FAILED,
            f"scraped, but not an exporter: {listed(silent)}",
            "It serves no dataops_build_info: correct the target, or set the exporter's job with --job.",
        )
    detail = f"{listed(sorted(_target_of(sample) for sample in up))}, {_since(client, f'up{{{job}}}', up)}"
    unwatched = sorted({name for name in (s.labels.get("job", "") for s in up) if not re.fullmatch(JOB, name)})
    if unwatched:
        remedy = f"DataopsExporterDown only watches jobs that match {JOB}: rename the job, or change that rule."
        return Status.WARNING, f"{detail}; its job is {listed(unwatched)}", remedy
    return Status.OK, detail


def _no_target(client: PrometheusClient, wanted: Wanted, served: bool) -> Outcome:
    if served:
        return (
            Status.UNKNOWN,
            "the exporter's metrics exist, but `up` does not: another Prometheus forwards them",
            "Forward `up` as well: DataopsExporterDown reads it.",
        )
    jobs = sorted({sample.labels.get("job", "") for sample in client.query("dataops_build_info")})
    if jobs:
        return (
            Status.FAILED,
            f"no target has a job that matches {wanted.job}; the exporter's job is {listed(jobs)}",
            "Set it with --job.",
        )
    return (
        Status.FAILED,
        f"no target has a job that matches {wanted.job}",
        "Check that the monitor has the label that the platform selects, and that the platform selects your namespace.",
    )


def _since(client: PrometheusClient, expression: str, up: Sequence[Sample]) -> str:
    """Return since when all current targets have been up."""
    now, present = up[0].at, [sample.labels for sample in up]
    try:
        result = client.query_range(expression, now - LOOKBACK, now, RESOLUTION)
    except ClientError:
        return "up"
    oldest = now - LOOKBACK + timedelta(seconds=1.5 * RESOLUTION)
    began = max((_up_since(series, now) for series in result if series.labels in present), default=now)
    if began <= oldest:
        return f"up for more than {duration(LOOKBACK.total_seconds())}"
    return f"up since {began:%Y-%m-%d %H:%M}Z or slightly earlier"


def _up_since(series: Series, now: datetime) -> datetime:
    began = now
    for at, value in reversed(series.points):
        if value != 1 or began - at > timedelta(seconds=1.5 * RESOLUTION):
            break
        began = at
    return began


def _snapshot(client: PrometheusClient, wanted: Wanted, target: Status) -> Outcome:
    job = f"job=~{json.dumps(wanted.job)}"
    taken = client.query(f"dataops_exporter_snapshot_timestamp_seconds{{{job}}}")
    if not taken and target is Status.FAILED:
        return Status.UNKNOWN, "not available, because target failed"
    if not taken:
        remedy = "Check the exporter's log: its first refresh has not finished."
        return Status.FAILED, "dataops_exporter_snapshot_timestamp_seconds is missing", remedy
    # For a stale snapshot, the exporter exposes only its time; its cluster scans (probe="survey") continue.
    steps = f'count by (job, instance) (dataops_probe_success{{probe!="survey",{job}}})'
    fresh = {_target_of(sample) for sample in client.query(steps)}
    old = [sample for sample in taken if _target_of(sample) not in fresh]
    age = max((sample.at.timestamp() - sample.value) for sample in old or taken)
    if old:
        return (
            Status.FAILED,
            f"too old to be shown ({duration(max(0.0, age))}): {listed(sorted(_target_of(sample) for sample in old))}",
            "The exporter responds, but no longer refreshes: runbook DataopsExporterStale.",
        )
    if age < -60:
        return (
            Status.WARNING,
            f"{duration(-age)} in the future",
            "Synchronize the clocks of the exporter and of Prometheus (NTP).",
        )
    return Status.OK, f"{duration(max(0.0, age))} old"


def _rules(client: PrometheusClient, wanted: Wanted) -> Outcome:
    shipped = {name: number for name, number in shipped_rules().items() if name not in wanted.left_out}
    try:
        loaded = client.rules(shipped)
    except (TimedOut, Unreachable):
        raise
    except ClientError as error:
        # A platform that allows only queries still shows the series that the rules recorded.
        counts = client.query('count({__name__=~"pipeline:dataops_.+"}) or vector(0)')
        recorded = "some of the recorded series exist" if counts and counts[0].value else "no recorded series exists"
        return Status.UNKNOWN, f"the loaded rules are not readable ({error.message}); {recorded}", platform_remedy()
    result = Counter(rule.name for rule in loaded)
    total = sum(shipped.values())
    missing = [
        f"{name} ({result[name]} of {number})" if result[name] else name
        for name, number in shipped.items()
        if result[name] < number
    ]
    if missing:
        lost = sum(max(0, number - result[name]) for name, number in shipped.items())
        remedy = (
            "Check that the PrometheusRule has the label that the platform selects, and is of this version; "
            "list rules that you omit on purpose with --left-out."
        )
        return Status.FAILED, f"{lost} of {total} are not loaded: {listed(missing)}", remedy
    failing = [f"{rule.name}: {rule.error or 'no reason given'}" for rule in loaded if rule.health == "err"]
    if failing:
        remedy = "Correct the rule or its input: two targets with the same series, or relabelling that drops a label."
        return Status.FAILED, f"{len(failing)} fail: {listed(failing)}", remedy
    waiting = sorted({rule.name for rule in loaded if rule.health != "ok"})
    if waiting:
        return Status.WARNING, f"not evaluated yet: {listed(waiting)}", "Check again in a minute."
    return Status.OK, f"all {total} are loaded and evaluated"


def _watchdog(client: PrometheusClient, wanted: Wanted) -> Outcome:
    if WATCHDOG in wanted.left_out:
        return Status.NOT_USED, "omitted"
    if client.query(f'ALERTS{{alertname="{WATCHDOG}",alertstate="firing"}}'):
        return Status.OK, "fires"
    return Status.FAILED, "does not fire", "Check the rules: they are not loaded, or not evaluated."


def _alertmanagers(client: PrometheusClient) -> Outcome:
    try:
        active = client.alertmanagers()
    except (NotFound, PermissionDenied) as error:
        return (
            Status.UNKNOWN,
            f"its Alertmanagers are not readable ({error.message})",
            "Set --alertmanager to check whether the Watchdog arrives there.",
        )
    if not active:
        return (
            Status.FAILED,
            "it sends alerts to no Alertmanager",
            "Set an Alertmanager in its configuration (alerting).",
        )
    return Status.OK, listed(active)


def _target_of(sample: Sample) -> str:
    return f"{sample.labels.get('job', '')}/{sample.labels.get('instance', '')}"
