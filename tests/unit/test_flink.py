"""Flink by its REST API on a local server: answers of a real Flink 2.2.1 with one job of each kind, shortened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.json_server import JsonServer, serving
from tests.unit.test_connect import Kafka

from dataops_core.errors import BadAnswer, ConfigError, NotFound
from dataops_core.health.checks.base import CheckInput, findings
from dataops_core.health.model import Finding, Severity
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.draft import Draft
from dataops_core.systems.flink import SYSTEM
from dataops_core.systems.flink.client import FlinkClient
from dataops_core.systems.flink.discover import discover
from dataops_core.systems.flink.probe import observe_flink
from dataops_core.systems.flink.responses import read_checkpoints, read_failures, watermark
from dataops_core.systems.flink.settings import FlinkJobStage, FlinkSettings
from dataops_core.systems.kafka.model import ConsumerGroup, Member
from dataops_core.systems.registry import settings_of
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

KIND = SYSTEM.stage_kinds[0]


RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "flink" / "jobs.json").read_text())
"""`good` runs, a subtask of the source of `idle` has no records, `bad-job` restarts at a record that is no JSON, and
`wide` because no slot is free for its tasks."""
IDS = {job["name"]: job["jid"] for job in RECORDED["answers"]["GET /jobs/overview"]["jobs"]}


def as_of_now(value: Any, shift: float) -> Any:
    """Return a recorded answer with its timestamps in milliseconds as if it were of now."""
    if isinstance(value, dict):
        return {key: as_of_now(each, shift) for key, each in value.items()}
    if isinstance(value, list):
        return [as_of_now(each, shift) for each in value]
    is_time = isinstance(value, int | float) and not isinstance(value, bool) and value > 1e12
    return value + type(value)(shift) if is_time else value


@pytest.fixture
def server() -> Iterator[JsonServer]:
    shift = (datetime.now(UTC).timestamp() - RECORDED["now"]) * 1000
    with serving(as_of_now(RECORDED["answers"], shift)) as found:
        yield found


def later(**more: float) -> datetime:
    return datetime.now(UTC) + timedelta(**more)


def job_of(server: JsonServer, name: str) -> dict[str, Any]:
    jobs = server.answers["GET /jobs/overview"]["jobs"]
    found: dict[str, Any] = next(job for job in jobs if job["name"] == name)
    return found


def client_of(server: JsonServer) -> FlinkClient:
    return FlinkClient("flink", FlinkSettings(url=server.url), 5.0)


def stage(job: str, **more: Any) -> FlinkJobStage:
    return FlinkJobStage.model_validate({"name": job, "kind": "flink_job", "job": job, **more})


def observed(server: JsonServer, job: str, kafka: Any = None, **more: Any) -> Observation:
    return KIND.observe(stage(job, **more), Clients(flink=client_of(server), kafka=kafka))


def found_in(seen: Observation, now: datetime | None = None, **more: Any) -> tuple[Finding, ...]:
    given = CheckInput(seen.stage, seen.details, seen, None, (), (), now or later())
    return findings(KIND.checks, KIND.details, stage(seen.stage, **more), given)


def checks_of(seen: Observation, now: datetime | None = None, **more: Any) -> list[str]:
    return [each.check for each in found_in(seen, now, **more)]


def test_a_job_without_a_backlog_has_taken_in_all_up_to_its_newest_checkpoint(server: JsonServer) -> None:
    seen = observed(server, "good")
    triggered = server.answers[f"GET /jobs/{IDS['good']}/checkpoints"]["latest"]["completed"]["trigger_timestamp"]
    assert seen.progress_time == datetime.fromtimestamp(triggered / 1000, UTC)
    assert (
        seen.lag_records,
        seen.measurement("tasks"),
        seen.measurement("tasks_running"),
        seen.measurement("restarts"),
    ) == (
        0,
        2,
        2,
        0,
    )
    assert seen.notes == ("the job is RUNNING with 2 of 2 tasks",)
    assert checks_of(seen) == []


def test_what_waits_has_no_age_without_a_group(server: JsonServer) -> None:
    pending(server, "good", 70)
    seen = observed(server, "good")
    assert (seen.progress_time, seen.lag_records) == (None, 70)
    assert "to its consumer group" in str(KIND.why_unknown(stage("good"), seen))
    by_group = observed(server, "good", GroupKafka(committed=200), group="g")
    assert (by_group.lag_records, by_group.attribute("bootstrap_servers")) == (100, "kafka:1")
    assert by_group.pending_since is not None
    never = observed(server, "good", GroupKafka(committed=None), group="g")
    assert (never.progress_time, never.lag_records) == (None, None)
    assert never.notes[1] == "the group g has never committed an offset"


class GroupKafka(Kafka):
    """The cluster of the tests of Connect, with a group of Flink: EMPTY, as always."""

    def group(self, name: str) -> Any:
        return super().group("connect-ice") if name == "g" else None


def pending(server: JsonServer, job: str, number: float | None) -> None:
    source = server.answers[f"GET /jobs/{IDS[job]}"]["vertices"][0]["id"]
    for each in server.answers[f"GET /jobs/{IDS[job]}/vertices/{source}/subtasks/metrics"]:
        if each["id"].endswith(".pendingRecords"):
            each["sum"] = number


def test_event_time_is_the_least_watermark(server: JsonServer) -> None:
    seen = observed(server, "good", event_time=True)
    assert seen.progress_time is not None
    assert seen.details.watermark == seen.progress_time  # type: ignore[attr-defined]
    assert abs((seen.progress_time - later()).total_seconds()) < 30


def test_an_idle_subtask_that_holds_the_watermark_back_is_named_though_all_is_green(server: JsonServer) -> None:
    seen = observed(server, "idle")
    assert (seen.lag_records, seen.measurement("tasks_running"), seen.attribute("job_state")) == (0, 4, "RUNNING")
    assert seen.progress_time is not None, "it reads, and checkpoints"
    (finding,) = found_in(seen)
    assert (finding.check, finding.severity) == ("watermark-held", Severity.WARNING)
    assert finding.sentence == "a source subtask has no watermark yet, so windows produce no output"
    assert finding.evidence[0].startswith("newest watermark of the other subtasks: ")
    by_time = observed(server, "idle", event_time=True)
    assert by_time.progress_time is None
    assert KIND.why_unknown(stage("idle", event_time=True), by_time) == "the job has no watermark"
    started = seen.details.job_started  # type: ignore[attr-defined]
    assert checks_of(seen, started + timedelta(seconds=30)) == [], "its first minute"


def test_a_subtask_that_fell_silent_holds_the_watermark_back(server: JsonServer) -> None:
    source = server.answers[f"GET /jobs/{IDS['idle']}"]["vertices"][0]["id"]
    for each in server.answers[f"GET /jobs/{IDS['idle']}/vertices/{source}/subtasks/metrics"]:
        if each["id"].endswith(".currentOutputWatermark"):
            each["min"] = each["max"] - 1_200_000
    (finding,) = found_in(observed(server, "idle"))
    assert finding.sentence == "a source subtask holds the watermark back by 20m"
    assert checks_of(observed(server, "idle"), watermark_skew_max=3600) == []


def test_a_job_without_event_time_lacks_no_watermark(server: JsonServer) -> None:
    for path, answer in server.answers.items():
        for each in answer if path.endswith("/subtasks/metrics") else ():
            if each["id"].endswith("Watermark"):
                each["min"] = each["max"] = -9.223372036854776e18
    seen = observed(server, "idle")
    assert checks_of(seen) == []
    assert seen.measurement("watermark") is None


def test_a_job_that_restarts_again_and_again_has_failed_also_while_it_runs(server: JsonServer) -> None:
    seen = observed(server, "bad-job")
    assert (seen.measurement("failures_recent") or 0) >= 2
    (finding,) = [each for each in found_in(seen) if each.check == "job-restarting"]
    assert finding.severity is Severity.CRITICAL
    assert finding.sentence.startswith("the job restarts repeatedly (")
    assert "JsonParseException: Unexpected character" in finding.sentence
    assert finding.evidence[1].startswith("restarts since it was submitted: ")
    job_of(server, "bad-job")["state"] = "RUNNING"
    assert "job-restarting" in checks_of(observed(server, "bad-job"))
    failures = server.answers[f"GET /jobs/{IDS['bad-job']}/exceptions"]["exceptionHistory"]
    checkpoints = server.answers[f"GET /jobs/{IDS['bad-job']}/checkpoints"]["latest"]
    after = failures["entries"][0]["timestamp"] + 1
    checkpoints["completed"] = {"trigger_timestamp": after, "latest_ack_timestamp": after}
    (finding,) = [each for each in found_in(observed(server, "bad-job")) if each.check.startswith("job-")]
    assert (finding.check, finding.severity) == ("job-restarted", Severity.WARNING)
    failures["entries"] = []
    assert not [check for check in checks_of(observed(server, "bad-job")) if check.startswith("job-")]


def test_a_job_that_runs_without_its_tasks_has_failed(server: JsonServer) -> None:
    job_of(server, "wide")["state"] = "RUNNING"
    server.answers[f"GET /jobs/{IDS['wide']}/exceptions"]["exceptionHistory"]["entries"] = []
    seen = observed(server, "wide")
    assert (seen.measurement("tasks"), seen.measurement("tasks_running")) == (8, 0)
    changed = seen.details.state_changed  # type: ignore[attr-defined]
    assert checks_of(seen, changed + timedelta(seconds=50)) == []
    (finding,) = found_in(seen, changed + timedelta(seconds=70))
    assert (finding.check, finding.severity) == ("tasks-missing", Severity.CRITICAL)
    assert finding.sentence == "the job is RUNNING with 0 of 8 tasks"
    assert finding.evidence == ("free task slots: 0",)
    diagnose = SYSTEM.components[0].diagnose
    assert diagnose is not None
    assert [step.ok for step in diagnose(client_of(server))] == [True, True], "it may be starting"
    job_of(server, "wide")["last-modification"] -= 120_000
    steps = [step.detail for step in diagnose(client_of(server)) if step.ok is False]
    assert steps == ["job wide is RUNNING with 0 of 8 tasks"]


def test_a_job_that_finds_no_slot_says_so(server: JsonServer) -> None:
    (finding,) = found_in(observed(server, "wide"))
    assert finding.check == "job-restarting"
    assert "NoResourceAvailableException: Could not acquire the minimum required resources." in finding.sentence


@pytest.mark.parametrize(
    ("state", "check", "severity"),
    [
        ("FAILED", "job-failed", Severity.CRITICAL),
        ("CANCELED", "job-ended", Severity.WARNING),
        ("FINISHED", "job-ended", Severity.WARNING),
        ("SUSPENDED", "job-ended", Severity.WARNING),
    ],
)
def test_other_states(server: JsonServer, state: str, check: str, severity: Severity) -> None:
    job_of(server, "good")["state"] = state
    seen = observed(server, "good")
    (finding,) = found_in(seen)
    assert (finding.check, finding.severity) == (check, severity)
    assert KIND.why_unknown(stage("good"), seen) == f"the job is {state}, so its lag is unknown"


def test_checkpoints_that_fail_or_do_not_come_are_found(server: JsonServer) -> None:
    found = server.answers[f"GET /jobs/{IDS['good']}/checkpoints"]
    newest = found["latest"]["completed"]["latest_ack_timestamp"]
    assert checks_of(observed(server, "good"), later(minutes=11)) == ["checkpoint-late"]
    assert checks_of(observed(server, "good"), later(minutes=11), checkpoint_within=3600) == []
    found["latest"]["failed"] = {"failure_timestamp": newest + 1000, "failure_message": "disk full, token=abc"}
    (finding,) = found_in(observed(server, "good"))
    assert finding.check == "checkpoint-failed"
    assert finding.sentence.endswith("Z: disk full, token=***")
    found["latest"]["failed"]["failure_timestamp"] = newest - 1000
    assert checks_of(observed(server, "good")) == []
    found["latest"]["completed"] = None
    (late,) = found_in(observed(server, "good"), later(hours=1))
    assert late.sentence.startswith("no checkpoint since it started 1h ")


def test_a_job_without_checkpoints_is_told(server: JsonServer) -> None:
    del server.answers[f"GET /jobs/{IDS['good']}/checkpoints"]
    seen = observed(server, "good")
    assert (seen.progress_time, checks_of(seen)) == (None, ["no-checkpoints"])
    assert KIND.why_unknown(stage("good"), seen) == "no checkpoint has completed yet"


def test_backpressure_names_who_waits_and_who_is_busy(server: JsonServer) -> None:
    source, sink = (each["id"] for each in server.answers[f"GET /jobs/{IDS['good']}"]["vertices"])
    for vertex, metric in ((source, "backPressuredTimeMsPerSecond"), (sink, "busyTimeMsPerSecond")):
        for each in server.answers[f"GET /jobs/{IDS['good']}/vertices/{vertex}/subtasks/metrics"]:
            if each["id"] == metric:
                each["max"] = 900.0
    (finding,) = found_in(observed(server, "good"))
    assert (finding.check, finding.explains) == ("backpressured", True)
    assert finding.sentence.startswith("Source: src[1] -> ")
    assert finding.sentence.endswith(" is backpressured for 90% of the time")
    assert finding.evidence[0].startswith("busiest: GlobalWindowAggregate[5] -> ")


def test_metrics_that_are_not_there_yet_are_unknown(server: JsonServer) -> None:
    for path in server.answers:
        if path.endswith("/subtasks/metrics"):
            server.answers[path] = []
    seen = observed(server, "idle")
    assert (seen.progress_time, seen.lag_records, checks_of(seen)) == (None, None, [])
    assert "not reported metrics of the job yet" in str(KIND.why_unknown(stage("idle"), seen))


def test_numbers_that_are_none_are_unknown(server: JsonServer) -> None:
    pending(server, "good", None)
    seen = observed(server, "good")
    assert seen.lag_records is None
    assert "do not report pending records" in str(KIND.why_unknown(stage("good"), seen))
    assert watermark([]) == (None, False)
    assert watermark([-(2.0**63), None]) == (None, True)
    assert watermark([1e300]) == (None, False), "outside the calendar"


def test_the_newest_job_of_a_name_counts(server: JsonServer) -> None:
    old = {**job_of(server, "good"), "jid": "0" * 32, "state": "FAILED", "start-time": 1}
    server.answers["GET /jobs/overview"]["jobs"].insert(0, old)
    assert observed(server, "good").attribute("job_id") == IDS["good"]
    assert observed(server, IDS["good"]).attribute("job_state") == "RUNNING"
    with pytest.raises(NotFound, match="there is no job other among 5 jobs"):
        observed(server, "other")


def test_the_cluster_counts_its_jobs_and_slots(server: JsonServer) -> None:
    server.answers["GET /overview"] |= {"taskmanagers": 0}
    job_of(server, "good")["state"] = "FAILED"
    detail, seen = observe_flink(client_of(server))
    assert detail == "version 2.2.1, 0 TaskManagers"
    kind = SYSTEM.components[0]
    given = CheckInput("flink", seen.details, seen, None, (), (), later())
    found = [(each.sentence, each.explains) for each in findings(kind.checks, kind.details, None, given)]
    assert found == [("no TaskManager is registered: no job can run", True), ("1 job FAILED: good", False)]
    assert kind.diagnose is not None
    assert [step.ok for step in kind.diagnose(client_of(server))][:2] == [False, False]


def test_configurations_are_never_asked_for(server: JsonServer) -> None:
    observed(server, "good")
    observe_flink(client_of(server))
    assert not [path for _, path, _ in server.asked if "config" in path]


@pytest.mark.parametrize("answer", [{}, [], {"jobs": [{}]}, {"jobs": [{"jid": "a", "name": "b", "state": "ODD"}]}, 7])
def test_another_service_is_one_line(server: JsonServer, answer: Any) -> None:
    server.answers["GET /jobs/overview"] = answer
    with pytest.raises(BadAnswer) as caught:
        observed(server, "good")
    assert str(caught.value).startswith(f"flink {server.url}: the response is not from Flink: it ")


def test_times_and_traces_are_read_with_care() -> None:
    checkpoints = read_checkpoints({"counts": {"completed": 0, "failed": 0}, "latest": {"completed": None}})
    assert (checkpoints.completed_at, checkpoints.duration, checkpoints.failure) == (None, None, None)
    entries = [
        {"timestamp": 1000, "stacktrace": "a.B: x\n\tat y\nCaused by: c.D: password=abc1\n"},
        {"timestamp": 2000, "exceptionName": "e.F"},
        {"timestamp": None, "stacktrace": "no time"},
    ]
    failures = read_failures({"exceptionHistory": {"entries": entries}})
    assert [each.cause for each in failures] == ["e.F", "c.D: password=***"]


def test_config_init_proposes_jobs_and_the_topics_that_they_read(server: JsonServer) -> None:
    job_of(server, "idle")["state"] = "CANCELED"
    draft = Draft()
    draft.add("orders", {"name": "orders", "kind": "topic", "topic": "orders"})
    discover(draft, Clients(flink=client_of(server)))
    found = {stage.name: stage.reads for stage in draft.stages("flink_job")}
    assert found == {"wide": [], "bad-job": [], "good": ["orders"]}


class Groups(Kafka):
    """A cluster with groups that committed an offset of `orders`: `bare` without a member, as those of Flink."""

    def __init__(self, **offsets: int) -> None:
        super().__init__()
        self.offsets = offsets

    def group(self, name: str) -> ConsumerGroup:
        members = () if name.startswith("bare") else (Member("m", "c", "h"),)
        return ConsumerGroup(name, None, members, {("orders", 0): self.offsets[name]})


def proposed(server: JsonServer, committed: float | None, **offsets: int) -> Draft:
    """Return the draft of the job `good`, whose source committed an offset, beside groups and their offsets."""
    for job in ("idle", "bad-job", "wide"):
        job_of(server, job)["state"] = "CANCELED"
    source = server.answers[f"GET /jobs/{IDS['good']}"]["vertices"][0]["id"]
    for each in server.answers[f"GET /jobs/{IDS['good']}/vertices/{source}/subtasks/metrics"]:
        if each["id"].endswith(".committedOffset"):
            each.update(dict.fromkeys(("min", "max", "sum"), committed))
    draft = Draft()
    draft.add("orders", {"name": "orders", "kind": "topic", "topic": "orders"})
    for name in offsets:
        draft.add(f"/{name}/orders", {"name": name, "kind": "consumer_group", "group": name, "topic": "orders"})
    discover(draft, Clients(flink=client_of(server), kafka=Groups(**offsets)))
    return draft


def test_config_init_sets_the_only_group_that_fits_in_place_of_its_stage(server: JsonServer) -> None:
    draft = proposed(server, 290.0, bare=300, bare_and_behind=280, with_member=300)
    (job,) = draft.stages("flink_job")
    assert job.settings == {"name": "good", "kind": "flink_job", "job": "good", "group": "bare"}
    assert "The group bare has no member" in job.remarks[0]
    assert [each.name for each in draft.stages("consumer_group")] == ["bare_and_behind", "with_member"]


@pytest.mark.parametrize(
    ("committed", "offsets"),
    [(290.0, {"bare": 300, "bare_too": 300}), (-1.0, {"bare": 300}), (None, {"bare": 300}), (290.0, {"member": 300})],
)
def test_config_init_guesses_no_group(server: JsonServer, committed: float | None, offsets: dict[str, int]) -> None:
    draft = proposed(server, committed, **offsets)
    (job,) = draft.stages("flink_job")
    assert "group" not in job.settings
    assert "set `group`" in job.remarks[0]
    assert [each.name for each in draft.stages("consumer_group")] == list(offsets)


CONTEXTS: dict[str, Any] = {"prod": {"flink": {"url": "http://x:1"}, "kafka": {"bootstrap_servers": "k:1"}}}


def settings(server: JsonServer, *stages: dict[str, Any]) -> Any:
    contexts = {"prod": {**CONTEXTS["prod"], "flink": {"url": server.url}}}
    raw = {"contexts": contexts, "pipelines": {"p": {"context": "prod", "stages": list(stages)}}}
    return settings_of(raw, Path(), "the test")


def test_a_pipeline_names_the_job_in_the_exporter_as_well(server: JsonServer) -> None:
    found = settings(server, {"name": "idle", "kind": "flink_job", "job": "idle"})
    found = found.model_copy(update={"contexts": {"prod": found.contexts["prod"].model_copy(update={"kafka": None})}})
    monitor = Monitor(found)
    snapshot = monitor.once()
    assert "idle/watermark-held" in [each.check_id for each in snapshot.pipelines[0].stages[0].findings]
    served = ServedSnapshot(snapshot, monitor.pipelines, found.exporter, timedelta(1))
    samples = {(metric.name, labels): number for metric, labels, number in snapshot_samples(served)}
    assert samples["dataops_stage_figure", ("p", "idle", "flink", "tasks_running", "")] == 4
    assert samples["dataops_component_up", ("flink",)] == 1


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"kafka": "kafka"}, "kafka: is only used with `group`"),
        ({"group": "g", "event_time": True}, "keep one of the two"),
    ],
)
def test_settings_that_cannot_be_are_refused(server: JsonServer, more: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(server, {"name": "s", "kind": "flink_job", "job": "j", **more})
    assert wrong in str(caught.value)


def test_the_group_s_cluster_is_needed_only_with_a_group() -> None:
    assert [need.kind for need in KIND.needs(stage("j"))] == ["flink"]
    assert [need.kind for need in KIND.needs(stage("j", group="g"))] == ["flink", "kafka"]
