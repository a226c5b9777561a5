"""dbt by the artifacts API of its platform: a local server gives the documented answers, with real artifacts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.clients import CA_FILE
from tests.hostile.test_origins import Server
from tests.json_server import JsonServer, serving
from tests.settings import ContextSettings
from tests.unit.test_clients import closed_port

from dataops_core.bounded import Malformed
from dataops_core.config import TlsSettings
from dataops_core.diagnostics.base import Status
from dataops_core.diagnostics.doctor import diagnose
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    NotFound,
    PermissionDenied,
    RateLimited,
    Unreachable,
)
from dataops_core.health.checks.base import CheckInput, findings
from dataops_core.health.model import Finding, StageState
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.dbt import SYSTEM
from dataops_core.systems.dbt import client as dbt_client
from dataops_core.systems.dbt.client import DbtClient
from dataops_core.systems.dbt.discover import discover
from dataops_core.systems.dbt.probe import observe_dbt
from dataops_core.systems.dbt.runs import read_run, read_runs
from dataops_core.systems.dbt.settings import DbtSettings, DbtThresholds
from dataops_core.systems.draft import Draft
from dataops_core.systems.registry import load_settings

__all__ = ["closed_port"]

DATA = Path(__file__).parent / "data" / "dbt"
MODEL, SOURCE = SYSTEM.stage_kinds
TOKEN = "dbtc_S3CR3T"
ACCOUNT = "/api/v2/accounts/1"
JOB = f"{ACCOUNT}/jobs/7"
BUILT = datetime(2026, 11, 27, 21, 26, tzinfo=UTC)
"""Shortly before the end of the command `build`."""


@pytest.fixture(autouse=True)
def unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbt_client, "SHARED", -1.0)


class Platform:
    """The documented API of one account with the job 7."""

    def __init__(self, server: JsonServer) -> None:
        self.server = server
        self.runs: list[dict[str, Any]] = []
        self.serve(f"{JOB}/", {"data": {"id": 7}})
        self._list()

    def serve(self, path: str, body: Any) -> None:
        """Give an answer to a request with the token, and 401 to others."""
        wrong = 401, {"status": {"code": 401, "is_success": False, "user_message": "Invalid token."}, "data": None}
        self.server.answers[f"GET {path}"] = lambda headers, _: (
            body if headers["Authorization"] == f"Bearer {TOKEN}" else wrong
        )

    def run(self, number: int, status: int, *artifacts: str, minutes: int = 0, **more: Any) -> None:
        """Add a run that began before the command `build`, with the artifacts of commands, and the job's newest."""
        began = (BUILT + timedelta(minutes=minutes - 1)).isoformat()
        ended = (BUILT + timedelta(minutes=minutes + 1)).isoformat() if status >= 10 else None
        link = f"https://x.us1.dbt.com/deploy/1/projects/2/runs/{number}/"
        run = {"id": number, "status": status, "created_at": began, "started_at": began, "finished_at": ended}
        run |= {"href": link, "artifacts_saved": bool(artifacts), "status_message": None} | more
        self.runs.insert(0, run)
        self._list()
        self.serve(f"{ACCOUNT}/runs/{number}/", {"data": run})
        for folder in artifacts:
            for file in (DATA / folder).iterdir():
                self.serve(f"{JOB}/artifacts/{file.name}", file.read_bytes())
                self.serve(f"{ACCOUNT}/runs/{number}/artifacts/{file.name}", file.read_bytes())

    def _list(self) -> None:
        self.serve(f"{ACCOUNT}/runs/", {"data": self.runs, "extra": {}, "status": {"code": 200}})

    def asked(self) -> list[str]:
        """Return what was asked since the last call, without the account."""
        found = [path.removeprefix(ACCOUNT) for _, path, _ in self.server.asked]
        self.server.asked.clear()
        return found


@pytest.fixture
def platform() -> Iterator[Platform]:
    with serving({}) as server:
        yield Platform(server)


def settings(platform: Platform, of: str = "jobs/7", **more: Any) -> DbtSettings:
    location = f"{platform.server.url}{ACCOUNT}/{of}/artifacts/"
    return DbtSettings.model_validate({"location": location, "token": TOKEN, **more})


def client(platform: Platform, of: str = "jobs/7", timeout: float = 5.0, **more: Any) -> DbtClient:
    return DbtClient("dbt", settings(platform, of, **more), timeout)


def model(client: DbtClient, name: str) -> Observation:
    stage = MODEL.settings.model_validate({"name": name, "kind": "dbt_model", "model": name})
    return MODEL.observe(stage, Clients(dbt=client))


def found_in(seen: Observation) -> dict[str, Finding]:
    stage = MODEL.settings.model_validate({"name": seen.stage, "kind": "dbt_model", "model": seen.stage})
    given = CheckInput(seen.stage, seen.details, seen, None, (), (), BUILT)
    return {each.check: each for each in findings(MODEL.checks, MODEL.details, stage, given)}


def of_component(client: DbtClient, now: datetime = BUILT) -> tuple[str, dict[str, Finding]]:
    detail, seen = observe_dbt(client)
    kind = SYSTEM.components[0]
    given = CheckInput("dbt", seen.details, seen, None, (), (), now)
    return detail, {each.check: each for each in findings(kind.checks, kind.details, DbtThresholds(), given)}


##### Artifacts


def test_the_artifacts_of_a_job_are_those_of_a_folder(platform: Platform) -> None:
    platform.run(105, 20, "build")
    seen, local = (
        model(client(platform), "inc"),
        model(DbtClient("dbt", DbtSettings(location=str(DATA / "build"))), "inc"),
    )
    assert seen.details == local.details
    assert found_in(seen)["test-failed"].sentence == found_in(local)["test-failed"].sentence
    detail, found = of_component(client(platform))
    assert detail == "newest results: dbt build; newest run: 105 (error)"
    assert set(found) == {"nodes-failed"}, "failed nodes show why the run failed"
    assert found["nodes-failed"].evidence == ("newest run: https://x.us1.dbt.com/deploy/1/projects/2/runs/105/",)


def test_only_a_newly_finished_run_is_read(platform: Platform) -> None:
    platform.run(105, 10, "build")
    reader = client(platform)
    built = model(reader, "by_logger").progress_time
    listing = "/runs/?job_definition_id=7&order_by=-id&limit=10"
    files = [f"/jobs/7/artifacts/{name}.json" for name in ("run_results", "sources", "manifest")]
    assert platform.asked() == [listing, *files]
    platform.run(106, 3, minutes=2)
    assert model(reader, "by_logger").progress_time == built
    assert platform.asked() == [listing], "run 106 has not finished"
    platform.runs.pop(0)
    platform.run(106, 10, "run", minutes=2)
    assert model(reader, "by_logger").progress_time == datetime(2026, 11, 27, 21, 27, 57, 680555, UTC)
    assert platform.asked() == [listing, *files]
    platform.runs[0]["artifacts_saved"] = False
    assert model(reader, "by_logger").progress_time is not None
    assert platform.asked() == [listing, *files], "they may be stored after the end of the run"


def test_a_missing_artifact_takes_nothing_away_and_is_not_asked_for_again(platform: Platform) -> None:
    platform.run(105, 10, "run")
    platform.run(106, 10, "parse")
    reader = client(platform)
    assert model(reader, "by_logger").progress_time is not None
    with pytest.raises(NotFound, match=r"there is no sources\.json: run `dbt source freshness`"):
        SOURCE.observe(
            SOURCE.settings.model_validate({"name": "r", "kind": "dbt_source", "source": "bronze.readings"}),
            Clients(dbt=reader),
        )
    assert len(platform.asked()) == 5
    assert of_component(reader)[1] == {}


def test_one_run_is_read_without_the_job(platform: Platform) -> None:
    platform.run(105, 10, "build")
    platform.run(106, 10, "run")
    reader = client(platform, "runs/105")
    assert model(reader, "by_logger").progress_time == datetime(2026, 11, 27, 21, 26, 6, 20206, UTC)
    assert platform.asked()[:2] == ["/runs/105/", "/runs/105/artifacts/run_results.json"]
    model(reader, "by_logger")
    assert platform.asked() == ["/runs/105/"]


@pytest.mark.parametrize("of", ["jobs/7", "runs/105"])
def test_a_step_is_read_from_the_newest_finished_run(platform: Platform, of: str) -> None:
    platform.run(105, 10, "build", "compile", "parse")  # as after the last step of a job that generates documentation
    platform.run(106, 1)
    step = f"{ACCOUNT}/runs/105/artifacts/run_results.json?step=4"
    platform.serve(step, (DATA / "build" / "run_results.json").read_bytes())
    assert model(client(platform, of), "by_logger").progress_time is None
    reader = client(platform, of, run_results=("run_results.json?step=4",))
    seen = model(reader, "by_logger")
    assert seen.progress_time is not None
    assert seen.measurement("later_command") is None, "the last step is part of the same run"
    assert step.removeprefix(ACCOUNT) in platform.asked()


def test_a_step_without_a_finished_run_is_missing(platform: Platform) -> None:
    platform.run(105, 3)
    detail, found = of_component(client(platform, run_results=("run_results.json?step=4",)))
    assert (detail, found) == ("no results yet; newest run: 105 (running)", {})


##### Runs


def test_results_of_an_earlier_run_are_not_taken_for_those_of_a_failed_one(platform: Platform) -> None:
    platform.run(105, 10, "run", "parse")
    reader = client(platform)
    earlier = model(reader, "by_logger")
    assert found_in(earlier).get("job-run-failed") is None
    platform.run(106, 20, minutes=60, status_message="git clone failed, password=hunter2")
    seen = model(reader, "by_logger")
    assert seen.progress_time == earlier.progress_time, "the table has the rows of the earlier run"
    (finding,) = [each for each in found_in(seen).values() if each.check == "job-run-failed"]
    assert finding.explains
    assert finding.sentence == (
        "run 106 (error) of the job did not succeed, and no result shows why: git clone failed, password=***"
    )
    assert finding.since == BUILT + timedelta(minutes=61)
    assert finding.evidence == ("https://x.us1.dbt.com/deploy/1/projects/2/runs/106/",)
    assert of_component(reader)[1]["job-run-failed"].sentence == finding.sentence


def test_a_failed_run_whose_results_are_all_good_is_a_finding_of_the_job_only(platform: Platform) -> None:
    platform.run(105, 30, "run", "parse")
    reader = client(platform)
    assert "job-run-failed" not in found_in(model(reader, "by_logger"))
    _, found = of_component(reader)
    assert found["job-run-failed"].sentence == "run 105 (cancelled) of the job did not succeed, and no result shows why"


def test_a_failed_run_is_named_while_the_next_one_runs(platform: Platform) -> None:
    platform.run(105, 10, "run", "parse")
    platform.run(106, 20, minutes=60)
    platform.run(107, 3, minutes=70)
    detail, found = of_component(client(platform), BUILT + timedelta(minutes=75))
    assert detail == "newest results: dbt run; newest run: 107 (running)"
    assert set(found) == {"job-run-failed"}


@pytest.mark.parametrize(("status", "word"), [(1, "queued"), (2, "starting"), (3, "running"), (7, "status 7")])
def test_a_run_that_does_not_end_is_a_finding(platform: Platform, status: int, word: str) -> None:
    platform.run(105, 10, "run", "parse")
    platform.run(106, status, minutes=1, finished_at=None)
    reader = client(platform)
    assert of_component(reader, BUILT + timedelta(hours=2))[1] == {}
    finding = of_component(reader, BUILT + timedelta(hours=2, seconds=60))[1]["job-run-pending"]
    assert finding.sentence == f"run 106 ({word}) of the job has not ended for 2h 1m"
    assert finding.evidence == ("https://x.us1.dbt.com/deploy/1/projects/2/runs/106/",)


def test_a_job_that_has_never_run_and_one_that_does_not_exist_differ(platform: Platform) -> None:
    assert of_component(client(platform)) == ("no results yet", {})
    with pytest.raises(NotFound, match="there are no run results yet") as no_manifest:
        model(client(platform), "inc")
    assert "\n" not in str(no_manifest.value)
    with pytest.raises(NotFound, match=r"/accounts/1/jobs/8/: .*: correct the ids in `location`"):
        client(platform, "jobs/8").project()


def test_a_link_that_is_not_an_address_is_not_shown(platform: Platform) -> None:
    platform.run(105, 20, href="javascript:alert(1)", minutes=5)
    assert of_component(client(platform))[1]["job-run-failed"].evidence == ()


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"data": None}, {"data": [{}]}, {"data": [{"id": 1, "status": 10}]}, {"data": ["x"]},
        {"data": [{"id": -1, "status": 10, "created_at": "2026-01-05T00:00:00Z"}]},
    ],
)  # fmt: skip
def test_what_is_no_listing_is_refused(platform: Platform, body: Any) -> None:
    with pytest.raises(Malformed):
        read_runs(body)
    with pytest.raises(Malformed):
        read_run(body)
    platform.serve(f"{ACCOUNT}/runs/", body)
    with pytest.raises(BadAnswer, match="the response is not from dbt's API: it "):
        client(platform).project()


def test_an_older_run_that_cannot_be_read_takes_nothing_away(platform: Platform) -> None:
    platform.runs.append({"id": 90})
    platform.run(101, 10, "build")
    assert [run.id for run in client(platform).project().job_runs] == [101]
    platform.runs[0]["status"] = 3
    with pytest.raises(BadAnswer, match="the response is not from dbt's API: it "):
        client(platform).project()


##### Failures


@pytest.mark.parametrize(
    ("answer", "kind", "line"),
    [
        ((401, {"status": {"user_message": "No."}}), AuthenticationFailed, r"\(401\): No\.: set `token` to a valid"),
        ((403, {}), PermissionDenied, r"denied permission \(403\): let the token read jobs and runs"),
        ((404, {"status": {"user_message": "Not found."}}), NotFound, r"Not found\.: correct the ids in `location`"),
        ((429, {}, {"Retry-After": "soon"}), RateLimited, "HTTP 429: It limits the request rate"),
        ((503, b"<title>down</title>"), BadAnswer, "HTTP 503: down: The server behind this address"),
        (b"<html>sign in</html>", BadAnswer, "is not JSON.*: set `location` to the account's access URL"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line_with_the_fix(
    platform: Platform, answer: Any, kind: type[ClientError], line: str
) -> None:
    platform.run(105, 10, "build")
    platform.serve(f"{ACCOUNT}/runs/", answer)
    with pytest.raises(kind, match=line) as caught:
        client(platform).project()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"dbt {platform.server.url}{ACCOUNT}/runs/: ")
    platform.run(105, 10, "build")
    platform.serve(f"{JOB}/artifacts/sources.json", answer)
    reader = client(platform)
    if kind is NotFound:
        assert reader.project().unreadable == {}
        return
    assert model(reader, "by_logger").progress_time is not None
    problem = reader.project().unreadable["sources.json"]
    assert problem.startswith("sources.json")
    assert "\n" not in problem
    platform.run(105, 10, "build")
    assert reader.project().unreadable == {}, "the next read repeats the request"


def test_a_wrong_token_is_never_shown(platform: Platform) -> None:
    with pytest.raises(AuthenticationFailed, match=r"\(401\): Invalid token\.: set `token`") as caught:
        client(platform, token="dbtc_0TH3R").project()
    assert "0TH3R" not in str(caught.value)
    with pytest.raises(ConfigError, match="the environment variable NO_SUCH_TOKEN is not set"):
        client(platform, token="${NO_SUCH_TOKEN}").project()


def test_a_limited_rate_is_waited_for(platform: Platform) -> None:
    platform.run(105, 10, "build")
    platform.serve(f"{ACCOUNT}/runs/", (429, {}, {"Retry-After": "120"}))
    reader = client(platform)
    for wait in ("Wait 2m", "wait 2m"):
        with pytest.raises(RateLimited, match=wait):
            reader.project()
    assert len(platform.asked()) == 1
    platform.run(105, 10, "build")
    platform.serve(f"{JOB}/artifacts/run_results.json", (429, {}, {"Retry-After": "120"}))
    reader = client(platform)
    assert len(reader.project().unreadable) == 3
    assert len(platform.asked()) == 2, "the others are not asked for"


def test_a_run_whose_results_cannot_be_read_does_not_keep_those_of_an_earlier_one(platform: Platform) -> None:
    platform.run(105, 10, "build")
    reader = client(platform)
    assert model(reader, "by_logger").progress_time is not None
    platform.run(106, 10, "run", minutes=2)
    platform.serve(f"{JOB}/artifacts/run_results.json", (500, {}))
    with pytest.raises(BadAnswer, match=r"run_results\.json: HTTP 500"):
        model(reader, "by_logger")
    assert of_component(reader)[1]["artifact-unreadable"].sentence.startswith(
        "an artifact cannot be read: run_results.json: HTTP 500"
    )


def test_a_token_that_is_gone_half_way_leaves_nothing_half_read(platform: Platform, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    platform.run(105, 10, "build")
    reader = client(platform, token={"file": str(token)})
    built = model(reader, "by_logger").progress_time
    platform.run(106, 10, "run", minutes=2)
    results = (DATA / "run" / "run_results.json").read_bytes()

    def rotated(*_: Any) -> bytes:
        token.unlink()
        return results

    platform.server.answers[f"GET {JOB}/artifacts/run_results.json"] = rotated
    with pytest.raises(ConfigError, match="token: no such file"):
        model(reader, "by_logger")
    token.write_text(TOKEN)
    platform.serve(f"{JOB}/artifacts/run_results.json", results)
    seen = model(reader, "by_logger").progress_time
    assert seen is not None
    assert built is not None
    assert seen > built, "the results of run 106, which were lost before"


def test_an_artifact_that_is_too_large_is_refused(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.run(105, 10, "build")
    monkeypatch.setattr(dbt_client, "SIZE", 2000)
    assert "its body is larger than 2,000 bytes" in client(platform).project().unreadable["manifest.json"]


def test_a_server_that_hangs_or_is_gone_is_one_line(platform: Platform, closed_port: int) -> None:
    location = f"http://127.0.0.1:{closed_port}{JOB}/artifacts/"
    with pytest.raises(Unreachable):
        DbtClient("dbt", DbtSettings(location=location, token=TOKEN), 1.0).project()
    with serving({}) as server:
        other = Platform(server)
        other.run(105, 10, "build")
        server.answers[f"GET {JOB}/artifacts/manifest.json"] = lambda *_: __import__("time").sleep(1.0)
        project = client(other, timeout=0.5).project()
    assert project.runs
    assert "raise `probe_timeout`" in project.unreadable["manifest.json"]


def test_the_settings_name_the_ca_of_the_server() -> None:
    run = {"id": 105, "status": 10, "created_at": BUILT.isoformat()}
    server = Server(lambda _, path: (200, {}, {"data": [run]} if "/runs/" in path else {"metadata": {}}), tls=True)
    try:
        location = f"{server.url}{JOB}/artifacts/"
        trusted = DbtSettings(location=location, token=TOKEN, tls=TlsSettings(ca_file=str(CA_FILE)))
        assert DbtClient("dbt", trusted, 5.0).project().job_runs[0].title == "105 (success)"
        assert {authorization for *_, authorization in server.asked} == {f"Bearer {TOKEN}"}
        with pytest.raises(Unreachable, match="certificate verify failed"):
            DbtClient("dbt", DbtSettings(location=location, token=TOKEN), 5.0).project()
    finally:
        server.close()


def test_a_redirect_to_another_host_is_refused(platform: Platform) -> None:
    platform.run(105, 10, "build")
    with serving({}) as other:
        elsewhere = {"Location": f"{other.url}/signed"}
        platform.serve(f"{JOB}/artifacts/manifest.json", (302, b"", elsewhere))
        project = client(platform).project()
        assert other.asked == []
    assert f"credentials go only to {platform.server.url}" in project.unreadable["manifest.json"]


##### Settings, doctor, proposal, pipeline


@pytest.mark.parametrize(
    ("location", "own", "wrong"),
    [
        ("https://h/api/v2/accounts/1/jobs/7/", 'token = "t"', "location: must end with /api/v2/accounts/ACCOUNT/jobs"),
        ("https://h/api/v2/accounts/1/jobs/7/artifacts/manifest.json", 'token = "t"', "location: must end with"),
        ("https://u:p@h/api/v2/accounts/1/jobs/7/artifacts", 'token = "t"', "location: contains a user name"),
        ("https:///api/v2/accounts/1/jobs/7/artifacts", 'token = "t"', "location: must be a URL"),
        ("https://h/api/v2/accounts/1/jobs/7/artifacts", "", "token: is missing"),
        (
            "https://h/api/v2/accounts/1/jobs/7/artifacts",
            'token = "t"\nproperties = { region = "r" }',
            "properties: are",
        ),
        (
            "http://h/api/v2/accounts/1/jobs/7/artifacts",
            'token = "t"\ntls = { ca_file = "/c" }',
            "tls: the address does",
        ),
        ("https://h/api/v2/accounts/1/jobs/7/artifacts", 'token = "t"\nrun_results = ["a?step=1"]', "run_results: "),
        ("/x", 'run_results = ["run_results.json?step=1"]', "run_results: "),
        ("/x", 'token = "t"', "token: is only for an https:// location"),
        ("s3://x", "tls = { ca_file = '/c' }", "tls: is only for an https:// location"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, location: str, own: str, wrong: str) -> None:
    path = tmp_path / "dataops.toml"
    path.write_text(f'[contexts.prod.dbt]\nlocation = "{location}"\n{own}\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert wrong in str(caught.value)


@pytest.mark.parametrize("url", ["https://ab123.us1.dbt.com", "https://cloud.getdbt.com", "http://127.0.0.1:80/proxy"])
def test_a_location_of_the_api_is_recognised(url: str) -> None:
    given = DbtSettings(location=f"{url}/api/v2/accounts/1/jobs/7/artifacts/", token=TOKEN)
    api = given.api()
    assert api is not None
    assert (api.account.url, api.of, api.id) == (f"{url}/api/v2/accounts/1", "jobs", "7")
    assert TOKEN not in repr(given) + repr(api)
    assert DbtSettings(location="s3://b/api/v2/accounts/1/jobs/7/artifacts/").api() is None


def steps(platform: Platform, job: int = 7, token: str = TOKEN) -> list[tuple[str, Status, str]]:
    location = f"{platform.server.url}{ACCOUNT}/jobs/{job}/artifacts"
    context = ContextSettings(dbt=DbtSettings(location=location, token=token))
    (found,) = diagnose(context, {}, 5.0)
    return [(step.name.value, step.status, step.detail) for step in found.steps]


def test_the_doctor_tests_each_layer(platform: Platform) -> None:
    platform.run(105, 10, "build")
    found = steps(platform)
    assert {layer for layer, status, _ in found if status is not Status.OK} == {"tls"}, "http:// has none"
    assert found[-3][2].startswith("run 105 (success) of the job, created ")
    platform.run(106, 20, minutes=60, status_message="out of memory")
    platform.run(107, 3, minutes=70)
    (failed,) = (step for step in steps(platform) if step[1] is Status.FAILED)
    assert failed[0] == "permission"
    assert failed[2].endswith(" ago: out of memory")
    assert steps(platform, token="other")[-1][:2] == ("authentication", Status.FAILED)
    platform.runs.clear()
    platform._list()
    assert steps(platform, job=8)[-1][:2] == ("protocol", Status.FAILED)


def test_the_doctor_names_the_setting_for_a_job_that_ends_with_another_command(platform: Platform) -> None:
    platform.run(105, 10, "build", "compile")
    diagnose_client = SYSTEM.components[0].diagnose
    assert diagnose_client is not None
    remedies = [step.remedy for step in diagnose_client(client(platform))]
    assert (
        "Set the step of `dbt build` in `run_results`. These results are from a command that runs no models or tests."
        in remedies
    )


def test_config_init_proposes_the_models_of_a_job(platform: Platform) -> None:
    platform.run(105, 10, "build")
    draft = Draft()
    discover(draft, Clients(dbt=client(platform)))
    assert {stage.name for stage in draft.stages()} == {"broken", "inc", "after_broken", "by_logger", "bronze.readings"}


CONFIG = """
[contexts.prod.dbt]
location = "{location}"
token = "${{DBT_TOKEN}}"
[pipelines.readings]
context = "prod"
[[pipelines.readings.stages]]
name = "inc"
kind = "dbt_model"
model = "inc"
"""


def test_a_pipeline_blames_the_model_whose_test_failed(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.run(105, 20, "build")
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG.format(location=f"{platform.server.url}{JOB}/artifacts/"))
    monkeypatch.setitem(os.environ, "DBT_TOKEN", TOKEN)
    snapshot = Monitor(load_settings(path)).once()
    (pipeline,) = snapshot.pipelines
    assert [stage.state for stage in pipeline.stages] == [StageState.FAILED]
    assert pipeline.verdict.check_id == "inc/test-failed"
    assert TOKEN not in json.dumps(repr(snapshot))
