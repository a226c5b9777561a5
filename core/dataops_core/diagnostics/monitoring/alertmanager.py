"""Checks of a central Alertmanager: the arrival of the Watchdog, and the receiver of a test alert."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC

from dataops_core.diagnostics.base import Status, Step
from dataops_core.diagnostics.monitoring.expected import (
    WATCHDOG,
    Check,
    Drill,
    Outcome,
    Wanted,
    failed,
)
from dataops_core.errors import ClientError
from dataops_core.systems.prometheus.client import AlertmanagerClient
from dataops_core.systems.prometheus.responses import Routed
from dataops_core.transport.deadlines import Deadline
from dataops_core.units import duration


def of_alertmanager(
    client: AlertmanagerClient | None, wanted: Wanted, drill: Drill | None, send_error: ClientError | None
) -> Iterator[Step[Check]]:
    """Yield the results of the checks; `NOT_USED` without an Alertmanager."""
    if client is None:
        yield Step(Check.DELIVERY, Status.NOT_USED, "not checked: no Alertmanager is set")
        yield Step(Check.TEST_ALERT, Status.NOT_USED, "not checked: no Alertmanager is set")
        return
    responds = True
    try:
        yield Step(Check.DELIVERY, *_delivery(client, wanted))
    except ClientError as error:
        responds = False
        yield Step(Check.DELIVERY, *failed(error, "alertmanager", client.target))
    if drill is None:
        yield Step(Check.TEST_ALERT, Status.NOT_USED, "not checked: --send-test-alert sends a test alert")
    elif send_error is not None:
        yield Step(Check.TEST_ALERT, *failed(send_error, "alertmanager", client.target))
    elif not responds:
        yield Step(Check.TEST_ALERT, Status.UNKNOWN, "sent, but not checked, because alertmanager failed")
    else:
        try:
            yield Step(Check.TEST_ALERT, *_arrival(client, wanted, drill))
        except ClientError as error:
            yield Step(Check.TEST_ALERT, *failed(error, "alertmanager", client.target))


def _delivery(client: AlertmanagerClient, wanted: Wanted) -> Outcome:
    received = client.alerts({"alertname": WATCHDOG})
    if WATCHDOG in wanted.left_out:
        return Status.NOT_USED, "the Watchdog rule is omitted"
    if not received:
        return (
            Status.FAILED,
            "the Watchdog has not arrived",
            "Check that it fires, and that Prometheus sends to this Alertmanager; it is sent once a minute.",
        )
    routed = [alert for alert in received if not alert.muted_by]
    if not routed:
        return Status.WARNING, f"the Watchdog has arrived, but is muted by {_muted(received)}", "End that silence."
    return Status.OK, f"the Watchdog has arrived, and goes to {_receivers(routed)}"


def _arrival(client: AlertmanagerClient, wanted: Wanted, drill: Drill) -> Outcome:
    deadline = Deadline(client.timeout)
    while not (received := client.alerts(drill.labels)):
        if deadline.passed:
            remedy = (
                "Alertmanagers behind one address do not share alerts unless clustered: send to one of them directly."
            )
            return Status.FAILED, f"accepted, but not in its list of alerts within {duration(client.timeout)}", remedy
        time.sleep(0.5)
    muted = [alert for alert in received if alert.muted_by]
    if muted:
        remedy = "No receiver is notified: end the silence, or find the alert that inhibits it."
        return Status.FAILED, f"it has arrived, but is muted by {_muted(muted)}", remedy
    receivers = _receivers(received)
    if wanted.receiver is not None and not any(
        _is(name, wanted.receiver) for alert in received for name in alert.receivers
    ):
        return Status.FAILED, f"it goes to {receivers}, not to {wanted.receiver}", "Correct the routes, or its labels."
    ends = drill.ends_at.astimezone(UTC)
    return Status.OK, f"it has arrived, and goes to {receivers}: check there; it resolves at {ends:%H:%M:%S}Z"


def _is(name: str, wanted: str) -> bool:
    """Return whether a receiver has this name, possibly after the operator's prefix of namespace and resource."""
    return name == wanted or name.endswith(f"/{wanted}")


def _receivers(alerts: Sequence[Routed]) -> str:
    return ", ".join(sorted({name for alert in alerts for name in alert.receivers})) or "nobody"


def _muted(alerts: Sequence[Routed]) -> str:
    return ", ".join(sorted({by for alert in alerts for by in alert.muted_by}))
