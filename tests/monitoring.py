"""What tests of alerts, dashboards and the chart share: the programs, and what an expression reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import yaml

from dataops_exporter.metrics import METRICS
from dataops_local import guard

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "dashboards/alerts"
RULE_TESTS = ("tests.yml", "tests_days.yml")
RUNBOOKS = ROOT / "dashboards/runbooks"
CHART = ROOT / "deploy/helm/dataops-exporter"
TOOLS = ROOT / ".local/tools/bin"

TARGET = {"job", "instance", "namespace", "pod", "node", "container", "endpoint", "service", "cluster", "version"}
"""Labels that Prometheus itself gives to what it scrapes, and that of the build."""

PROMETHEUS = {"up", "ALERTS"}
"""Series that Prometheus makes itself."""


class Selector(NamedTuple):
    """A metric that an expression reads, and the labels that it selects by."""

    metric: str
    labels: frozenset[str]


def program(name: str) -> str:
    """Return a program's path: on the PATH, or where `make monitoring-tools`, `helm-tools` or `kube-tools` put it."""
    found = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], str(TOOLS))))
    assert found, f"no {name} here: run `make monitoring-tools helm-tools kube-tools`"
    return found


@cache
def rules() -> list[dict[str, Any]]:
    """Return all rules, alerts and recordings alike."""
    groups = yaml.safe_load((ALERTS / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@cache
def rule_tests() -> list[dict[str, Any]]:
    """Return the cases that promtool runs: an alert, a time, and whether it fires then."""
    tests = [test for name in RULE_TESTS for test in yaml.safe_load((ALERTS / name).read_text())["tests"]]
    return [case for test in tests for case in test.get("alert_rule_test", [])]


def alerts() -> list[dict[str, Any]]:
    """Return the rules that raise an alert; several may share a name."""
    return [rule for rule in rules() if "alert" in rule]


def selectors(expression: str) -> Iterator[Selector]:
    """Yield what an expression reads; raises ValueError where it is not PromQL."""
    found: list[Selector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            labels = frozenset(m.name for m in node.matchers.matchers if m.name != "__name__")
            found.append(Selector(node.name or "", labels))

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


def unknown_in(expression: str) -> list[str]:
    """Return the metrics and labels that an expression reads and that nobody has."""
    known = {metric.name: set(metric.labels) for metric in METRICS}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    wrong = []
    for metric, labels in selectors(expression):
        if metric in known:
            wrong += [f"{metric}{{{label}}}" for label in labels - known[metric] - TARGET]
        elif metric not in recorded | PROMETHEUS:
            wrong.append(metric)
    return wrong


NAMES = sorted({rule["alert"] for rule in alerts()})
"""Names of the alerts."""


class Receiver:
    """A webhook; it keeps each alert that arrives, by the path that it arrives at."""

    def __init__(self) -> None:
        self.seen: dict[str, list[dict[str, Any]]] = {}
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen.setdefault(self.path, []).extend(body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def alerts(self) -> set[tuple[str, str, str, str]]:
        """Return what has arrived, but for the Watchdog: receiver, status, alert and stage."""
        return {
            (path, alert["status"], alert["labels"]["alertname"], alert["labels"].get("stage", ""))
            for path, alerts in self.seen.items()
            for alert in alerts
            if path != "/watchdog"
        }


@contextmanager
def running(*command: str, log: Path) -> Iterator[None]:
    """Run a program as long as the block, and no longer than this process."""
    guarded = guard.command(log.parent, log.stem, command)
    with log.open("w") as out, subprocess.Popen(guarded, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
