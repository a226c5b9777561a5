"""A stopped Spark job makes one alert arrive at a receiver, the right one, through real Prometheus and Alertmanager.

The rules and the routing are those that ship, with their waiting times cut short: `promtool test rules` covers those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from tests.e2e.conftest import PORT_BASE, Stack, until
from tests.e2e.test_outages import LAND, flows
from tests.monitoring import ALERTS, Receiver, program, running
from tests.ports import free_port

from dataops_local.layout import Layout

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def flowing(stack: Stack) -> Iterator[Stack]:
    """The stack, once all of it flows."""
    stack.start("simulator")
    try:
        stack.probe_until("data reaches gold", flows, within=600)
        yield stack
    finally:
        stack.stop("simulator")


@pytest.fixture
def receiver(flowing: Stack, tmp_path: Path) -> Iterator[Receiver]:
    """Prometheus that scrapes the stack's exporter, Alertmanager, and what it sends to."""
    receiver = Receiver()
    prometheus, alertmanager = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    rules = yaml.safe_load((ALERTS / "rules.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        for wait in {"for", "keep_firing_for"} & set(rule):
            rule[wait] = "10s"
    target = f"127.0.0.1:{Layout(flowing.state, PORT_BASE).port('exporter')}"
    scraping = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "dataops-exporter", "static_configs": [{"targets": [target]}]}],
    }
    routing = yaml.safe_load((ALERTS / "alertmanager.yml").read_text())
    routing["route"] |= {"group_wait": "1s", "group_interval": "2s"}
    for sink in routing["receivers"]:
        for webhook in sink.get("webhook_configs", []):
            webhook["url"] = f"{receiver.url}/{sink['name']}"
    for name, content in {"rules": rules, "prometheus": scraping, "alertmanager": routing}.items():
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(content))
    with ExitStack() as programs:
        programs.callback(receiver.server.server_close)
        programs.callback(receiver.server.shutdown)
        programs.enter_context(
            running(
                program("alertmanager"),
                f"--config.file={tmp_path / 'alertmanager.yml'}",
                f"--storage.path={tmp_path / 'alertmanager'}",
                f"--web.listen-address={alertmanager}",
                "--cluster.listen-address=",
                log=tmp_path / "alertmanager.log",
            )
        )
        programs.enter_context(
            running(
                program("prometheus"),
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'prometheus'}",
                f"--web.listen-address={prometheus}",
                "--rules.alert.resend-delay=5s",  # what is sent before Alertmanager is known is lost
                log=tmp_path / "prometheus.log",
            )
        )
        yield receiver


def test_a_stopped_spark_job_raises_the_one_alert_and_it_resolves(flowing: Stack, receiver: Receiver) -> None:
    until("the Watchdog arrives", lambda: receiver.seen.get("/watchdog"), bool, within=60)
    flowing.stop(LAND)
    try:
        firing = ("/page", "firing", "DataopsStageStuck", LAND)
        until("the page", receiver.alerts, lambda seen: firing in seen, within=120)
    finally:
        flowing.start(LAND)
    resolved = ("/page", "resolved", "DataopsStageStuck", LAND)
    until("the end of it", receiver.alerts, lambda seen: resolved in seen, within=300)
    assert receiver.alerts() == {firing, resolved}, "one cause, one alert"
    page = receiver.seen["/page"][0]
    assert "check_id" not in page["labels"], "a cause that becomes known is no new alert"
    assert page["labels"]["severity"] == "critical"
    assert page["annotations"]["runbook_url"].endswith("/DataopsStageStuck.md")
