"""Each check finds what it is there for, on its own stage and nowhere else; and not what is only near it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.orders import NEEDS, T0, seconds
from tests.settings import RULES, THRESHOLDS, PipelineSettings

from dataops_core.health.checks.unreachable import FAILURES
from dataops_core.health.details import Details
from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import HealthSnapshot, PipelineHealth, StageState, Status
from dataops_core.health.observation import Activity, Observation, ProbeResult, WriterChange
from dataops_core.systems.connect.checks import CONNECT_CHECKS, CONNECTOR_CHECKS
from dataops_core.systems.dbt.checks import DBT_CHECKS, MODEL_CHECKS, SOURCE_CHECKS
from dataops_core.systems.delta.checks import CHECKS as DELTA_CHECKS
from dataops_core.systems.flink.checks import FLINK_CHECKS, JOB_CHECKS
from dataops_core.systems.registry import registry
from dataops_core.systems.spark.batch_checks import BATCH_CHECKS

MIB = 2**20
PIPELINE = PipelineSettings.model_validate(
    {
        "context": "test",
        "stages": [
            {"name": "orders", "kind": "topic", "topic": "orders"},
            {"name": "billing", "kind": "consumer_group", "group": "billing", "topic": "orders", "reads": ["orders"]},
            {"name": "land", "kind": "spark_query", "checkpoint": "/c", "trigger": 5, "reads": ["orders"]},
            {"name": "bronze", "kind": "iceberg_table", "catalog": "lake", "table": "b.o", "reads": ["land"]},
            {"name": "conform", "kind": "dag", "dag_id": "conform", "reads": ["bronze"], "lag_ok": 300},
            {"name": "silver", "kind": "iceberg_table", "catalog": "lake", "table": "s.o", "reads": ["conform"]},
            {"name": "view", "kind": "trino_view", "relation": "lake.s.o", "reads": ["silver"], "every": 10},
        ],
    }
)
COMPONENTS = {
    "orders": "kafka",
    "billing": "kafka",
    "land": "spark",
    "bronze": "lake",
    "conform": "airflow",
    "silver": "lake",
    "view": "trino",
}
KINDS = {
    "kafka": "kafka",
    "lake": "iceberg",
    "lake store": "store",
    "airflow": "airflow",
    "trino": "trino",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
}


def observation(name: str, now: datetime, **more: Any) -> Observation:
    """Return what is seen of a stage that is well, with figures and facts by name."""
    figures: Mapping[str, float] = more.pop("figures", {})
    facts: Mapping[str, str] = more.pop("facts", {})
    seen = Observation(name, now, progress_time=now, position=1, lag_records=0, advanced_at=now)
    return replace(seen, details=details_of(name, figures, facts), **more)


def details_of(name: str, figures: Mapping[str, float], facts: Mapping[str, str]) -> Details:
    """Return the details of a stage or component with these figures and facts, by the names that the JSON has."""
    if name in COMPONENTS:
        kind = RULES.stage(next(stage.kind for stage in PIPELINE.stages if stage.name == name)).details
    else:
        kind = RULES.component_checks(KINDS[name])[0]
    shown = {(each.metadata.get("name") or each.name, str(each.type).split(" ")[0]): each.name for each in fields(kind)}
    given: dict[str, Any] = {}
    for (name_shown, type_name), field_name in shown.items():
        if type_name in ("str", "bool") and name_shown in facts:
            given[field_name] = facts[name_shown] if type_name == "str" else True
        elif type_name not in ("str", "bool") and name_shown in figures:
            given[field_name] = instant(figures[name_shown]) if type_name == "datetime" else figures[name_shown]
    assert len(given) == len(figures) + len(facts), (figures, facts)
    return kind(**given)


def instant(value: Any) -> Any:
    return datetime.fromtimestamp(value, UTC)


def look(
    changes: Mapping[str, Observation], now: datetime = T0, previous: HealthSnapshot | None = None, **failed: str
) -> HealthSnapshot:
    """Return the snapshot of a pipeline that is well but for these stages and components."""
    results = []
    for name, component in [*COMPONENTS.items(), *((c, c) for c in KINDS)]:
        is_stage = name in COMPONENTS
        kind = failed.get(name.replace(" ", "_"))
        results.append(
            ProbeResult(
                probe="" if is_stage else KINDS[name],
                target=f"{name}:1",
                component=component,
                started_at=now,
                duration=0.1,
                success=kind is None,
                pipeline="p" if is_stage else None,
                stage=name if is_stage else None,
                needs=NEEDS.get(component, (component,)),
                error=None if kind is None else f"{name}: {kind}",
                error_kind=kind,
                observation=None if kind is not None else changes.get(name) or observation(name, now),
            )
        )
    return evaluate(previous, results, {"p": PIPELINE}, now, "test", RULES, THRESHOLDS)


def ago(number: float) -> float:
    return (T0 - seconds(number)).timestamp()


@dataclass(frozen=True)
class Case:
    """One failure.

    Attributes:
        check: Name of the check that must find it.
        at: The stage or component where it is.
        seen: How what is seen there differs from all being well.
        status: The verdict's status.
        says: What the sentence must say.
        near: The figures of something that is only near it, and that must not be found.
        command: What the remedy's command must hold.
    """

    check: str
    at: str
    seen: Mapping[str, Any]
    status: Status
    says: str
    near: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""


def figures(**values: float) -> dict[str, Any]:
    return {"figures": values}


KAFKA = {"bootstrap_servers": "kafka:9092"}
SMALL = {"data_files": 9000, "data_file_bytes": 9000 * MIB, "small_files": 8000}
CASES = [
    Case(
        "offline-partitions",
        "orders",
        {
            "figures": {"partitions": 4, "offline_partitions": 2, "brokers": 1},
            "facts": {"offline": "1, 3", **KAFKA},
        },
        Status.CRITICAL,
        "2 partitions of 4 offline, without a leader: 1, 3",
        figures(partitions=4, offline_partitions=0),
        "kafka-topics --bootstrap-server kafka:9092 --describe --topic orders --unavailable-partitions",
    ),
    Case(
        "under-replicated",
        "orders",
        {"figures": {"partitions": 4, "under_replicated_partitions": 1}, "facts": {"under_replicated": "2", **KAFKA}},
        Status.WARNING,
        "1 partition of 4 with fewer in-sync replicas than replicas: 2",
        figures(partitions=4, under_replicated_partitions=0),
        "--under-replicated-partitions",
    ),
    Case(
        "clock-ahead",
        "orders",
        {"progress_time": T0 + seconds(7200)},
        Status.WARNING,
        "2h ahead of now",
        {"progress_time": T0 + seconds(59)},
    ),
    Case(
        "hot-partition",
        "orders",
        figures(
            partitions=4, records_recent=10_000, recent_window=300, hottest_partition=2, hottest_partition_records=9_100
        ),
        Status.WARNING,
        "partition 2 got 9,100 of 10,000 records in 5m (91%)",
        figures(partitions=4, records_recent=10_000, hottest_partition=2, hottest_partition_records=6_000),
    ),
    Case(
        "retention-overtook",
        "billing",
        {"figures": {"records_lost": 1200}, "facts": {"lost": "0"}},
        Status.CRITICAL,
        "retention has deleted 1,200 records that it had not read, in partition 0",
    ),
    Case(
        "retention-overtook",
        "land",
        {"figures": {"records_lost": 7}, "facts": {"lost": "0, 1"}},
        Status.CRITICAL,
        "7 records that it had not read, in partition 0, 1",
    ),
    Case(
        "topic-recreated",
        "billing",
        {"facts": {"beyond_end": "orders-0 was read up to 500, and ends at 3", **KAFKA}},
        Status.CRITICAL,
        "orders-0 was read up to 500, and ends at 3",
        {"facts": KAFKA},
        "--group billing --topic orders --reset-offsets --to-earliest --execute",
    ),
    Case(
        "retention-near",
        "billing",
        {
            "pending_since": T0 - seconds(90),
            "figures": {"retention": 100, "members": 1},
            "facts": {"retention_topic": "orders", **KAFKA},
        },
        Status.WARNING,
        "its oldest unread record is 1m 30s old, and retention deletes records of orders after 1m 40s",
        {"pending_since": T0 - seconds(70), "figures": {"retention": 100}, "facts": KAFKA},
        "--add-config retention.ms=200000",
    ),
    Case(
        "retention-near",
        "land",
        {"figures": {"records_until_lost": 10, "records_kept": 1000}, "facts": {"retention_topic": "orders", **KAFKA}},
        Status.WARNING,
        "its position is only 10 records after the beginning of orders",
        figures(records_until_lost=900, records_kept=1000),
        "--delete-config retention.bytes",
    ),
    Case(
        "clock-ahead",
        "land",
        figures(watermark=ago(-3600)),
        Status.WARNING,
        "1h ahead of now: records with correct timestamps count as late",
        figures(watermark=ago(-59)),
    ),
    Case(
        "watermark-frozen",
        "land",
        figures(watermark=ago(5000), watermark_stood=1200, watermark_batches=40, batch_committed=77),
        Status.WARNING,
        "for 20m, while 40 batches with new records were committed",
        figures(watermark=ago(5000), watermark_stood=599, watermark_batches=40),
    ),
    Case(
        "state-growth",
        "land",
        figures(state_snapshot_bytes=300 * MIB, state_snapshot_bytes_before=100 * MIB, state_snapshot_span=3600),
        Status.WARNING,
        "its state has grown from 100 MiB to 300 MiB within 1h",
        figures(state_snapshot_bytes=150 * MIB, state_snapshot_bytes_before=100 * MIB),
    ),
    Case(
        "state-large",
        "land",
        figures(state_bytes=11 * 2**30),
        Status.WARNING,
        "its state takes 11 GiB, more than 10 GiB",
        figures(state_bytes=9 * 2**30),
    ),
    Case(
        "batch-longer-than-trigger",
        "land",
        figures(batch_duration=7.5, batch_duration_last=9, batches_timed=10),
        Status.WARNING,
        "a batch takes 7.5s, longer than its trigger of 5s",
        figures(batch_duration=4.9, batch_duration_last=9, batches_timed=10),
    ),
    Case(
        "missing-files",
        "bronze",
        {
            "figures": {"missing_files": 1, "data_files": 10, "files_checked": 8},
            "facts": {"missing": "s3://x/1.parquet"},
        },
        Status.CRITICAL,
        "1 file of its current snapshot missing in the store: s3://x/1.parquet",
        figures(missing_files=0, data_files=10),
    ),
    Case(
        "checkpoint-lost",
        "bronze",
        {"writer_change": WriterChange(at=T0 - seconds(60), old="old-query", new="new-query")},
        Status.WARNING,
        "a new streaming query has been writing to it since 02:59:00Z",
        {"writer_change": WriterChange(at=T0 - timedelta(days=2), old="old-query", new="new-query")},
    ),
    Case(
        "poison-records",
        "bronze",
        figures(records_rejected_recent=100, records_added_recent=900),
        Status.WARNING,
        "100 of 1,000 records of the last hour could not be read (10%)",
        figures(records_rejected_recent=40, records_added_recent=960),
    ),
    Case(
        "expiry-not-running",
        "bronze",
        figures(snapshots=900, oldest_unneeded_snapshot=ago(11 * 86400), snapshot_age_setting=5 * 86400),
        Status.WARNING,
        "it retains 900 snapshots; the oldest unreferenced one is 11d old: snapshot expiry is not running",
        figures(snapshots=900, oldest_unneeded_snapshot=ago(9 * 86400), snapshot_age_setting=5 * 86400),
        "EXECUTE expire_snapshots",
    ),
    Case(
        "compaction-not-running",
        "bronze",
        figures(**SMALL, oldest_snapshot=ago(3 * 86400), compacted=ago(2 * 86400)),
        Status.WARNING,
        "8,000 of 9,000 data files are smaller than 16 MiB, and the table has not been compacted for 2d",
        figures(**{**SMALL, "small_files": 4000}, oldest_snapshot=ago(3 * 86400)),
        "dataops sql 'ALTER TABLE lake.b.o EXECUTE optimize'",
    ),
    Case(
        "small-files",
        "bronze",
        figures(**SMALL, oldest_snapshot=ago(3 * 86400), compacted=ago(3600)),
        Status.WARNING,
        "8,000 of 9,000 data files are smaller than 16 MiB",
        figures(**{**SMALL, "small_files": 5000}, oldest_snapshot=ago(3 * 86400)),
        "EXECUTE optimize",
    ),
    Case(
        "delete-files",
        "silver",
        figures(delete_files=1500, data_files=20),
        Status.WARNING,
        "1,500 delete files for 20 data files",
        figures(delete_files=900, data_files=20),
        "ALTER TABLE lake.s.o EXECUTE optimize",
    ),
    Case(
        "metadata-large",
        "silver",
        figures(metadata_bytes=80 * MIB, snapshots=10),
        Status.WARNING,
        "its metadata file has 80 MiB",
        figures(metadata_bytes=60 * MIB, snapshots=10),
    ),
    Case(
        "import-error",
        "conform",
        {"facts": {"import_error": "conform.py: NameError: x"}},
        Status.CRITICAL,
        "its file fails to load: conform.py: NameError: x",
    ),
    Case(
        "dag-late",
        "conform",
        figures(next_run_due=ago(600)),
        Status.WARNING,
        "its run of 02:50:00Z is 10m late: Airflow has not created it",
        {"figures": {"next_run_due": ago(600)}, "facts": {"paused": "yes"}, "activity": Activity.PAUSED},
        "dataops dag trigger conform",
    ),
    Case(
        "run-too-long",
        "conform",
        {
            "activity": Activity.RUNNING,
            "figures": {"run_started_at": ago(4000), "run_duration_median": 600},
            "facts": {"active_run": "r9"},
        },
        Status.WARNING,
        "its run r9 has been running for 1h 6m, longer than 30m",
        {"activity": Activity.RUNNING, "figures": {"run_started_at": ago(1700), "run_duration_median": 600}},
    ),
    Case(
        "run-queued",
        "conform",
        {"activity": Activity.QUEUED, "figures": {"run_queued_at": ago(400)}, "facts": {"active_run": "r9"}},
        Status.WARNING,
        "its run r9 has been queued for 6m 40s",
        {"activity": Activity.QUEUED, "figures": {"run_queued_at": ago(200)}, "facts": {"active_run": "r9"}},
    ),
    Case(
        "no-controller",
        "kafka",
        {"facts": {"controller": "none"}},
        Status.WARNING,
        "kafka: the cluster has no controller",
    ),
    Case(
        "offline-partitions",
        "kafka",
        {"figures": {"partitions": 9, "offline_partitions": 1}, "facts": {"offline": "other-0"}},
        Status.WARNING,
        "1 partition of 9 offline, without a leader: other-0",
    ),
    Case(
        "under-replicated",
        "kafka",
        {
            "figures": {"partitions": 9, "under_replicated_partitions": 2},
            "facts": {"under_replicated": "other-0, other-1"},
        },
        Status.WARNING,
        "2 partitions of 9 with fewer in-sync replicas",
    ),
    *(
        Case(
            f"{part.replace('_', '-')}-lost",
            "airflow",
            {"figures": {f"{part}_heartbeat": ago(90)}, "facts": {part: "unhealthy"}},
            Status.WARNING,
            f"airflow: the {part.replace('_', ' ')} sends no heartbeat",
            {"facts": {part: "healthy"}},
        )
        for part in ("scheduler", "dag_processor", "triggerer")
    ),
    Case(
        "metadatabase-lost",
        "airflow",
        {"facts": {"metadatabase": "unhealthy"}},
        Status.WARNING,
        "Airflow cannot use its metadata database",
    ),
    Case("starting", "trino", {"facts": {"starting": "yes"}}, Status.WARNING, "trino: it is still starting"),
    Case(
        "no-workers",
        "trino",
        {"facts": {"workers": "none"}},
        Status.WARNING,
        "it has fewer workers than it requires, so all queries wait",
        figures(nodes_active=1),
    ),
    Case(
        "credentials-end",
        "trino",
        {
            **figures(credentials_end=ago(-86400), credentials_due=ago(60)),
            "facts": {"credentials_end": "our token"},
        },
        Status.WARNING,
        "our token expires in 1d",
        near=figures(credentials_end=ago(-86400), credentials_due=ago(-60)),
    ),
    Case(
        "nodes-lost",
        "trino",
        {"figures": {"nodes_active": 2, "nodes_inactive": 1}, "facts": {"nodes_inactive": "w3"}},
        Status.WARNING,
        "1 node of 3 not active: w3",
    ),
    Case(
        "queries-queued",
        "trino",
        {
            "figures": {"queries_queued": 4, "queued_longest": 95, "queries_running": 1},
            "facts": {"queued": "q1 of ann is queued in resource group global"},
        },
        Status.WARNING,
        "4 queries in the queue, the oldest for 1m 35s: q1 of ann is queued in resource group global",
        figures(queries_queued=4, queued_longest=20),
    ),
    Case(
        "planning-slow",
        "trino",
        {"figures": {"planning_longest": 45}, "facts": {"planning": "q2 of ann is planning"}},
        Status.WARNING,
        "a query has been in planning for 45s: q2 of ann is planning",
        figures(planning_longest=20),
    ),
    Case(
        "queries-failed",
        "trino",
        {"figures": {"queries_failed_recent": 5}, "facts": {"failed": "ICEBERG_CANNOT_OPEN_SPLIT (5)"}},
        Status.WARNING,
        "5 queries failed within 5 minutes because of Trino or its sources: ICEBERG_CANNOT_OPEN_SPLIT (5)",
        figures(queries_failed_recent=3),
    ),
    Case(
        "late-rows",
        "land",
        figures(rows_late_recent=1200, rows_late_at=T0.timestamp()),
        Status.WARNING,
        "land: 1,200 rows dropped within 10 minutes because they were older than the watermark",
        figures(rows_late_recent=0),
    ),
    Case(
        "commit-conflicts",
        "trino",
        {
            "figures": {"commits_failed_recent": 3, "commit_failed_at": T0.timestamp()},
            "facts": {"conflict": "q3 of ann: MERGE INTO s.o"},
        },
        Status.WARNING,
        "3 writes aborted within 5 minutes because of conflicts with other writes: q3 of ann: MERGE INTO s.o",
        figures(commits_failed_recent=2),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.at}-{case.check}")
def test_what_is_wrong_is_found_where_it_is_and_nowhere_else(case: Case) -> None:
    snapshot = look({case.at: observation(case.at, T0, **case.seen)})
    (pipeline,) = snapshot.pipelines
    verdict = pipeline.verdict
    assert verdict.check_id == f"{case.at}/{case.check}"
    assert verdict.status is case.status
    assert case.says in verdict.sentence
    assert verdict.stage == (case.at if case.at in COMPONENTS else None)
    assert verdict.remedy is not None
    assert verdict.remedy.text
    assert case.command in (verdict.remedy.command or "")
    assert not [line for line in verdict.evidence if line.startswith("also:")]
    found = [f.check_id for s in pipeline.stages for f in s.findings]
    found += [f.check_id for c in snapshot.components for f in c.findings]
    assert found == [verdict.check_id], "one cause gives one finding"
    blamed = {s.name for s in pipeline.stages if s.state in (StageState.FAILED, StageState.STUCK)}
    assert blamed == ({case.at} if case.status is Status.CRITICAL else set())


@pytest.mark.parametrize("case", [case for case in CASES if case.near], ids=lambda case: f"{case.at}-{case.check}")
def test_what_is_only_near_it_is_not_found(case: Case) -> None:
    snapshot = look({case.at: observation(case.at, T0, **case.near)})
    found = [f.check for s in snapshot.pipelines[0].stages for f in s.findings]
    found += [f.check for c in snapshot.components for f in c.findings]
    assert case.check not in found


def stopped(name: str, **more: Any) -> Observation:
    """Return what is seen of a stage that has taken nothing in for 10 minutes."""
    since = T0 - seconds(600)
    return observation(
        name, T0, **{"progress_time": since, "lag_records": 5000, "pending_since": since, "advanced_at": since, **more}
    )


@pytest.mark.parametrize(
    ("at", "seen", "component", "check_id", "says"),
    [
        (
            "billing",
            figures(members=0, partitions_committed=4),
            {},
            "billing/no-members",
            "the group has no consumer",
        ),
        (
            "billing",
            {**figures(members=2, partitions_committed=0), "progress_time": None, "lag_records": None},
            {},
            "billing/never-committed",
            "has 2 members, but has never committed an offset on orders",
        ),
        (
            "billing",
            figures(members=2, partitions_committed=4, partitions=4, hottest_partition=3, hottest_partition_lag=4900),
            {},
            "billing/hot-partition",
            "partition 3 holds 4,900 of 5,000 unread records (98%)",
        ),
        (
            "land",
            figures(batch_duration=90, batches_timed=9),
            {},
            "land/batch-longer-than-trigger",
            "a batch takes 1m 30s",
        ),
        (
            "conform",
            {"activity": Activity.PAUSED, "lag_records": None, "pending_since": None},
            {},
            "conform/paused",
            "it is paused",
        ),
        (
            "conform",
            {"figures": {"next_run_due": ago(500)}, "lag_records": None},
            {"facts": {"scheduler": "unhealthy"}},
            "airflow/scheduler-lost",
            "airflow: the scheduler sends no heartbeat",
        ),
        (
            "conform",
            {
                "lag_records": None,
                "activity": Activity.RUNNING,
                "facts": {"task_waiting": "merge", "waits_for_pool": "etl", "slot_held_by": "load of other"},
                "figures": {"waited_pool_slots": 4, "slot_held_since": ago(90)},
            },
            {"facts": {"pools_full": "etl (slots: 4, waiting tasks: 1)"}},
            "conform/pool-full",
            "its task merge waits for a slot of the pool etl (4 slots); load of other has held one for 1m 30s",
        ),
        (
            "conform",
            {
                "lag_records": None,
                "activity": Activity.RUNNING,
                "facts": {"active_run": "r7", "task_running": "merge"},
                "figures": {
                    "run_started_at": ago(250),
                    "run_duration_median": 100,
                    "task_started_at": ago(240),
                },
            },
            {"facts": {"pools_full": "silver (slots: 1, waiting tasks: 1)"}},
            "conform/run-slow",
            "its run r7 has been running for 4m 10s, longer than usual (p50: 1m 40s)",
        ),
        (
            "view",
            {"lag_records": None, "pending_since": None},
            {"figures": {"queries_queued": 4, "queued_longest": 95}, "facts": {"queued": "q1"}},
            "trino/queries-queued",
            "4 queries in the queue",
        ),
    ],
)
def test_a_stage_that_is_stuck_is_blamed_for_the_reason_that_is_known(
    at: str, seen: dict[str, Any], component: dict[str, Any], check_id: str, says: str
) -> None:
    changes = {at: stopped(at, **seen)}
    if component:
        changes[COMPONENTS[at]] = observation(COMPONENTS[at], T0, **component)
    began, soon = T0 - seconds(600), T0 - seconds(595)
    before = look({at: observation(at, began, progress_time=None, activity=Activity.WAITING)}, began)
    before = look({at: replace(stopped(at, **seen), observed_at=soon)}, soon, before)
    snapshot = look(changes, previous=before)
    verdict = snapshot.pipelines[0].verdict
    # A component that does not do its work is the verdict itself, and the stage is affected by it.
    lost = check_id == "airflow/scheduler-lost"
    assert (verdict.status, verdict.stage, verdict.check_id) == (Status.CRITICAL, None if lost else at, check_id)
    assert says in verdict.sentence
    assert verdict.remedy is not None
    assert states(snapshot.pipelines[0])[at] is (StageState.AFFECTED if lost else StageState.STUCK)


@pytest.mark.parametrize(
    ("slots", "remedy"), [(1, "Check the log of load of other"), (4, "Add slots to the pool only")]
)
def test_a_pool_of_one_slot_is_not_to_be_enlarged(slots: int, remedy: str) -> None:
    facts = {"task_waiting": "merge", "waits_for_pool": "silver", "slot_held_by": "load of other"}
    waits = stopped(
        "conform",
        lag_records=None,
        activity=Activity.RUNNING,
        facts=facts,
        figures={"waited_pool_slots": slots, "slot_held_since": ago(720)},
    )
    full = observation("airflow", T0, facts={"pools_full": f"silver (slots: {slots}, waiting tasks: 1)"})
    verdict = look({"conform": waits, "airflow": full}).pipelines[0].verdict
    assert verdict.check_id == "conform/pool-full"
    assert verdict.remedy is not None
    assert remedy in verdict.remedy.text
    assert ("Add slots" in verdict.remedy.text) == (slots > 1)


def test_a_run_that_is_not_slower_than_usual_and_a_full_pool_elsewhere_explain_nothing() -> None:
    runs = stopped(
        "conform",
        lag_records=None,
        activity=Activity.RUNNING,
        facts={"active_run": "r7"},
        figures={"run_started_at": ago(120), "run_duration_median": 100},
    )
    full = observation("airflow", T0, facts={"pools_full": "silver (slots: 1, waiting tasks: 1)"})
    assert look({"conform": runs, "airflow": full}).pipelines[0].verdict.check_id == "conform/stuck"


def states(pipeline: PipelineHealth) -> dict[str, StageState]:
    return {s.name: s.state for s in pipeline.stages}


def test_what_only_explains_is_no_warning_by_itself() -> None:
    for at, seen in (
        ("billing", figures(members=0, partitions_committed=4)),
        ("conform", {"activity": Activity.PAUSED, "facts": {"paused": "yes"}}),
        ("prometheus", {**figures(alerts_firing=2), "notes": ("Lag since …", "Disk since …")}),
        ("alertmanager", figures(alerts_firing=1)),
        ("airflow", {**figures(import_errors=1), "facts": {"import_error_files": "x.py (NameError)"}}),
        ("airflow", {"facts": {"pools_full": "silver (slots: 1, waiting tasks: 1)"}}),
    ):
        snapshot = look({at: observation(at, T0, **seen)})
        assert snapshot.status is Status.OK, at
        told = [f for s in snapshot.pipelines[0].stages for f in s.findings]
        told += [f for c in snapshot.components for f in c.findings]
        assert len(told) == 1, at


@pytest.mark.parametrize(("fact", "check_id"), [(("workers", "none"), "no-workers"), (("starting", "yes"), "starting")])
def test_a_view_that_trino_does_not_serve_has_failed_for_trinos_own_reason(
    fact: tuple[str, str], check_id: str
) -> None:
    view = observation("view", T0, failure="the query did not finish within 8s")
    verdict = look({"view": view, "trino": observation("trino", T0, facts=dict([fact]))}).pipelines[0].verdict
    assert (verdict.status, verdict.stage, verdict.check_id) == (Status.CRITICAL, None, f"trino/{check_id}")
    assert verdict.component == "trino"
    assert verdict.sentence.endswith("; failed: view")
    assert verdict.remedy is not None
    dag = observation("conform", T0, failure="the run of 02:50 failed")
    verdict = look({"conform": dag, "airflow": observation("airflow", T0, facts={"metadatabase": "unhealthy"})})
    assert verdict.pipelines[0].verdict.check_id != "airflow/metadatabase-lost", "a run may have failed before that"


def test_trino_that_serves_an_older_snapshot_than_the_catalog_has_is_told_from_the_two_ids() -> None:
    def at(committed: float, served: str) -> PipelineHealth:
        table = observation(
            "silver", T0, figures={"committed_at": ago(committed)}, facts={"table": "s.o", "snapshot_id": "2"}
        )
        view = observation("view", T0, facts={"relation": "s.o", "snapshot_id": served})
        return look({"silver": table, "view": view}).pipelines[0]

    verdict = at(100, "1").verdict
    assert verdict.check_id == "view/stale-metadata"
    assert "Trino serves snapshot 1, although 2 was committed 1m 40s before the query" in verdict.sentence
    assert at(100, "2").verdict.status is Status.OK
    assert at(5, "1").verdict.status is Status.OK, "a commit of just now may have come after the query"


def test_a_batch_that_the_table_has_and_the_checkpoint_does_not_is_told_from_the_two_numbers() -> None:
    def at(epoch: int, known: int, age: float, query: str = "q1") -> PipelineHealth:
        land = observation("land", T0, figures={"batch_committed": known}, facts={"query_id": "q1"})
        table = observation(
            "bronze", T0, figures={"epoch": epoch, "epoch_committed_at": ago(age)}, facts={"query_id": query}
        )
        return look({"land": land, "bronze": table}).pipelines[0]

    verdict = at(8, 7, 60).verdict
    assert verdict.check_id == "bronze/commit-state-unknown"
    assert (
        "batch 8 was committed to the table at 02:59:00Z, but the checkpoint of land ends with batch 7"
        in verdict.sentence
    )
    for well in (at(8, 8, 60), at(8, 7, 5), at(8, 7, 60, "q0")):
        assert well.verdict.status is Status.OK


def test_a_topic_made_anew_is_said_for_a_day() -> None:
    def seen(topic_id: str, now: datetime) -> dict[str, Observation]:
        return {"orders": observation("orders", now, facts={"topic_id": topic_id})}

    snapshot = look(seen("a", T0))
    assert snapshot.status is Status.OK
    later = T0 + seconds(5)
    snapshot = look(seen("b", later), later, snapshot)
    assert snapshot.pipelines[0].verdict.check_id == "orders/topic-recreated"
    assert "its id is b, previously a" in snapshot.pipelines[0].verdict.sentence
    much_later = T0 + timedelta(hours=23)
    snapshot = look(seen("b", much_later), much_later, snapshot)
    assert snapshot.pipelines[0].verdict.since == later
    next_day = T0 + timedelta(hours=25)
    assert look(seen("b", next_day), next_day, snapshot).status is Status.OK


@pytest.mark.parametrize("failure", [f for f in FAILURES if f.kind != "not_found"], ids=lambda f: f.name)
def test_each_way_in_which_a_component_fails_is_told_apart(failure: Any) -> None:
    snapshot = look({}, trino=failure.kind, view=failure.kind)
    verdict = snapshot.pipelines[0].verdict
    assert (verdict.status, verdict.check_id) == (Status.UNKNOWN, f"trino/{failure.name}")
    assert verdict.sentence.startswith(f"trino {failure.predicate}, so the state of view is unknown")
    assert verdict.remedy is not None
    assert "trino" in verdict.remedy.text
    assert [n for n, state in states(snapshot.pipelines[0]).items() if state is StageState.UNKNOWN] == ["view"]


def test_a_store_that_is_away_is_named_though_its_catalog_answers() -> None:
    verdict = look({}, lake_store="unreachable", bronze="unreachable").pipelines[0].verdict
    assert verdict.check_id == "lake store/unreachable"


def test_a_store_that_is_away_is_no_green_though_the_catalog_tells_all() -> None:
    verdict = look({}, lake_store="unreachable").pipelines[0].verdict
    assert (verdict.status, verdict.check_id) == (Status.UNKNOWN, "lake store/unreachable")


def test_what_several_stages_have_in_common_is_one_line() -> None:
    late = observation("conform", T0, figures={"next_run_due": ago(600)})
    due = {name: observation(name, T0, figures={"delete_files": 5000}) for name in ("bronze", "silver")}
    verdict = look({"conform": late, **due}).pipelines[0].verdict
    (line,) = [each for each in verdict.evidence if "delete files" in each]
    assert line.startswith("also: bronze, silver: 5,000 delete files")


def test_a_look_that_failed_does_not_make_a_finding_forgotten() -> None:
    snapshot = look({"orders": observation("orders", T0, facts={"topic_id": "a"})})
    for n, failure in enumerate((None, "timed_out", None), start=1):
        at = T0 + seconds(5 * n)
        failed = {} if failure is None else {"orders": failure}
        snapshot = look({"orders": observation("orders", at, facts={"topic_id": "b"})}, at, snapshot, **failed)
    verdict = snapshot.pipelines[0].verdict
    assert (verdict.check_id, verdict.since) == ("orders/topic-recreated", T0 + seconds(5))


def test_a_stage_that_is_not_there_is_told_apart_from_one_that_cannot_be_seen() -> None:
    verdict = look({}, bronze="not_found").pipelines[0].verdict
    assert verdict.check_id == "bronze/not-found"
    assert verdict.remedy is not None


def test_what_is_at_risk_comes_before_what_is_behind_and_maintenance_after_it() -> None:
    behind = observation("land", T0, progress_time=T0 - seconds(100), advanced_at=T0, lag_records=5)
    due = observation("silver", T0, figures={"delete_files": 5000})
    risk = observation("conform", T0, figures={"next_run_due": ago(600)})
    assert look({"land": behind, "silver": due}).pipelines[0].verdict.check_id == "land/behind"
    both = look({"land": behind, "silver": due, "conform": risk}).pipelines[0].verdict
    assert both.check_id == "conform/dag-late"
    assert any(line.startswith("also: silver: 5,000 delete files") for line in both.evidence)


def test_the_same_finding_keeps_the_time_of_the_first_one() -> None:
    due = {"figures": {"delete_files": 5000}}
    first = look({"silver": observation("silver", T0, **due)})
    later = T0 + seconds(30)
    second = look({"silver": observation("silver", later, **due)}, later, first)
    assert second.pipelines[0].verdict.since == T0


def test_every_check_is_made_to_find_something_here() -> None:
    elsewhere = {"no-members", "never-committed", "paused", "alerts-firing", "import-errors", "pool-full", "run-slow"}
    elsewhere |= {"stale-metadata", "commit-state-unknown"}
    elsewhere |= {"status-not-ok", "progress-in-future", "backlog-large"}  # test_http_documents.py
    elsewhere |= {"objects-waiting"}  # test_object_prefixes.py
    elsewhere |= {"plugin-critical", "plugin-warning"}  # tests of the system `command`
    elsewhere |= {check.name for check in (*CONNECT_CHECKS, *CONNECTOR_CHECKS)}  # test_connect.py
    elsewhere |= {check.name for check in (*DBT_CHECKS, *MODEL_CHECKS, *SOURCE_CHECKS)}  # test_dbt.py
    elsewhere |= {check.name for check in DELTA_CHECKS} - {"small-files"}  # test_delta.py, and here of Iceberg
    elsewhere |= {check.name for check in (*FLINK_CHECKS, *JOB_CHECKS)}  # test_flink.py
    elsewhere |= {check.name for check in BATCH_CHECKS} - {"run-too-long"}  # test_spark_history.py, and here of DAGs
    assert {check.name for check, _ in registry().checks()} - elsewhere == {case.check for case in CASES}
