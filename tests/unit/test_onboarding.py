"""Whether all has arrived at a central Prometheus, told by one that we hold in hand; a real one is asked elsewhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.unit.test_clients import closed_port, silent_port

from dataops_core.cli.app import main
from dataops_core.diagnostics.monitoring import shipped_rules

__all__ = ["closed_port", "silent_port"]

Answer = tuple[int, Any]
JOB = {"job": "dataops-exporter", "instance": "10.0.0.1:9877"}
WATCHDOG = {
    "labels": {"alertname": "DataopsWatchdog"},
    "receivers": [{"name": "watchdog"}],
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
}


class Platform:
    """A Prometheus and an Alertmanager in one: all is well, but for what a test changes."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.posted: list[dict[str, Any]] = []
        self.paths: dict[str, Answer] = {}
        """What is answered at a path, in place of what would be."""
        self.queries: dict[str, list[tuple[dict[str, str], float]]] = {
            "vector(1)": [({}, 1)],
            "up{": [(JOB, 1)],
            "dataops_build_info{": [({**JOB, "version": "1"}, 1)],
            "dataops_build_info": [({**JOB, "version": "1"}, 1)],
            "dataops_exporter_snapshot_timestamp_seconds{": [(JOB, time.time() - 4)],
            'count by (job, instance) (dataops_probe_success{probe!="survey"': [(JOB, 3)],
            'ALERTS{alertname="DataopsWatchdog"': [({}, 1)],
            'count({__name__=~"pipeline:dataops_.+"})': [({}, 8)],
        }
        """What a query yields, by how it begins; the longest one that fits."""
        self.rules = [
            {"name": name, "health": "ok", "lastError": ""}
            for name, number in shipped_rules().items()
            for _ in range(number)
        ]
        self.alertmanagers = [{"url": "http://alertmanager:9093/api/v2/alerts"}]
        self.alerts: list[dict[str, Any]] = [WATCHDOG]
        self.receiver = "ticket"
        self.status: dict[str, Any] = {"state": "active", "silencedBy": [], "inhibitedBy": []}
        """Of the test alert."""
        self.loses = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                outer.asked.append((self.command, self.path, dict(self.headers)))
                status, body = outer.answer(self.command, self.path, self.rfile.read(length))
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/sign-in")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET  # noqa: N815 - the base class names them so

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        parts = urlsplit(target)
        for path in (f"{method} {parts.path}", parts.path, "*"):
            if path in self.paths:
                return self.paths[path]
        found = self.found(method, parts.path, parse_qs(parts.query), body)
        if found is None:
            return 404, b"404 page not found"
        return 200, found if "/v2/" in parts.path else {"status": "success", "data": found}

    def found(self, method: str, path: str, asked: dict[str, list[str]], body: bytes) -> Any:  # noqa: PLR0911
        match path:
            case "/api/v1/status/buildinfo":
                return {"version": "2.99.0"}
            case "/api/v1/query":
                return {"resultType": "vector", "result": self._vector(asked["query"][0])}
            case "/api/v1/query_range":
                end, step = float(asked["end"][0]), float(asked["step"][0])
                values = [[end - step * back, "1" if back < 9 else "0"] for back in reversed(range(60))]
                return {"resultType": "matrix", "result": [{"metric": JOB, "values": values}]}
            case "/api/v1/targets":
                return {"activeTargets": [{"labels": JOB, "lastError": "connection refused"}]}
            case "/api/v1/rules":
                return {"groups": [{"name": "all", "rules": self.rules}]}
            case "/api/v1/alertmanagers":
                return {"activeAlertmanagers": self.alertmanagers, "droppedAlertmanagers": []}
            case "/api/v2/alerts" if method == "POST":
                self.posted += json.loads(body)
                return b""
            case "/api/v2/alerts":
                known = [] if self.loses else self.posted
                routed = [{**alert, "receivers": [{"name": self.receiver}], "status": self.status} for alert in known]
                return [*self.alerts, *routed]
        return None

    def _vector(self, query: str) -> list[dict[str, Any]]:
        fitting = max((begin for begin in self.queries if query.startswith(begin)), key=len)
        now = time.time()
        return [{"metric": labels, "value": [now, str(value)]} for labels, value in self.queries[fitting]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, and an audit file of our own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATAOPS_CONFIG", raising=False)
    for name in ("STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))


Verify = Callable[..., dict[str, Any]]


@pytest.fixture
def verify(platform: Platform, capsys: pytest.CaptureFixture[str]) -> Verify:
    def told(*arguments: str, code: int, url: str | None = None, settings: str = "[contexts.c]\n") -> dict[str, Any]:
        """Return the steps by their check."""
        Path("dataops.toml").write_text(settings)
        where = ("--url", url or platform.url) if url != "" else ()
        ended = main(["monitoring", "verify", "-o", "json", *where, *arguments])
        out, err = capsys.readouterr()
        assert ended == code, (out, err)
        found = json.loads(out)
        assert found["schema_version"] == 1
        steps = {step["check"]: step for step in found["steps"]}
        assert list(steps) == [
            *("prometheus", "target", "snapshot", "rules", "watchdog", "alertmanager", "delivery", "test_alert")
        ]
        for step in steps.values():
            assert "\n" not in step["detail"] + (step["mend"] or "")
            assert bool(step["mend"]) == (step["result"] in ("failed", "warning")) or step["result"] == "unknown"
        return steps

    return told


def results(steps: dict[str, Any]) -> list[str]:
    return [step["result"] for step in steps.values()]


def test_all_is_well(platform: Platform, verify: Verify) -> None:
    steps = verify("--alertmanager", platform.url, code=0)
    assert results(steps) == ["ok"] * 7 + ["not_used"]
    assert steps["prometheus"]["detail"] == "Prometheus 2.99.0"
    assert steps["target"]["detail"].startswith("dataops-exporter/10.0.0.1:9877, up since ")
    assert steps["snapshot"]["detail"] in ("4s old", "5s old", "6s old")
    assert steps["rules"]["detail"] == f"all {sum(shipped_rules().values())} are loaded and evaluated"
    assert steps["delivery"]["detail"] == "the Watchdog has arrived, and goes to watchdog"
    assert not [asked for asked in platform.asked if asked[0] != "GET"], "nothing is changed"


def test_without_an_alertmanager_its_checks_are_not_tried(verify: Verify) -> None:
    steps = verify(code=0)
    assert results(steps)[-2:] == ["not_used", "not_used"]
    assert "no Alertmanager is set" in steps["test_alert"]["detail"]


@pytest.mark.parametrize(
    ("answer", "detail", "mend"),
    [
        ((200, b"<html>Sign in</html>"), "the response is not JSON", "a proxy or another service may respond"),
        ((200, []), "the response is not from Prometheus", "a proxy or another service may respond"),
        ((200, {"status": "success", "data": None}), "the response is not from Prometheus", "a proxy or another"),
        ((401, b""), "rejected our credentials (401)", "Renew the credentials"),
        ((403, b""), "denied permission (403)", "Grant read access to the user"),
        ((404, b""), "HTTP 404", "is the base address of prometheus, without /api"),
        ((503, b""), "HTTP 503", "starting, overloaded or stopped"),
    ],
)
def test_what_is_no_prometheus_fails_and_nothing_else_is_looked_for(
    answer: Answer, detail: str, mend: str, platform: Platform, verify: Verify
) -> None:
    platform.paths["*"] = answer
    steps = verify(code=1)
    assert results(steps) == ["failed"] + ["unknown"] * 5 + ["not_used"] * 2
    assert detail in steps["prometheus"]["detail"]
    assert mend in steps["prometheus"]["mend"]
    assert steps["rules"]["detail"] == "not checked, because prometheus failed"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAOPS_PROBE_TIMEOUT", "2")


@pytest.mark.programs
@pytest.mark.usefixtures("impatient")
def test_one_that_is_down_and_one_that_hangs(verify: Verify, closed_port: int, silent_port: int) -> None:
    steps = verify(url=f"http://127.0.0.1:{closed_port}", code=1)
    assert "refused" in steps["prometheus"]["detail"]
    began = time.monotonic()
    silent = f"http://127.0.0.1:{silent_port}"
    steps = verify("--alertmanager", silent, "--send-test-alert", "--yes", url=silent, code=1)
    assert time.monotonic() - began < 30
    assert steps["prometheus"]["detail"].endswith("no response within 2s")
    assert results(steps)[-2:] == ["failed", "failed"]


@pytest.mark.programs
def test_one_that_hangs_on_the_way_is_not_waited_for_again(
    platform: Platform, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAOPS_PROBE_TIMEOUT", "2")
    answer = platform.answer

    def slow(method: str, target: str, body: bytes) -> Answer:
        if "/rules" in target:
            time.sleep(6)
        return answer(method, target, body)

    monkeypatch.setattr(platform, "answer", slow)
    steps = verify(code=3)
    assert results(steps)[:3] == ["ok", "ok", "ok"]
    assert "no response within 2s" in steps["rules"]["detail"]
    assert steps["watchdog"]["detail"] == "not checked, because prometheus failed"


@pytest.mark.programs
def test_a_platform_that_only_takes_queries_is_not_called_well(platform: Platform, verify: Verify) -> None:
    for path in ("status/buildinfo", "targets", "rules", "alertmanagers"):
        platform.paths[f"/api/v1/{path}"] = (404, b"404 page not found")
    steps = verify(code=3)
    assert results(steps)[:6] == ["ok", "ok", "ok", "unknown", "ok", "unknown"]
    assert "its version is not readable" in steps["prometheus"]["detail"]
    assert "some of the recorded series exist" in steps["rules"]["detail"]
    assert "Set --alertmanager to check whether" in steps["alertmanager"]["mend"]
    platform.queries['count({__name__=~"pipeline:dataops_.+"})'] = [({}, 0)]
    assert "no recorded series exists" in verify(code=3)["rules"]["detail"]
    platform.queries["vector(1)"] = []
    assert "vector(1) is not 1" in verify(code=1)["prometheus"]["detail"]


def test_a_target_that_cannot_be_scraped(platform: Platform, verify: Verify) -> None:
    platform.queries["up{"] = [(JOB, 0), ({**JOB, "instance": "10.0.0.2:9877"}, 1)]
    steps = verify(code=1)
    assert steps["target"]["detail"] == ("1 of 2 cannot be scraped: dataops-exporter/10.0.0.1:9877: connection refused")
    platform.paths["/api/v1/targets"] = (403, b"")
    assert verify(code=1)["target"]["detail"].endswith("scraped: dataops-exporter/10.0.0.1:9877")


def test_a_target_that_is_not_there(platform: Platform, verify: Verify) -> None:
    platform.queries |= {"up{": [], "dataops_build_info{": []}
    steps = verify(code=1)
    assert (
        "no target has a job that matches .*dataops.*; the exporter's job is dataops-exporter"
        in steps["target"]["detail"]
    )
    assert "--job" in steps["target"]["mend"]
    platform.queries["dataops_build_info"] = []
    steps = verify("--job", "orders", code=1)
    assert steps["target"]["detail"] == "no target has a job that matches orders"
    assert "label that the platform selects" in steps["target"]["mend"]
    asked = [parse_qs(urlsplit(path).query).get("query", [""])[0] for _, path, _ in platform.asked]
    assert 'up{job=~"orders"}' in asked


def test_a_target_that_is_another_program_handed_on_or_of_a_job_that_no_rule_watches(
    platform: Platform, verify: Verify
) -> None:
    platform.queries["dataops_build_info{"] = []
    assert "scraped, but not an exporter: dataops-exporter/" in verify(code=1)["target"]["detail"]
    platform.queries |= {"up{": [], "dataops_build_info{": [(JOB, 1)]}
    assert "another Prometheus forwards them" in verify(code=3)["target"]["detail"]
    orders = {**JOB, "job": "orders"}
    platform.queries |= {"up{": [(orders, 1)], "dataops_build_info{": [(orders, 1)]}
    steps = verify("--job", "orders", code=0)
    assert steps["target"]["result"] == "warning"
    assert "its job is orders" in steps["target"]["detail"]


def test_a_snapshot_that_is_too_old_ahead_or_not_there(platform: Platform, verify: Verify) -> None:
    taken = "dataops_exporter_snapshot_timestamp_seconds{"
    probed = 'count by (job, instance) (dataops_probe_success{probe!="survey"'
    platform.queries |= {taken: [(JOB, time.time() - 7200)], probed: []}
    steps = verify(code=1)
    assert steps["snapshot"]["detail"] == "too old to be shown (2h): dataops-exporter/10.0.0.1:9877"
    platform.queries |= {taken: [(JOB, time.time() + 7200)], probed: [(JOB, 1)]}
    assert verify(code=0)["snapshot"]["result"] == "warning"
    platform.queries[taken] = []
    assert "dataops_exporter_snapshot_timestamp_seconds is missing" in verify(code=1)["snapshot"]["detail"]
    platform.queries["up{"] = [(JOB, 0)]
    steps = verify(code=1)
    assert [steps[check]["result"] for check in ("target", "snapshot")] == ["failed", "unknown"], "one cause"


def test_rules_that_are_missing(platform: Platform, verify: Verify) -> None:
    burn = [rule for rule in platform.rules if rule["name"] == "DataopsDataAgeBudgetBurn"]
    platform.rules = [rule for rule in platform.rules if rule["name"] != "DataopsStageStuck"]
    platform.rules.remove(burn[0])
    steps = verify(code=1)
    total = sum(shipped_rules().values())
    assert steps["rules"]["detail"] == (
        f"2 of {total} are not loaded: DataopsDataAgeBudgetBurn (3 of 4), DataopsStageStuck"
    )
    left_out = ("--left-out", "DataopsStageStuck", "--left-out", "DataopsDataAgeBudgetBurn")
    assert verify(*left_out, code=0)["rules"]["detail"] == f"all {total - 5} are loaded and evaluated"
    platform.rules = []
    assert f"{total} of {total} are not loaded" in verify(code=1)["rules"]["detail"]


def test_rules_that_fail_or_wait(platform: Platform, verify: Verify) -> None:
    platform.rules[-2] |= {"health": "unknown"}
    steps = verify(code=0)
    assert steps["rules"]["result"] == "warning"
    assert steps["rules"]["detail"] == f"not evaluated yet: {platform.rules[-2]['name']}"
    platform.rules[-1] |= {"health": "err", "lastError": "found duplicate series\nfor the match group"}
    steps = verify(code=1)
    name = platform.rules[-1]["name"]
    assert steps["rules"]["detail"] == f"1 fail: {name}: found duplicate series for the match group"


def test_the_watchdog_does_not_fire_and_nobody_is_sent_to(platform: Platform, verify: Verify) -> None:
    platform.queries['ALERTS{alertname="DataopsWatchdog"'] = []
    platform.alertmanagers = []
    platform.alerts = []
    steps = verify("--alertmanager", platform.url, code=1)
    assert (steps["watchdog"]["result"], steps["watchdog"]["detail"]) == ("failed", "does not fire")
    assert steps["alertmanager"]["detail"] == "it sends alerts to no Alertmanager"
    assert steps["delivery"]["detail"] == "the Watchdog has not arrived"
    platform.alertmanagers = [{"url": "http://me:hunter2@alertmanager:9093"}]
    steps = verify("--alertmanager", platform.url, "--left-out", "DataopsWatchdog", code=0)
    assert [steps[check]["result"] for check in ("watchdog", "delivery")] == ["not_used", "not_used"]
    assert "hunter2" not in json.dumps(steps)


def test_a_watchdog_that_is_muted(platform: Platform, verify: Verify) -> None:
    platform.alerts = [{**WATCHDOG, "status": {"silencedBy": ["s1"], "inhibitedBy": [], "mutedBy": ["night"]}}]
    steps = verify("--alertmanager", platform.url, code=0)
    assert steps["delivery"]["result"] == "warning"
    assert "muted by night, s1" in steps["delivery"]["detail"]


SEND = ("--send-test-alert", "--yes")


def test_a_test_alert_arrives_is_audited_and_ends_by_itself(platform: Platform, verify: Verify, tmp_path: Path) -> None:
    where = ("--alertmanager", platform.url)
    steps = verify(*where, *SEND, "--label", "team=data", "--severity", "warning", "--receiver", "ticket", code=0)
    assert steps["test_alert"]["detail"].startswith("it has arrived, and goes to ticket: check there; it resolves at")
    (posted,) = platform.posted
    identity = posted["labels"].pop("test_id")
    assert posted["labels"] == {"alertname": "DataopsTest", "severity": "warning", "team": "data"}
    lasts = (datetime.fromisoformat(posted["endsAt"]).timestamp() - time.time()) / 60
    assert 4 < lasts <= 5
    (audit,) = tmp_path.rglob("*.jsonl")
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(line["action"], line["outcome"]) for line in lines] == [("send_alert", "allowed"), ("send_alert", "done")]
    assert lines[0]["labels"]["test_id"] == identity
    verify(*where, *SEND, code=0)
    assert platform.posted[-1]["labels"]["test_id"] != identity
    assert platform.posted[-1]["labels"]["severity"] == "info"


@pytest.mark.programs
@pytest.mark.usefixtures("impatient")
def test_a_test_alert_that_is_muted_lost_led_elsewhere_or_refused(platform: Platform, verify: Verify) -> None:
    where = ("--alertmanager", platform.url)
    steps = verify(*where, *SEND, "--receiver", "page", code=1)
    assert steps["test_alert"]["detail"] == "it goes to ticket, not to page"
    platform.receiver = "data/dataops/page"
    assert verify(*where, *SEND, "--receiver", "page", code=0)["test_alert"]["result"] == "ok", (
        "an operator's name for it"
    )
    platform.receiver = "ticket"
    platform.status = {"silencedBy": [], "inhibitedBy": ["f00"]}
    assert "muted by f00" in verify(*where, *SEND, code=1)["test_alert"]["detail"]
    platform.loses = True
    steps = verify(*where, *SEND, code=1)
    assert "not in its list of alerts within 2s" in steps["test_alert"]["detail"]
    assert "do not share alerts" in steps["test_alert"]["mend"]
    platform.paths["POST /api/v2/alerts"] = (400, b"")
    assert "HTTP 400" in verify(*where, *SEND, code=1)["test_alert"]["detail"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--url", "http://[::1"), "url"),
        (("--url", "http://prometheus.example.com", "--receiver", "page"), "add --send-test-alert"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitoring", "verify", *arguments]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_a_sign_in_page_is_no_consent(platform: Platform, verify: Verify) -> None:
    platform.paths |= {"POST /api/v2/alerts": (302, b""), "/sign-in": (200, b"<html>")}
    steps = verify("--alertmanager", platform.url, *SEND, code=1)
    assert "HTTP 302" in steps["test_alert"]["detail"]
    assert not [path for _, path, _ in platform.asked if path == "/sign-in"]


def test_what_is_no_alertmanager(platform: Platform, verify: Verify) -> None:
    platform.paths["GET /api/v2/alerts"] = (200, b"<html>Sign in</html>")
    steps = verify("--alertmanager", platform.url, *SEND, code=1)
    assert results(steps)[-2:] == ["failed", "unknown"]
    assert "the response is not JSON" in steps["delivery"]["detail"]
    platform.paths["GET /api/v2/alerts"] = (200, {"status": "success"})
    steps = verify("--alertmanager", platform.url, code=1)
    assert "not from Alertmanager" in steps["delivery"]["detail"]


@pytest.mark.parametrize(
    ("settings", "confirm", "said"),
    [
        ("[contexts.c]\n", (), 'a test alert may page somebody in the context "c": confirm with "yes"'),
        ("[contexts.c]\nread_only = true\n", ("--yes",), 'the context "c" is read-only'),
        ("[contexts.c]\nproduction = true\n", ("--yes",), 'confirm with "c"'),
    ],
)
def test_an_alert_that_is_not_confirmed_is_not_sent(
    settings: str, confirm: tuple[str, ...], said: str, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("dataops.toml").write_text(settings)
    where = ("--url", platform.url, "--alertmanager", platform.url)
    assert main(["monitoring", "verify", *where, "--send-test-alert", *confirm]) == 2
    assert said in capsys.readouterr().err
    assert platform.asked == []


def test_the_context_s_own_are_asked_as_it_says(platform: Platform, verify: Verify) -> None:
    settings = f"""
[contexts.c.prometheus]
url = "{platform.url}/"
token = "hunter2"
[contexts.c.alertmanager]
url = "{platform.url}"
username = "me"
password = "hunter3"
"""
    steps = verify(url="", settings=settings, code=0)
    assert results(steps) == ["ok"] * 7 + ["not_used"]
    by_api = {path.split("/")[2]: headers["Authorization"] for _, path, headers in platform.asked}
    assert by_api["v1"] == "Bearer hunter2"
    assert by_api["v2"].startswith("Basic ")
    verify(settings=settings, code=0)
    assert platform.asked[-1][2]["Authorization"].startswith("Basic "), "typed, and the same"


def test_credentials_do_not_go_to_an_address_that_is_typed(platform: Platform, verify: Verify, tmp_path: Path) -> None:
    settings = """
[contexts.c.prometheus]
url = "https://prometheus.example.com"
token = "hunter2"
[contexts.c.alertmanager]
url = "https://alertmanager.example.com"
token = "hunter2"
"""
    steps = verify(settings=settings, code=0)
    assert not [headers for _, _, headers in platform.asked if "Authorization" in headers]
    assert steps["delivery"]["detail"] == "not checked: no Alertmanager is set", "the other one's is none of this one's"
    token = tmp_path / "token"
    token.write_text("hunter4\n")
    verify("--token-file", str(token), settings=settings, code=0)
    assert platform.asked[-1][2]["Authorization"] == "Bearer hunter4"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "has no prometheus: add --url"),
        (("--url", "prometheus:9090"), "must be a URL such as"),
        (("--url", "http://me:hunter2@prometheus"), "contains a user name or password"),
        (("--url", "http://p", "--ca-file", "ca.pem"), "does not begin with https://"),
        (("--url", "http://p", "--job", "("), "is not a valid regular expression"),
        (("--url", "http://p", "--left-out", "DataopsNothing"), 'there is no rule "DataopsNothing"'),
        (("--url", "http://p", "--send-test-alert", "--yes"), "none is set: add --alertmanager URL"),
        (("--url", "http://p", "--alertmanager", "http://a", *SEND, "--label", "x"), '"x" is not a label'),
        (
            ("--url", "http://p", "--alertmanager", "http://a", *SEND, "--label", "severity=x"),
            "the label severity of a test alert is reserved",
        ),
        (("--token-file", "token"), "apply to --url and --alertmanager only"),
        (("--url", "http://p", "--severity", "fatal"), "fatal"),
    ],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("dataops.toml").write_text("[contexts.c]\n")
    assert main(["monitoring", "verify", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert "hunter2" not in err


def test_a_token_that_is_not_there_is_said(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitoring", "verify", "--url", platform.url, "--token-file", "nowhere"]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_no_settings_are_needed_where_an_address_is_given(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitoring", "verify"]) == 2
    assert "no settings file found" in capsys.readouterr().err
    platform.rules.pop()
    platform.queries["up{"] = [({"job": "dataops", "instance": "[red]\x1b[2J"}, 1)]
    platform.queries["dataops_build_info{"] = platform.queries["up{"]
    assert main(["monitoring", "verify", "--url", platform.url]) == 1
    out = capsys.readouterr().out
    assert "prometheus    ● ok" in out
    assert "dataops/[red]␛[2J, up since" in out
    assert "✖ rules fix: Check that the PrometheusRule has the label" in out
    assert "- not used  not checked: no Alertmanager is set" in out
