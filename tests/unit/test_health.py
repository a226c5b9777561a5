"""The pipeline model: progress, hop lags, states and the verdict, from literal observations."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.orders import CHAIN, COMPONENT, T0, healthy, results, seconds, see
from tests.settings import RULES, THRESHOLDS, PipelineSettings

from dataops_core.health.affected import Components
from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import (
    Finding,
    HealthSnapshot,
    PipelineHealth,
    Severity,
    StageHealth,
    StageState,
    Status,
    Verdict,
)
from dataops_core.health.observation import Activity, Advance, Observation, ProbeResult, WriterChange
from dataops_core.health.verdict import evaluate_verdict
from dataops_core.systems.airflow.details import DagDetails


def states(pipeline: PipelineHealth) -> dict[str, str]:
    return {s.name: s.state.value for s in pipeline.stages}


def test_all_well_is_ok_and_the_hop_lags_sum_up_to_the_data_age() -> None:
    snapshot = see(healthy(T0))
    pipeline = snapshot.pipeline("p")
    assert set(states(pipeline).values()) == {"caught_up"}
    assert pipeline.verdict.status is Status.OK
    assert pipeline.verdict.stage is None
    assert pipeline.data_age == 103
    assert pipeline.source_age == 0
    assert pipeline.source_age + sum(s.hop_lag or 0 for s in pipeline.stages) == pipeline.data_age
    assert [s.hop_lag for s in pipeline.stages] == [0, 2, 0, 98, 3, 0]


def test_progress_is_capped_at_the_upstream_so_that_no_hop_lag_is_negative() -> None:
    seen = healthy(T0)
    seen["bronze"] = Observation("bronze", T0, progress_time=T0 + seconds(60), advanced_at=T0)
    pipeline = see(seen).pipeline("p")
    assert pipeline.stage("bronze").progress_time == pipeline.stage("land").progress_time
    assert pipeline.stage("bronze").hop_lag == 0


def stopped(now: datetime, since: datetime) -> dict[str, Observation]:
    """Land has committed nothing since then; 100 records arrive each second."""
    waits = (now - since).total_seconds()
    seen = healthy(now)
    seen["land"] = Observation(
        "land",
        now,
        progress_time=since,
        position=990,
        lag_records=int(100 * waits),
        pending_since=since,
        advanced_at=since - seconds(1),
        notes=("batch 7 planned, not committed",),
    )
    seen["bronze"] = Observation("bronze", now, progress_time=since, position=990, advanced_at=since - seconds(1))
    return seen


def test_a_stopped_query_is_named_from_one_look_and_what_it_hurts_is_affected_not_blamed() -> None:
    pipeline = see(stopped(T0, T0 - seconds(25))).pipeline("p")
    verdict = pipeline.verdict
    assert pipeline.stage("land").state is StageState.STUCK
    assert (verdict.status, verdict.stage, verdict.check_id) == (Status.CRITICAL, "land", "land/stuck")
    assert verdict.blast_radius == ("bronze", "conform", "silver", "view")
    assert {s.name: s.affected_by for s in pipeline.stages} == {
        "orders": None,
        "land": None,
        "bronze": "land",
        "conform": "land",
        "silver": "land",
        "view": "land",
    }
    assert states(pipeline) == {
        "orders": "caught_up",
        "land": "stuck",
        "bronze": "affected",
        "conform": "affected",
        "silver": "affected",
        "view": "affected",
    }
    assert {s.since for s in pipeline.stages if s.state is StageState.AFFECTED} == {T0 - seconds(25)}
    assert pipeline.stage("bronze").own_state is StageState.CAUGHT_UP
    assert pipeline.stage("bronze").hop_lag == 0
    assert pipeline.stage("bronze").data_age == 25, "the hop is fast, and the data is old all the same"
    assert "lag 2,500 records" in verdict.sentence
    assert "02:59:35Z" in verdict.sentence
    assert "batch 7 planned, not committed" in verdict.evidence
    assert verdict.remedy is not None
    assert verdict.remedy.command == "start land"


def test_a_finding_of_a_healthy_input_that_explains_why_a_stage_gets_no_data_is_blamed() -> None:
    snapshot = see(stopped(T0, T0 - seconds(25)))
    components = Components(snapshot.components, RULES)
    held = Finding("watermark-held", "orders", Severity.WARNING, "no watermark yet", explains=True)

    def verdict(unread: int | None = None, **found: Finding) -> Verdict:
        stages = [
            replace(s, findings=(found[s.name],)) if s.name in found else s for s in snapshot.pipeline("p").stages
        ]
        land = next(at for at, s in enumerate(stages) if s.name == "land")
        observation = stages[land].observation
        assert observation is not None
        stages[land] = replace(stages[land], observation=replace(observation, lag_records=unread))
        return evaluate_verdict(CHAIN, tuple(stages), components, None, T0)

    blamed = verdict(orders=held)
    assert (blamed.status, blamed.stage, blamed.check_id) == (Status.CRITICAL, "orders", "orders/watermark-held")
    assert blamed.sentence.startswith("orders: no watermark yet; land is stuck since ")
    assert blamed.blast_radius[0] == "land"
    assert not any("land" in line or "watermark" in line for line in blamed.evidence), "each is named once"
    assert verdict(orders=replace(held, explains=False)).stage == "land"
    assert verdict(orders=replace(held, severity=Severity.NOTE)).stage == "land"
    assert verdict(orders=held, land=replace(held, subject="land")).stage == "land"
    assert verdict(orders=held, unread=0).stage == "orders"
    assert verdict(orders=held, unread=2500).stage == "land", "it gets data, and does not read it"


def test_a_query_that_stops_after_a_quiet_hour_is_blamed_alone() -> None:
    seen = stopped(T0, T0 - seconds(25))
    hour_ago = T0 - seconds(3600)
    seen["land"] = replace(seen["land"], newest_passed=hour_ago, advanced_at=hour_ago)
    seen["bronze"] = Observation("bronze", T0, progress_time=hour_ago, position=990, advanced_at=hour_ago)
    pipeline = see(seen).pipeline("p")
    assert pipeline.verdict.check_id == "land/stuck"
    assert pipeline.stage("bronze").state is StageState.AFFECTED
    assert pipeline.stage("bronze").hop_lag == 0, "it has all that the query has passed"

    lacking = replace(seen["bronze"], progress_time=hour_ago - seconds(1))
    assert see({**seen, "bronze": lacking}).pipeline("p").stage("bronze").state is StageState.STUCK


def test_each_stage_below_a_quiet_topic_is_up_to_date() -> None:
    hour_ago = T0 - seconds(3600)
    seen = {
        name: Observation(name, T0, progress_time=hour_ago, position=990, advanced_at=hour_ago) for name in healthy(T0)
    }
    seen["orders"] = Observation("orders", T0, progress_time=T0, newest_passed=hour_ago, advanced_at=hour_ago)
    pipeline = see(seen).pipeline("p")
    assert {stage.name: stage.hop_lag for stage in pipeline.stages} == dict.fromkeys(seen, 0.0)
    assert pipeline.verdict.status is Status.OK

    seen["bronze"] = replace(seen["bronze"], progress_time=hour_ago - seconds(1))
    assert see(seen).pipeline("p").stage("bronze").state is StageState.STUCK, "it lacks a record"


def test_a_query_that_stopped_just_now_is_not_stuck_yet() -> None:
    pipeline = see(stopped(T0, T0 - seconds(15))).pipeline("p")
    assert pipeline.stage("land").state is StageState.CAUGHT_UP
    assert pipeline.verdict.status is Status.OK


def test_a_quiet_source_is_idle_not_broken() -> None:
    hour_ago = T0 - seconds(3600)
    seen = {
        "orders": Observation("orders", T0, progress_time=hour_ago, position=1000, advanced_at=hour_ago),
        "land": Observation("land", T0, progress_time=hour_ago, position=1000, lag_records=0, advanced_at=hour_ago),
        "bronze": Observation("bronze", T0, progress_time=hour_ago, position=1000, advanced_at=hour_ago),
        "conform": Observation("conform", T0, progress_time=T0 - seconds(60), advanced_at=T0 - seconds(30)),
        "silver": Observation("silver", T0, progress_time=hour_ago, advanced_at=hour_ago),
        "view": Observation("view", T0, progress_time=hour_ago, advanced_at=hour_ago),
    }
    pipeline = see(seen).pipeline("p")
    assert set(states(pipeline).values()) == {"idle"}
    assert pipeline.verdict.status is Status.OK
    assert "all records are processed" in pipeline.verdict.sentence
    assert "no new record for 1h" in pipeline.verdict.sentence

    seen["view"] = replace(healthy(T0)["view"], progress_time=hour_ago - seconds(5))
    pipeline = see(seen).pipeline("p")
    assert set(states(pipeline).values()) == {"idle"}, "5 s are within its lag_ok"
    assert pipeline.stage("view").reason == "5s behind its input, and no new records arrive"
    assert pipeline.verdict.sentence.startswith("view is 5s behind its input, and no new records arrive: ")


def test_one_record_after_a_quiet_hour_makes_nothing_an_hour_late() -> None:
    hour_ago, just_now = T0 - seconds(3600), T0 - seconds(8)
    seen = healthy(T0)
    seen["orders"] = Observation("orders", T0, progress_time=just_now, position=1001, advanced_at=just_now)
    seen["land"] = Observation("land", T0, progress_time=just_now, position=1001, lag_records=0, advanced_at=just_now)
    seen["bronze"] = Observation(
        "bronze",
        T0,
        progress_time=just_now,
        advanced_at=just_now + seconds(2),
        advances=(
            Advance(at=hour_ago, progress_time=hour_ago, oldest=hour_ago),
            Advance(at=just_now + seconds(2), progress_time=just_now, oldest=just_now),
        ),
    )
    stamp_of_old = {"progress_time": hour_ago, "advanced_at": hour_ago}
    seen["conform"] = Observation("conform", T0, progress_time=hour_ago, advanced_at=hour_ago)
    seen["silver"] = Observation("silver", T0, **stamp_of_old)
    seen["view"] = Observation("view", T0, **stamp_of_old)
    pipeline = see(seen).pipeline("p")
    assert pipeline.stage("conform").hop_lag == 0
    assert pipeline.stage("conform").state is StageState.CAUGHT_UP
    without_history = {**seen, "bronze": Observation("bronze", T0, progress_time=just_now, advanced_at=just_now)}
    assert see(without_history).pipeline("p").stage("conform").hop_lag == 3592


@pytest.mark.parametrize(
    ("lost", "down", "unknown", "affected"),
    [
        (("orders", "land"), "kafka", {"orders", "land", "bronze"}, {"conform", "silver", "view"}),
        (("bronze", "silver"), "lake", {"bronze", "conform", "silver", "view"}, set()),
        (("conform",), "airflow", {"conform", "silver"}, {"view"}),
        (("view",), "trino", {"view"}, set()),
    ],
)
def test_a_component_that_is_down_is_unknown_never_green_and_the_rest_stays_live(
    lost: tuple[str, ...], down: str, unknown: set[str], affected: set[str]
) -> None:
    before = see(healthy(T0))
    later = T0 + seconds(5)
    seen: dict[str, Observation | str] = {**healthy(later), **dict.fromkeys(lost, "connection refused")}
    snapshot = see(seen, later, before, down={down: "connection refused"})
    pipeline = snapshot.pipeline("p")
    assert {name for name, state in states(pipeline).items() if state == "unknown"} == unknown
    assert {s.name for s in pipeline.stages if s.state is StageState.AFFECTED} == affected
    assert {s.affected_by for s in pipeline.stages if s.state is StageState.AFFECTED} <= {down}
    assert pipeline.verdict.status is Status.UNKNOWN
    assert pipeline.verdict.check_id == f"{down}/unreachable"
    assert f"{down} is unavailable" in pipeline.verdict.sentence
    component = next(c for c in snapshot.components if c.name == down)
    assert (component.reachable, component.error, component.since) == (False, "connection refused", later)
    for name in lost:
        stage = pipeline.stage(name)
        assert stage.progress_time is None
        assert stage.observed_at == T0, "the last good figure stays, with its own time"


def test_a_store_that_is_down_is_the_verdict_and_the_query_that_it_stops_is_affected() -> None:
    seen: dict[str, Observation | str] = {
        **stopped(T0, T0 - seconds(40)),
        "bronze": "connection refused",
        "silver": "connection refused",
    }
    pipeline = see(seen, down={"lake": "lake 127.0.0.1:9: connection refused"}).pipeline("p")
    verdict = pipeline.verdict
    assert (verdict.status, verdict.check_id) == (Status.CRITICAL, "lake/unreachable")
    assert (verdict.stage, verdict.component) == (None, "lake")
    assert verdict.sentence == (
        "lake is unavailable: lake 127.0.0.1:9: connection refused; stuck: land; unknown: bronze, conform, silver, view"
    )
    assert verdict.since == T0 - seconds(40), "land has got nothing through since then"
    assert verdict.blast_radius == ("land", "bronze", "conform", "silver", "view")
    assert (pipeline.stage("land").state, pipeline.stage("land").affected_by) == (StageState.AFFECTED, "lake")
    assert verdict.remedy is not None
    assert verdict.remedy.text.startswith("Restore lake at lake:1"), "starting land again would not help"
    assert verdict.evidence[0].startswith("land is stuck since 02:59:20Z (40s)")
    assert "lag in records: 4,000" in verdict.evidence
    assert "bronze: connection refused" in verdict.evidence


def test_a_query_that_stood_still_while_its_store_was_well_stays_to_blame() -> None:
    since = T0 - seconds(40)
    first = see(healthy(T0 - seconds(60)), T0 - seconds(60))
    second = see(stopped(T0, since), T0, first)
    assert second.pipeline("p").verdict.check_id == "land/stuck"
    later = T0 + seconds(180)
    well = see(stopped(T0 + seconds(120), since), T0 + seconds(120), second)
    seen: dict[str, Observation | str] = {**stopped(later, since), "bronze": "refused", "silver": "refused"}
    verdict = see(seen, later, well, down={"lake": "refused"}).pipeline("p").verdict
    assert (verdict.check_id, verdict.stage) == ("land/stuck", "land")
    assert "also: lake is unavailable: refused" in verdict.evidence


def test_a_query_that_stops_as_its_store_goes_down_is_not_to_blame_however_late_that_shows() -> None:
    since = T0 - seconds(40)
    snapshot = see(healthy(T0 - seconds(60)), T0 - seconds(60))
    blamed = see(stopped(T0, since), T0, snapshot)  # the store hangs already, and its probe has not run out of time
    later = T0 + seconds(5)
    verdict = see(stopped(later, since), later, blamed, down={"lake": "no answer"}).pipeline("p").verdict
    assert verdict.check_id == "lake/unreachable"


def test_of_two_components_that_are_down_each_has_its_own_stages_and_the_first_one_stays_to_blame() -> None:
    seen: dict[str, Observation | str] = {**healthy(T0), "orders": "refused", "land": "refused", "view": "refused"}
    trino = see({**healthy(T0), "view": "refused"}, down={"trino": "refused"})
    assert trino.pipeline("p").verdict.check_id == "trino/unreachable"
    kafka = see(seen, down={"kafka": "refused", "trino": "refused"}).pipeline("p")
    assert kafka.verdict.check_id == "kafka/unreachable", "it explains the most stages"
    assert kafka.verdict.sentence == "kafka is unavailable, so the state of orders, land, bronze is unknown: refused"
    assert "also: trino is unavailable: refused" in kafka.verdict.evidence
    assert "also: view is unknown: refused" in kafka.verdict.evidence
    both: dict[str, Observation | str] = {**healthy(T0), "conform": "refused", "view": "refused"}
    first = see({**healthy(T0), "view": "refused"}, down={"trino": "refused"})
    second = see(both, T0 + seconds(5), first, down={"airflow": "refused", "trino": "refused"})
    assert second.pipeline("p").verdict.check_id == "trino/unreachable", "it is not less to blame than before"
    assert see(both, down={"airflow": "refused", "trino": "refused"}).pipeline("p").verdict.component == "airflow"


@pytest.mark.parametrize("failure", ["the query did not finish", "ICEBERG_CATALOG_ERROR: no response"])
def test_a_view_that_fails_because_the_lake_below_is_down_is_affected(failure: str) -> None:
    chain = with_view_of_view()
    seen: dict[str, Observation | str] = {**healthy(T0), "silver": "no answer", "bronze": "no answer"}
    seen |= {name: Observation(name, T0, failure=failure) for name in ("view", "report")}
    pipeline = see(seen, down={"lake": "no answer"}, chain=chain).pipeline("p")
    assert (pipeline.verdict.check_id, pipeline.verdict.stage) == ("lake/unreachable", None)
    assert "failed: view, report" in pipeline.verdict.sentence
    assert [pipeline.stage(name).affected_by for name in ("view", "report")] == ["lake", "lake"]
    assert {pipeline.stage(name).state for name in ("view", "report")} == {StageState.AFFECTED}


def with_view_of_view() -> PipelineSettings:
    """Return the chain with a view that reads the view."""
    raw = CHAIN.model_dump(mode="json", exclude_unset=True)
    report = {"name": "report", "kind": "trino_view", "relation": "lake.s.r", "reads": ["view"], "every": 10}
    return PipelineSettings.model_validate({**raw, "stages": [*raw["stages"], report]})


def test_a_failure_that_a_check_explains_stays_to_blame_while_another_component_is_down() -> None:
    seen: dict[str, Observation | str] = {**healthy(T0), "bronze": "no answer", "silver": "no answer"}
    seen["conform"] = replace(healthy(T0)["conform"], details=DagDetails(import_error="conform.py: NameError"))
    verdict = see(seen, down={"lake": "no answer"}).pipeline("p").verdict
    assert verdict.check_id == "conform/import-error"
    assert "also: lake is unavailable: no answer" in verdict.evidence


def test_what_a_query_passes_after_its_table_was_looked_at_is_not_missed_there() -> None:
    """It stood still for a minute, and its first commit since then falls between the two looks."""
    since, later, latest = T0 - seconds(60), T0 + seconds(5), T0 + seconds(10)
    before = see(stopped(T0, since))
    seen = healthy(later)
    seen["land"] = Observation(
        "land", later, progress_time=later, position=7000, lag_records=0, advanced_at=later - seconds(1)
    )
    old = replace(stopped(T0, since)["bronze"], observed_at=later - seconds(2))
    seen["bronze"] = old
    first = see(seen, later, before)
    assert first.pipeline("p").stage("bronze").state is not StageState.STUCK

    seen = {**healthy(latest), "land": replace(seen["land"], observed_at=latest), "bronze": old}
    second = see(seen, latest, first)
    assert second.pipeline("p").stage("bronze").state is not StageState.STUCK, "it has not been looked at since"

    seen["bronze"] = replace(old, observed_at=later - seconds(1.5))
    slow = see(seen, latest, first)
    assert slow.pipeline("p").stage("bronze").state is not StageState.STUCK, "this look began before the commit, too"

    seen["bronze"] = replace(old, observed_at=latest)
    third = see(seen, latest, second)
    assert third.pipeline("p").stage("bronze").own_state is StageState.SLOW, "now it was, and has not got it"
    last = latest + seconds(21)
    seen = {**healthy(last), "land": seen["land"], "bronze": replace(old, observed_at=last)}
    assert see(seen, last, third).pipeline("p").verdict.check_id == "bronze/stuck", "nor after its stall time"


def test_a_stage_that_hangs_is_not_stuck_by_what_was_seen_before() -> None:
    """Whether it has advanced since it was observed is unknown."""
    since = T0 - seconds(15)
    seen = stopped(T0, since)
    first = see(seen)
    assert first.pipeline("p").stage("land").own_state is StageState.CAUGHT_UP
    later = T0 + seconds(10)
    seen = {**healthy(later), "land": seen["land"], "bronze": seen["bronze"]}
    assert see(seen, later, first).pipeline("p").stage("land").own_state is StageState.CAUGHT_UP
    seen["land"] = stopped(later, since)["land"]
    assert see(seen, later, first).pipeline("p").stage("land").own_state is StageState.STUCK, "now it was observed"


def test_what_an_input_passed_before_it_was_first_observed_is_not_missed() -> None:
    """The table was observed just before its query, and hangs from then on; the query goes on."""
    quiet, later = T0 - seconds(60), T0 + seconds(6)
    seen = healthy(T0 + seconds(0.1))
    seen["land"] = replace(seen["land"], progress_time=T0, newest_passed=quiet, advanced_at=quiet, lag_records=0)
    seen["bronze"] = Observation("bronze", T0, progress_time=quiet, position=990, advanced_at=quiet)
    first = see(seen, T0 + seconds(0.2))
    assert first.pipeline("p").stage("bronze").hop_lag == 0
    seen["land"] = healthy(later)["land"]
    second = see({**healthy(later), "bronze": seen["bronze"]}, later, first)
    assert second.pipeline("p").stage("bronze").hop_lag == 0
    seen["bronze"] = replace(seen["bronze"], observed_at=later)
    third = see({**healthy(later), "bronze": seen["bronze"]}, later, first)
    assert third.pipeline("p").stage("bronze").hop_lag == 64, "now it was observed"


def test_input_after_a_quiet_hour_waits_since_it_was_first_seen() -> None:
    """The view reads a stage that reports no advances: it is stuck after its stall time, and not at once."""
    hour_ago = T0 - seconds(3600)

    def seen(now: datetime, silver: datetime, view: datetime) -> dict[str, Observation | str]:
        return {
            **healthy(now),
            "silver": Observation("silver", now, progress_time=silver, advanced_at=silver),
            "view": Observation("view", now, progress_time=view, advanced_at=view),
        }

    def view(snapshot: HealthSnapshot) -> StageHealth:
        return snapshot.pipeline("p").stage("view")

    snapshot = see(seen(T0, hour_ago, hour_ago))
    assert view(snapshot).own_state is StageState.CAUGHT_UP
    for after in range(5, 30, 5):
        now = T0 + seconds(after)
        snapshot = see(seen(now, T0 + seconds(3), hour_ago), now, snapshot)
        assert view(snapshot).own_state in (StageState.BEHIND, StageState.SLOW), after
        assert view(snapshot).waiting_since == T0 + seconds(5), after
    failed = see({**seen(now, now, hour_ago), "view": "no answer"}, now, snapshot)
    for after in (40, 600):  # the samples go back for five minutes
        now = T0 + seconds(after)
        failed = see(seen(now, T0 + seconds(3), hour_ago), now, failed)
        assert view(failed).reason.startswith(f"no progress for {'35s' if after == 40 else '9m'}"), after
    snapshot = see(seen(now, now, T0 + seconds(3)), now, failed)
    assert view(snapshot).waiting_since == now, "it has advanced, and what waits now has just arrived"
    snapshot = see(seen(now, now, now), now, snapshot)
    assert (view(snapshot).own_state, view(snapshot).waiting_since) == (StageState.CAUGHT_UP, None)


def test_a_table_whose_query_had_nothing_to_pass_for_an_hour_is_not_stuck_by_its_first_record() -> None:
    hour_ago = T0 - seconds(3600)
    seen = healthy(T0)
    seen["land"] = Observation("land", T0, progress_time=T0, newest_passed=hour_ago, advanced_at=hour_ago)
    seen["bronze"] = Observation("bronze", T0, progress_time=hour_ago, position=990, advanced_at=hour_ago)
    snapshot = see(seen)
    for after in (5, 20):
        now = T0 + seconds(after)
        snapshot = see({**healthy(now), "bronze": replace(seen["bronze"], observed_at=now)}, now, snapshot)
        assert snapshot.pipeline("p").stage("bronze").own_state in (StageState.BEHIND, StageState.SLOW), after
        assert snapshot.pipeline("p").stage("bronze").waiting_since == T0 + seconds(5), after
    now = T0 + seconds(26)
    snapshot = see({**healthy(now), "bronze": replace(seen["bronze"], observed_at=now)}, now, snapshot)
    assert snapshot.pipeline("p").verdict.check_id == "bronze/stuck"


@pytest.mark.parametrize("commits", [True, False], ids=["commits", "no commits"])
def test_what_a_stage_leaves_out_of_its_input_does_not_wait_through_a_quiet_night(commits: bool) -> None:
    """The last record before the quiet time fails a filter of the view, so that the view never reaches its input."""
    evening, left_out = T0 - seconds(8 * 3600), 3

    def seen(now: datetime, silver: datetime, view: datetime) -> dict[str, Observation | str]:
        observed = healthy(now)
        quiet = {
            name: replace(each, progress_time=silver, newest_passed=silver, advanced_at=silver, advances=())
            for name, each in observed.items()
        }
        new = [T0 + seconds(n) for n in (4, 44) if T0 + seconds(n) <= silver]
        times = [evening - seconds(left_out), evening, *new]
        advances = tuple(Advance(at=at, progress_time=at, oldest=at - seconds(9)) for at in times) if commits else ()
        return {
            **quiet,
            "conform": replace(observed["conform"], progress_time=now, advanced_at=now),
            "silver": Observation("silver", now, progress_time=silver, advanced_at=silver, advances=advances),
            "view": Observation("view", now, progress_time=view, advanced_at=view),
        }

    def view(snapshot: HealthSnapshot) -> StageHealth:
        return snapshot.pipeline("p").stage("view")

    snapshot = None
    for before in (20, 15, 10, 5, 0):
        now = T0 - seconds(before)
        snapshot = see(seen(now, evening, evening - seconds(left_out)), now, snapshot)
        assert (view(snapshot).own_state, view(snapshot).waiting_since) == (StageState.IDLE, None), before
        assert view(snapshot).reason == "3s behind its input, and no new records arrive"
    for after in range(5, 25, 5):
        now = T0 + seconds(after)
        snapshot = see(seen(now, T0 + seconds(4), evening - seconds(left_out)), now, snapshot)
        assert view(snapshot).own_state is not StageState.STUCK, after
    now = T0 + seconds(45)
    stopped = see(seen(now, T0 + seconds(44), evening - seconds(left_out)), now, snapshot)
    assert stopped.pipeline("p").verdict.check_id == "view/stuck"
    snapshot = see(seen(now, T0 + seconds(44), T0 + seconds(44)), now, snapshot)
    assert view(snapshot).own_state is StageState.CAUGHT_UP


def reading_bronze(**view: Any) -> PipelineSettings:
    """A view of the first table, in place of the DAG and what follows it."""
    raw = CHAIN.model_dump(mode="json", exclude_unset=True)
    last = {"name": "view", "kind": "trino_view", "relation": "lake.b.v", "reads": ["bronze"], "every": 5, **view}
    return PipelineSettings.model_validate({**raw, "stages": [*raw["stages"][:3], last]})


def test_a_stage_does_not_lag_by_a_record_that_its_input_has_not_committed_yet() -> None:
    """The view leaves out the last record of the evening; the first one of the morning is in the topic only."""
    taken, left_out, new = T0 - seconds(1000), T0 - seconds(800), T0
    chain, snapshot = reading_bronze(), None
    advances = tuple(Advance(at=at, progress_time=at, oldest=at) for at in (taken - seconds(500), taken, left_out))
    for after in (-10, -5, 1):
        now = T0 + seconds(after)
        waits = new if after > 0 else None
        land = Observation("land", now, progress_time=waits or left_out, position=1, newest_passed=left_out)
        snapshot = see(
            {
                "orders": Observation("orders", now, progress_time=waits or left_out, position=1),
                "land": replace(land, lag_records=int(after > 0), pending_since=waits, advanced_at=left_out),
                "bronze": Observation("bronze", now, progress_time=left_out, advanced_at=left_out, advances=advances),
                "view": Observation("view", now, progress_time=taken, advanced_at=taken),
            },
            now,
            snapshot,
            chain=chain,
        )
    assert snapshot
    view = snapshot.pipeline("p").stage("view")
    assert (view.own_state, view.hop_lag) == (StageState.CAUGHT_UP, 0.0)


def test_a_stage_with_unread_records_is_stuck_although_no_new_ones_arrive() -> None:
    newest, chain, snapshot = T0 - seconds(60), reading_bronze(), None
    for after in range(0, 60, 5):
        now = T0 + seconds(after)
        seen = {n: Observation(n, now, progress_time=newest, advanced_at=newest) for n in ("orders", "land", "bronze")}
        view = Observation("view", now, progress_time=newest - seconds(20), lag_records=5, position=4)
        snapshot = see({**seen, "view": view}, now, snapshot, chain=chain)
    assert snapshot
    assert snapshot.pipeline("p").verdict.check_id == "view/stuck"


def test_what_was_seen_before_its_component_became_unavailable_is_not_green() -> None:
    """The view is observed every minute only, and its newest observation is fine."""
    before, later = see(healthy(T0)), T0 + seconds(10)
    seen = {**healthy(later), "view": healthy(T0)["view"]}
    down = see(seen, later, before, down={"trino": "connection refused"}).pipeline("p")
    assert down.stage("view").state is StageState.UNKNOWN
    assert down.stage("view").reason == "last observed 10s ago, before trino became unavailable"
    assert (down.verdict.status, down.verdict.check_id) == (Status.UNKNOWN, "trino/unreachable")

    snapshot = see(seen, later, before, down={"trino": "its status may not be read"})
    latest = later + seconds(5)
    seen = {**healthy(latest), "view": replace(healthy(T0)["view"], observed_at=later + seconds(1))}
    snapshot = see(seen, latest, snapshot, down={"trino": "its status may not be read"})
    assert snapshot.pipeline("p").stage("view").state is StageState.CAUGHT_UP, "it was observed since then"


def test_the_table_of_a_dag_lacks_nothing_while_the_dag_has_not_run_for_the_first_record_of_hours() -> None:
    old, now = T0 - seconds(3 * 3600), T0 + seconds(20)
    seen = healthy(now)
    advances = (
        Advance(at=old, progress_time=old, oldest=old, first=True),
        Advance(at=T0 + seconds(2), progress_time=T0, oldest=T0),
    )
    seen["bronze"] = Observation("bronze", now, progress_time=T0, advanced_at=T0 + seconds(2), advances=advances)
    run = T0 - seconds(600)
    seen["conform"] = Observation("conform", now, progress_time=run, advanced_at=run + seconds(30))
    seen["silver"] = Observation("silver", now, progress_time=old, advanced_at=old)
    seen["view"] = Observation("view", now, progress_time=old, advanced_at=old)
    pipeline = see(seen, now).pipeline("p")
    assert pipeline.stage("silver").hop_lag == 0
    assert pipeline.verdict.status is Status.OK


@pytest.mark.parametrize("reads", [["bronze", "side"], ["side", "bronze"]])
def test_since_when_input_waits_does_not_depend_on_the_order_of_the_inputs(reads: list[str]) -> None:
    """One input is ahead all the time, and the other one held the view back until now."""
    raw = CHAIN.model_dump(mode="json", exclude_unset=True)
    side = {"name": "side", "kind": "trino_view", "relation": "lake.s.side", "every": 10, "lag_ok": 600}
    view = {"name": "view", "kind": "trino_view", "relation": "lake.s.o", "every": 10, "reads": reads}
    chain = PipelineSettings.model_validate(
        {**raw, "stages": [*raw["stages"][:3], {**side, "reads": ["land"], "stall_after": 600}, view]}
    )
    held = T0 - seconds(200)

    def seen(now: datetime, side: datetime) -> dict[str, Observation | str]:
        seen = {name: each for name, each in healthy(now).items() if name in ("orders", "land", "bronze")}
        held_back = {name: Observation(name, now, progress_time=held, advanced_at=held) for name in ("side", "view")}
        return {**seen, **held_back, "side": Observation("side", now, progress_time=side, advanced_at=side)}

    snapshot, now = see(seen(T0, held), T0, chain=chain), T0 + seconds(5)
    view_now = see(seen(now, now), now, snapshot, chain=chain).pipeline("p").stage("view")
    assert view_now.own_state is not StageState.STUCK
    assert view_now.waiting_since == now


def first_record(now: datetime, since: datetime, *, passed: bool) -> dict[str, Observation]:
    """The table is empty: records wait since then, the first of all, or the query has already let some through."""
    seen = stopped(now, since)
    seen["land"] = replace(seen["land"], newest_passed=since - seconds(1) if passed else None)
    return {**seen, "bronze": Observation("bronze", now, position=0)}


def test_an_empty_table_is_not_stuck_while_its_query_has_let_nothing_through() -> None:
    seen = first_record(T0, T0 - seconds(60), passed=False)
    first = see(seen)
    for snapshot in (first, see(seen, T0, first)):
        pipeline = snapshot.pipeline("p")
        assert pipeline.verdict.check_id == "land/stuck"
        assert pipeline.stage("bronze").reason == "no records have arrived yet"


def test_an_empty_table_is_stuck_once_it_has_missed_something_for_the_stall_time_and_not_before() -> None:
    hour = T0 + seconds(3600)
    nothing = {name: Observation(name, T0, position=0) for name in ("orders", "land", "bronze")}
    unknown = see({**healthy(T0), **nothing, "bronze": "connection refused"})
    quiet = see({**healthy(T0), **nothing}, T0, unknown)
    assert quiet.pipeline("p").stage("bronze").state is StageState.IDLE
    arrived = see(first_record(hour, hour, passed=True), hour, quiet)
    assert arrived.pipeline("p").stage("bronze").state is StageState.BEHIND, (
        "whatever it did before, it waits since now"
    )
    later = hour + seconds(21)
    seen = see(first_record(later, hour, passed=True), later, arrived).pipeline("p").stage("bronze")
    assert (seen.state, seen.since) == (StageState.STUCK, hour)
    assert seen.reason == "it has input, but has never produced output"


def test_a_table_that_tells_no_progress_is_unknown_however_long_and_never_stuck() -> None:
    later = T0 + seconds(60)
    snapshot = see({**healthy(T0), "bronze": Observation("bronze", T0, position=990, advanced_at=T0)})
    seen = {**healthy(later), "bronze": Observation("bronze", later, position=1990, advanced_at=later)}
    pipeline = see(seen, later, snapshot).pipeline("p")
    assert pipeline.stage("bronze").state is StageState.UNKNOWN
    assert pipeline.stage("bronze").reason == (
        "it has rows, but no commit has a progress stamp, and no progress_column is set"
    )
    assert pipeline.verdict.status is Status.UNKNOWN


def outage(now: datetime, run: datetime) -> dict[str, Observation]:
    """Nothing was landed between 700 s and 12 s ago; conform has run then or since."""
    advances = (
        Advance(now - seconds(705), now - seconds(710), now - seconds(715)),
        Advance(now - seconds(700), now - seconds(702), now - seconds(709)),
        Advance(now - seconds(12), now - seconds(13), now - seconds(701)),
    )
    bronze = Observation(
        "bronze", now, progress_time=advances[-1].progress_time, advanced_at=advances[-1].at, advances=advances
    )
    taken = max(advance.progress_time for advance in advances if advance.at < run)
    return {
        **healthy(now),
        "land": Observation(
            "land",
            now,
            progress_time=now - seconds(10),
            lag_records=1,
            advanced_at=now - seconds(11),
            newest_passed=advances[-1].progress_time,
        ),
        "bronze": bronze,
        "conform": Observation("conform", now, progress_time=run, advanced_at=run + seconds(30)),
        "silver": Observation("silver", now, progress_time=taken, advanced_at=run + seconds(30)),
        "view": Observation("view", now, progress_time=taken, advanced_at=run + seconds(30)),
    }


def test_a_run_has_taken_what_was_there_when_it_started_and_its_table_is_not_blamed_for_the_rest() -> None:
    pipeline = see(outage(T0, run=T0 - seconds(200))).pipeline("p")
    assert pipeline.stage("bronze").hop_lag == 0
    assert pipeline.stage("conform").progress_time == T0 - seconds(701)
    assert pipeline.stage("conform").state is StageState.BEHIND
    assert pipeline.stage("silver").state is StageState.AFFECTED
    assert pipeline.stage("silver").own_state is StageState.CAUGHT_UP
    assert pipeline.verdict.check_id == "conform/behind"


def test_a_run_before_the_first_advance_of_all_has_taken_nothing_and_its_table_has_nothing_to_show() -> None:
    seen = outage(T0, run=T0 - seconds(200))
    first = Advance(T0 - seconds(12), T0 - seconds(13), T0 - seconds(14), first=True)
    seen["bronze"] = replace(seen["bronze"], advances=(first,))
    seen |= {name: Observation(name, T0, position=0) for name in ("silver", "view")}
    pipeline = see(seen).pipeline("p")
    assert pipeline.verdict.check_id == "conform/behind"
    assert pipeline.stage("conform").reason == "it has input, but has not produced output yet"
    assert {pipeline.stage(name).reason for name in ("silver", "view")} == {"no records have arrived yet"}

    later = T0 + seconds(5)
    seen |= {"conform": Observation("conform", later, progress_time=T0, advanced_at=later)}
    seen |= {name: Observation(name, later, position=0) for name in ("silver", "view")}
    assert see(seen, later).pipeline("p").verdict.check_id == "silver/behind", "now there was something to pass"


def test_a_run_after_the_newest_advance_lacks_nothing_however_old_that_is() -> None:
    pipeline = see(outage(T0, run=T0 - seconds(5))).pipeline("p")
    assert [pipeline.stage(name).hop_lag for name in ("bronze", "conform")] == [0, 0]
    assert pipeline.verdict.status is Status.OK


def test_what_is_not_there_yet_may_only_have_to_be_started() -> None:
    seen = results({**healthy(T0), "land": "no checkpoint at /c/land: the query has never run"}, T0)
    seen = [replace(result, error_kind="not_found") if result.stage == "land" else result for result in seen]
    verdict = evaluated(None, seen, {"p": CHAIN}, T0).pipeline("p").verdict
    assert (verdict.status, verdict.check_id) == (Status.UNKNOWN, "land/not-found")
    assert verdict.remedy is not None
    assert verdict.remedy.command == "start land"


def test_an_error_that_names_its_cause_has_the_remedy_of_that_cause() -> None:
    seen = results({**healthy(T0), "land": "offsets/7 is empty"}, T0)
    error = {"error_kind": "bad_answer", "remedy": "Start the query again."}
    seen = [replace(result, **error) if result.stage == "land" else result for result in seen]
    verdict = evaluated(None, seen, {"p": CHAIN}, T0).pipeline("p").verdict
    assert verdict.check_id == "land/bad-answer"
    assert verdict.remedy is not None
    assert verdict.remedy.text == "Start the query again."


def test_before_the_first_probes_the_pipeline_is_starting_and_nothing_is_blamed() -> None:
    snapshot = evaluated(None, [], {"p": CHAIN}, T0)
    pipeline = snapshot.pipeline("p")
    assert set(states(pipeline).values()) == {"starting"}
    assert snapshot.status is Status.STARTING
    assert pipeline.verdict == Verdict(status=Status.STARTING, sentence="0 of 6 stages probed")
    assert pipeline.data_age is None
    assert [s.error for s in pipeline.stages] == [None] * 6
    assert snapshot.status.exit_code == 3


def test_while_some_stages_are_not_probed_yet_those_below_are_starting_too() -> None:
    seen = {name: what for name, what in healthy(T0).items() if name not in ("land", "conform")}
    pipeline = see(seen).pipeline("p")
    assert states(pipeline) == {
        "orders": "caught_up",
        "land": "starting",
        "bronze": "starting",
        "conform": "starting",
        "silver": "starting",
        "view": "caught_up",
    }
    assert pipeline.verdict.sentence == "2 of 6 stages probed"
    assert pipeline.verdict.evidence == pipeline.verdict.blast_radius == ()


def test_what_may_still_be_explained_by_what_is_not_probed_yet_is_not_blamed() -> None:
    seen = results(stopped(T0, T0 - seconds(40)), T0)
    without_lake = [r for r in seen if r.component != "lake" or r.stage]
    early = evaluated(None, without_lake, {"p": CHAIN}, T0, pending=["lake"]).pipeline("p").verdict
    assert early.status is Status.STARTING
    assert evaluated(None, seen, {"p": CHAIN}, T0).pipeline("p").verdict.check_id == "land/stuck"
    without_trino = [r for r in seen if r.component != "trino"]
    blamed = evaluated(None, without_trino, {"p": CHAIN}, T0, pending=["trino"]).pipeline("p").verdict
    assert blamed.check_id == "land/stuck", "whatever Trino's probe will say, it cannot explain this one"
    down = [
        replace(r, success=False, error="refused") if (r.component, r.stage) == ("kafka", None) else r for r in seen
    ]
    down = [replace(r, success=False, error="refused") if r.stage in ("orders", "land") else r for r in down]
    known = [r for r in down if r.component != "trino"]
    assert evaluated(None, known, {"p": CHAIN}, T0).pipeline("p").verdict.check_id == "kafka/unreachable"


def evaluated(*arguments: Any, **more: Any) -> Any:
    return evaluate(*arguments, "test", RULES, THRESHOLDS, **more)


def fork(**more: Any) -> PipelineSettings:
    """Return two topics that are joined into a table, which two views serve; a third topic has a table of its own."""
    topic = {"kind": "topic"}
    table = {"kind": "iceberg_table", "catalog": "lake"}
    view = {"kind": "trino_view", "relation": "lake.s.v", "every": 1}
    return PipelineSettings.model_validate(
        {
            "context": "test",
            "stages": [
                {"name": "facts", "topic": "facts", **topic},
                {"name": "names", "topic": "names", **topic},
                {"name": "other", "topic": "other", **topic},
                {"name": "joined", "table": "b.j", "reads": ["facts", "names"], **table},
                {"name": "copy", "table": "b.c", "reads": ["other"], **table},
                {"name": "fast", "reads": ["joined"], **view},
                {"name": "slow", "reads": ["joined"], "lag_ok": 600, **view},
            ],
            **more,
        }
    )


def forked(**ages: float) -> PipelineHealth:
    """Return the fork in which the data of a stage is so many seconds old."""
    now = {"facts": 0, "names": 1, "other": 2, "joined": 5, "copy": 3, "fast": 5, "slow": 60} | ages
    component = {"facts": "kafka", "names": "kafka", "other": "kafka", "joined": "lake", "copy": "lake"}
    seen = [
        ProbeResult(
            probe="stage",
            target=name,
            component=component.get(name, "trino"),
            started_at=T0,
            duration=0.1,
            success=True,
            pipeline="p",
            stage=name,
            observation=Observation(name, T0, progress_time=T0 - seconds(age), advanced_at=T0 - seconds(min(age, 5))),
        )
        for name, age in now.items()
    ]
    return evaluated(None, seen, {"p": fork(objective=100.0)}, T0).pipeline("p")


def test_with_several_sources_and_ends_the_data_age_is_that_of_the_slowest_path() -> None:
    pipeline = forked()
    assert pipeline.slowest_path == ("names", "joined", "slow")
    assert pipeline.data_age == 60
    lags = [pipeline.stage(name).hop_lag or 0.0 for name in pipeline.slowest_path]
    assert pipeline.source_age == 1
    assert pipeline.source_age + sum(lags) == pipeline.data_age
    assert {name: pipeline.stage(name).data_age for name in ("copy", "fast", "slow")} == {
        "copy": 3,
        "fast": 5,
        "slow": 60,
    }


def test_a_stage_is_capped_by_the_slowest_of_all_that_it_reads() -> None:
    pipeline = forked(facts=0, names=20, joined=2)
    assert pipeline.stage("joined").progress_time == T0 - seconds(20)
    assert pipeline.stage("joined").hop_lag == 0


def test_a_source_that_is_quiet_makes_the_data_of_the_others_no_older() -> None:
    pipeline = forked(names=86_400)
    assert pipeline.stage("names").state is StageState.IDLE
    assert (pipeline.data_age, pipeline.slowest_path) == (60, ("facts", "joined", "slow"))
    assert pipeline.verdict.status is Status.OK
    late = forked(names=86_400, joined=50)
    assert late.stage("joined").state is StageState.BEHIND, "it lags behind the one that is not quiet"
    assert forked(facts=86_400, names=86_400, joined=86_400, fast=86_400, slow=86_400).data_age == 3, "nothing is late"


def test_the_objective_holds_for_each_end_and_names_the_hop_on_its_path() -> None:
    verdict = forked(slow=300, copy=5).verdict
    assert (verdict.check_id, verdict.stage) == ("slow/objective", "slow")
    assert "slow contributes 4m 55s" in verdict.sentence


def test_only_what_is_below_the_stuck_stage_is_affected() -> None:
    pipeline = forked(joined=200)
    joined = pipeline.stage("joined")
    assert joined.state is StageState.BEHIND
    assert states(pipeline) == {
        "facts": "caught_up",
        "names": "caught_up",
        "other": "caught_up",
        "joined": "behind",
        "copy": "caught_up",
        "fast": "affected",
        "slow": "affected",
    }
    assert {s.affected_by for s in pipeline.stages} == {None, "joined"}


def test_a_stage_below_two_that_hold_data_back_waits_for_the_one_that_the_verdict_blames() -> None:
    seen = stopped(T0, T0 - seconds(25))
    seen["conform"] = replace(seen["conform"], failure="run r7 failed")
    pipeline = see(seen).pipeline("p")
    assert pipeline.stage("bronze").affected_by == "land"
    assert pipeline.stage("silver").affected_by == "land", "the first one, as in the verdict"
    assert pipeline.stage("conform").state is StageState.FAILED
    assert pipeline.stage("conform").affected_by == "land"
    late = healthy(T0)
    late["bronze"] = replace(late["bronze"], progress_time=T0 - seconds(100))
    late["conform"] = replace(late["conform"], failure="run r7 failed")
    pipeline = see(late).pipeline("p")
    assert pipeline.stage("bronze").state is StageState.BEHIND
    assert pipeline.stage("silver").affected_by == "conform"


def test_the_own_state_goes_on_while_the_stage_is_affected() -> None:
    first = see(stopped(T0, T0 - seconds(25)))
    later = T0 + seconds(30)
    second = see(stopped(later, T0 - seconds(25)), later, first)
    bronze = second.pipeline("p").stage("bronze")
    assert (bronze.state, bronze.since) == (StageState.AFFECTED, T0 - seconds(25))
    recovered = T0 + seconds(60)
    third = see(healthy(recovered), recovered, second).pipeline("p").stage("bronze")
    assert (third.state, third.affected_by) == (StageState.CAUGHT_UP, None)


def test_an_observation_that_grew_old_is_no_observation() -> None:
    seen = healthy(T0)
    pipeline = see(seen, T0 + seconds(61)).pipeline("p")
    assert pipeline.stage("orders").state is StageState.UNKNOWN
    assert pipeline.stage("orders").reason == "last observed 1m 1s ago"
    assert pipeline.stage("view").state is not StageState.CAUGHT_UP


def test_who_looks_seldom_is_shown_what_was_seen_a_round_ago() -> None:
    later = T0 + seconds(125)
    snapshot = evaluated(None, results(healthy(T0), T0), {"p": CHAIN}, later, refresh=120)
    assert snapshot.pipeline("p").stage("orders").error is None
    later = T0 + seconds(241)
    snapshot = evaluated(None, results(healthy(T0), T0), {"p": CHAIN}, later, refresh=120)
    assert snapshot.pipeline("p").stage("orders").error == "last observed 4m 1s ago"


def test_after_a_restart_the_lag_falls_and_there_is_an_eta_then_it_is_caught_up() -> None:
    snapshot = None
    for step in range(5):
        now = T0 + seconds(5 * step)
        waiting = 10_000 - 2_000 * step
        seen = healthy(now)
        seen["land"] = Observation(
            "land",
            now,
            progress_time=now - seconds(100 - 20 * step),
            position=100_000 + 2_500 * step,
            lag_records=waiting,
            pending_since=now - seconds(100 - 20 * step),
            advanced_at=now - seconds(1),
        )
        seen["bronze"] = Observation("bronze", now, progress_time=now - seconds(100 - 20 * step), advanced_at=now)
        snapshot = see(seen, now, snapshot)
    land = snapshot.pipeline("p").stage("land") if snapshot else pytest.fail("no snapshot")
    assert land.hop_lag == 20
    assert land.state is StageState.CAUGHT_UP
    assert land.rate == pytest.approx(500)
    assert land.inflow == pytest.approx(100)


def test_behind_with_a_falling_lag_has_an_eta_from_the_rates() -> None:
    snapshot = None
    for step in range(4):
        now = T0 + seconds(5 * step)
        lag = 200 - 20 * step
        seen = healthy(now)
        seen["land"] = Observation(
            "land",
            now,
            progress_time=now - seconds(lag),
            position=2_500 * step,
            lag_records=20_000 - 2_000 * step,
            pending_since=now - seconds(lag),
            advanced_at=now - seconds(1),
        )
        snapshot = see(seen, now, snapshot)
    assert snapshot is not None
    pipeline = snapshot.pipeline("p")
    land = pipeline.stage("land")
    assert land.state is StageState.BEHIND
    assert land.eta == pytest.approx(14_000 / 400)
    assert pipeline.verdict.check_id == "land/behind"
    assert pipeline.verdict.status is Status.WARNING
    assert "ETA 35s" in pipeline.verdict.sentence


def test_a_growing_lag_with_output_is_slow_and_has_no_eta() -> None:
    snapshot = None
    for step in range(4):
        now = T0 + seconds(5 * step)
        lag = 60 + 3 * step
        seen = healthy(now)
        seen["land"] = Observation(
            "land",
            now,
            progress_time=now - seconds(lag),
            position=500 * step,
            lag_records=6_000 + 300 * step,
            pending_since=now - seconds(lag),
            advanced_at=now - seconds(1),
        )
        snapshot = see(seen, now, snapshot)
    assert snapshot is not None
    land = snapshot.pipeline("p").stage("land")
    assert land.state is StageState.SLOW
    assert land.eta is None
    assert "lag rising by 0.6s every second" in land.reason
    assert snapshot.pipeline("p").verdict.status is Status.WARNING


def test_a_failed_dag_is_blamed_with_what_to_trigger_even_below_a_slow_stage() -> None:
    seen = healthy(T0)
    seen["conform"] = Observation(
        "conform", T0, progress_time=T0 - seconds(200), advanced_at=T0 - seconds(170), failure="run r7 failed"
    )
    verdict = see(seen).pipeline("p").verdict
    assert (verdict.stage, verdict.check_id) == ("conform", "conform/failed")
    assert verdict.blast_radius == ("silver", "view")
    assert verdict.remedy is not None
    assert verdict.remedy.dag_id == "conform"
    assert verdict.remedy.command == "dataops dag trigger conform"


@pytest.mark.parametrize("due", [None, T0])
def test_a_paused_dag_is_called_paused(due: datetime | None) -> None:
    seen = healthy(T0)
    seen["conform"] = Observation(
        "conform",
        T0,
        progress_time=T0 - seconds(1000),
        advanced_at=T0 - seconds(970),
        activity=Activity.PAUSED,
        details=DagDetails(next_run_due=due),
    )
    pipeline = see(seen).pipeline("p")
    assert pipeline.stage("conform").state is StageState.STUCK
    assert "it is paused" in pipeline.verdict.sentence
    assert pipeline.verdict.remedy is not None
    missed = " If an asset starts it, trigger it too: Airflow queues no asset events for a paused DAG."
    assert pipeline.verdict.remedy.text == f"Unpause the DAG conform.{'' if due else missed}"


def test_what_a_first_run_has_written_is_not_unknown_until_the_run_has_ended() -> None:
    seen = healthy(T0)
    seen["conform"] = Observation("conform", T0, activity=Activity.RUNNING)
    pipeline = see(seen).pipeline("p")
    assert [pipeline.stage(name).state for name in ("conform", "silver", "view")] == [
        StageState.BEHIND,
        StageState.AFFECTED,
        StageState.AFFECTED,
    ]
    assert [pipeline.stage(name).own_state for name in ("silver", "view")] == [StageState.CAUGHT_UP] * 2
    assert (pipeline.verdict.status, pipeline.verdict.stage) == (Status.WARNING, "conform")


def test_a_table_below_a_query_whose_checkpoint_was_lost_is_not_called_caught_up() -> None:
    seen = healthy(T0)
    seen["land"] = Observation("land", T0, lag_records=1000, pending_since=T0 - seconds(900))
    assert see(seen).pipeline("p").stage("bronze").state is StageState.UNKNOWN


def test_a_topic_that_retention_has_emptied_is_idle_and_so_is_what_reads_it() -> None:
    seen = healthy(T0)
    seen["orders"] = Observation("orders", T0, position=1000)
    seen["land"] = Observation("land", T0, position=1000, lag_records=0)
    pipeline = see(seen).pipeline("p")
    assert [pipeline.stage(name).state for name in ("orders", "land", "bronze")] == [StageState.IDLE] * 3
    assert pipeline.stage("land").reason == "it is empty now"
    assert pipeline.verdict.status is Status.OK


def test_a_table_below_a_stage_that_cannot_be_seen_stays_unknown() -> None:
    seen: dict[str, Observation | str] = dict(healthy(T0))
    seen["conform"] = "airflow: no answer"
    assert see(seen).pipeline("p").stage("silver").state is StageState.UNKNOWN


def test_a_dag_that_never_ran_is_behind_first_and_stuck_after_its_stall_time() -> None:
    seen: dict[str, Observation | str] = {**healthy(T0), "conform": Observation("conform", T0)}
    first = see(seen)
    assert first.pipeline("p").stage("conform").state is StageState.BEHIND
    later = T0 + seconds(601)
    seen = {**healthy(later), "conform": Observation("conform", later)}
    second = see(seen, later, first)
    assert second.pipeline("p").stage("conform").state is StageState.STUCK
    assert second.pipeline("p").stage("conform").since == T0


def test_before_the_first_record_everything_below_waits_idly() -> None:
    seen: dict[str, Observation | str] = {name: Observation(name, T0) for name in COMPONENT}
    pipeline = see(seen).pipeline("p")
    assert pipeline.stage("orders").state is StageState.IDLE
    assert pipeline.stage("conform").state is StageState.IDLE
    assert pipeline.stage("view").state is StageState.UNKNOWN


def test_the_time_since_when_is_kept_while_the_state_lasts() -> None:
    first = see(stopped(T0, T0 - seconds(25)))
    later = T0 + seconds(30)
    second = see(stopped(later, T0 - seconds(25)), later, first)
    assert second.pipeline("p").verdict.since == T0 - seconds(25)
    recovered = T0 + seconds(60)
    third = see(healthy(recovered), recovered, second)
    assert third.pipeline("p").stage("land").since == recovered


def test_older_data_than_promised_is_a_warning_that_names_the_hop_that_owns_most() -> None:
    strict = CHAIN.model_copy(update={"objective": 60.0})
    verdict = see(healthy(T0), chain=strict).pipeline("p").verdict
    assert (verdict.status, verdict.check_id) == (Status.WARNING, "conform/objective")
    assert "conform contributes 1m 38s" in verdict.sentence


def test_a_topic_made_anew_gives_no_negative_rate() -> None:
    first = see(healthy(T0))
    later = T0 + seconds(10)
    seen = healthy(later)
    seen["orders"] = Observation("orders", later, progress_time=later, position=3, advanced_at=later)
    assert see(seen, later, first).pipeline("p").stage("orders").rate is None


def test_a_lost_checkpoint_is_said_for_a_day_and_hides_nothing_worse() -> None:
    lost = WriterChange(at=T0 - seconds(3600), old="0123456789", new="abcdefghij")

    def at(now: datetime, **change: Any) -> Verdict:
        seen: dict[str, Observation | str] = {**healthy(now)}
        seen["bronze"] = replace(seen["bronze"], writer_change=lost)
        for name, more in change.items():
            seen[name] = replace(seen[name], **more)
        return see(seen, now).pipelines[0].verdict

    verdict = at(T0)
    assert verdict.status is Status.WARNING
    assert verdict.check_id == "bronze/checkpoint-lost"
    assert verdict.since == lost.at
    assert "abcdefgh, previously 01234567" in verdict.sentence
    assert verdict.blast_radius == ("conform", "silver", "view")
    assert at(T0 + timedelta(days=2)).status is Status.OK
    worse = at(T0, conform={"failure": "its newest run failed"})
    assert worse.check_id == "conform/failed"
    assert any("bronze: a new streaming query has been writing to it" in line for line in worse.evidence)


def test_a_pipeline_that_is_starting_outranks_a_good_one_and_a_critical_one_outranks_both() -> None:
    good = healthy(T0)
    both = {"p": CHAIN, "q": CHAIN}
    snapshot = evaluated(None, results(good, T0), both, T0)
    assert snapshot.status is Status.STARTING
    critical = evaluated(None, results(stopped(T0, T0 - seconds(60)), T0), both, T0)
    assert critical.status is Status.CRITICAL
    blind: dict[str, Observation | str] = {**good, "view": "refused"}
    assert evaluated(None, results(blind, T0), both, T0).status is Status.UNKNOWN
