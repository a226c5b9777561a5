"""What is told beyond the pipelines: what is picked, what is bounded, and that one failure costs no other series."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import generate_latest
from tests import exposition
from tests.exposition import dags, group, kafka, partition

from dataops_core.config import ExporterSettings
from dataops_core.errors import Unreachable
from dataops_core.systems.kafka.model import ClusterSnapshot, Topic
from dataops_exporter.cluster_scan import ClusterScan, ScanResult, airflow_samples, kafka_samples, with_component
from dataops_exporter.collector import snapshot_samples
from dataops_exporter.exposition import registry_of

Found = dict[tuple[str, ...], float]


def found(answer: ScanResult) -> Found:
    """Return the values by name and labels."""
    return {(s[0].name, *s[1]): s[2] for s in (*answer.own, *answer.shared) if s[2] is not None}


def told(snapshot: ClusterSnapshot | None = None, **settings: Any) -> Found:
    return found(kafka_samples(snapshot or kafka(), ExporterSettings.model_validate(settings), "test"))


def names(of: Found) -> set[str]:
    return {key[0] for key in of}


def test_lags_are_sums_over_what_is_known() -> None:
    of = told(groups={"granularity": "partition"})
    assert of["dataops_kafka_group_partition_lag_records", "billing", "orders", "0"] == 10
    assert of["dataops_kafka_group_topic_lag_records", "billing", "orders"] == 10
    assert of["dataops_kafka_group_lag_records", "billing"] == 10
    assert of["dataops_kafka_group_lag_seconds", "billing"] == 10
    assert of["dataops_kafka_group_topic_committed_offset", "billing", "orders"] == 140
    assert of["dataops_kafka_topic_under_replicated_partitions", "orders"] == 1


def test_the_lag_of_a_commit_beyond_the_end_is_unknown_and_not_0() -> None:
    of = told(kafka(groups=(group("billing", p0=120, p1=40),)), groups={"granularity": "partition"})
    assert ("dataops_kafka_group_lag_records", "billing") not in of
    assert ("dataops_kafka_group_lag_seconds", "billing") not in of
    assert ("dataops_kafka_group_topic_lag_seconds", "billing", "orders") not in of
    assert ("dataops_kafka_group_partition_lag_records", "billing", "orders", "0") not in of
    assert of["dataops_kafka_group_partition_lag_records", "billing", "orders", "1"] == 10


def test_a_partition_without_a_commit_counts_from_its_beginning() -> None:
    of = told(kafka(groups=(group("billing", p1=50),)), groups={"granularity": "partition"})
    assert of["dataops_kafka_group_partition_lag_records", "billing", "orders", "0"] == 90
    assert ("dataops_kafka_group_partition_committed_offset", "billing", "orders", "0") not in of
    assert of["dataops_kafka_group_topic_committed_offset", "billing", "orders"] == 50


def test_records_that_retention_deleted_do_not_wait() -> None:
    of = told(kafka(groups=(group("billing", p0=2, p1=50),)))
    assert of["dataops_kafka_group_lag_records", "billing"] == 90


def test_one_partition_that_is_not_told_costs_its_own_series_and_the_sums_over_it() -> None:
    orders = Topic("orders", (partition(0, 10, None), partition(1, 0, 50)))
    of = told(kafka((orders,)), groups={"granularity": "partition"}, topics={"granularity": "partition"})
    assert ("dataops_kafka_topic_high_watermark", "orders") not in of
    assert ("dataops_kafka_group_topic_lag_records", "billing", "orders") not in of
    assert ("dataops_kafka_group_lag_records", "billing") not in of
    assert ("dataops_kafka_partition_high_watermark", "orders", "0") not in of
    assert of["dataops_kafka_partition_high_watermark", "orders", "1"] == 50
    assert of["dataops_kafka_group_partition_lag_records", "billing", "orders", "1"] == 0
    assert of["dataops_kafka_topic_low_watermark", "orders"] == 10


def test_a_group_that_is_not_told_has_no_members_and_no_state() -> None:
    of = told(replace(kafka(), failures=("Group authorization failed",)))
    assert of["dataops_exporter_survey_failures",] == 1
    assert ("dataops_kafka_group_members", "untold") not in of
    assert of["dataops_kafka_group_members", "billing"] == 1
    assert of["dataops_exporter_objects", "groups", "exported"] == 2


@pytest.mark.parametrize(
    ("granularity", "there", "not_there"),
    [
        ("group", "dataops_kafka_group_lag_records", "dataops_kafka_group_topic_lag_records"),
        ("topic", "dataops_kafka_group_topic_lag_records", "dataops_kafka_group_partition_lag_records"),
    ],
)
def test_granularity_bounds_what_a_group_costs(granularity: str, there: str, not_there: str) -> None:
    of = names(told(groups={"granularity": granularity}))
    assert there in of
    assert not_there not in of


def test_the_lists_match_whole_names_and_what_they_keep_out_is_counted() -> None:
    of = told(topics={"allow": ["order.*", "pay"], "deny": ["x"]})
    topics = {key[1] for key in of if key[0] == "dataops_kafka_topic_partitions"}
    assert topics == {"orders"}, "`pay` is not the whole of `payments`"
    assert of["dataops_exporter_objects", "topics", "denied"] == 3, "one here, two that were not asked for"


def test_what_is_over_the_limit_is_left_out_whole_and_counted() -> None:
    settings = {"topics": {"granularity": "partition"}}
    whole = {
        key: value for key, value in told(**settings).items() if key[0].startswith("dataops_kafka_") and len(key) > 1
    }
    of_orders = sum(key[1] == "orders" for key in whole if "group" not in key[0])
    of_payments = sum(key[1] == "payments" for key in whole if "group" not in key[0])
    of = told(**settings, max_series=of_orders)
    assert of["dataops_kafka_topic_partitions", "orders"] == 2
    assert ("dataops_kafka_topic_partitions", "payments") not in of
    assert of["dataops_exporter_objects", "topics", "exported"] == 1
    assert of["dataops_exporter_objects", "topics", "dropped"] == 1
    assert of["dataops_exporter_dropped_series", "topics"] == of_payments
    assert of["dataops_exporter_dropped_series", "groups"] == 0


def test_two_clusters_share_their_families_and_each_series_names_its_own() -> None:
    settings = ExporterSettings()
    both = [with_component(kafka_samples(kafka(), settings, "test"), name) for name in ("central", "edge")]
    assert all(not answer.own for answer in both)
    text = generate_latest(registry_of(lambda: [*both[0].shared, *both[1].shared])).decode()
    assert text.count("# TYPE dataops_kafka_brokers gauge") == 1
    assert 'dataops_kafka_brokers{component="central"}' in text
    assert 'dataops_kafka_brokers{component="edge"}' in text


def test_no_dialect_is_spoken_unless_asked_for() -> None:
    assert all(name.startswith("dataops_") for name in names(told()))
    assert "kafka_consumergroup_lag_sum" in names(told(dialects=["kafka_exporter"]))
    assert not any(name.startswith("kminion_") for name in names(told(dialects=["kafka_exporter"])))


def test_dags_are_counted_by_state_and_told_one_by_one() -> None:
    of = found(airflow_samples(dags(), datetime.now(UTC), ExporterSettings()))
    assert of["dataops_airflow_dags", "active"] == 2
    assert of["dataops_airflow_dag_state", "old", "paused"] == 1
    assert of["dataops_airflow_dag_state", "old", "active"] == 0
    assert of["dataops_airflow_dag_state", "half", "broken"] == 1
    total = ExporterSettings.model_validate({"dags": {"granularity": "total", "deny": ["old"]}})
    of = found(airflow_samples(dags(), datetime.now(UTC), total))
    assert "dataops_airflow_dag_state" not in names(of)
    assert of["dataops_airflow_dags", "paused"] == 0
    assert of["dataops_exporter_objects", "dags", "denied"] == 1


def test_tables_by_namespace_are_sums_without_times() -> None:
    seen = exposition.seen()
    tables = {"granularity": "namespace", "deny": ["lake.s.*"]}
    seen = replace(seen, exporter=ExporterSettings.model_validate({"tables": tables}))
    of = {(s[0].name, *s[1]): s[2] for s in snapshot_samples(seen)}
    assert of["dataops_iceberg_data_files", "lake", "b", ""] == 12
    assert not any(key[0] == "dataops_iceberg_commit_timestamp_seconds" for key in of)
    assert of["dataops_exporter_objects", "tables", "denied"] == 1


@pytest.mark.programs
def test_a_failed_survey_takes_back_its_series_and_says_so() -> None:
    answers: list[Callable[[], ScanResult]] = []
    asked = threading.Semaphore(0)

    def ask() -> ScanResult:
        asked.release()
        return answers.pop(0)()

    def fail() -> ScanResult:
        raise Unreachable("kafka k:1: no broker can be reached")

    answers += [lambda: kafka_samples(kafka(), ExporterSettings(), "test"), fail, fail]
    scan = ClusterScan("kafka", "k:1", ask, every=0.0)
    scan.part.body("text/plain", lambda _registry: b"asked for")
    scan.start()
    for _ in range(3):  # the third has begun: the second is done
        assert asked.acquire(timeout=60)
    scan.stop()
    of = {(s[0].name, *s[1]): s[2] for s in scan.shared}
    assert of["dataops_probe_success", "survey", "kafka k:1", "", "kafka"] == 0
    assert "dataops_exporter_survey_timestamp_seconds" not in {key[0] for key in of}
    assert list(scan.part.registry.collect()) == []


def test_a_survey_that_never_ends_says_how_often_it_is_meant_to_be_made() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hang() -> ScanResult:
        asked.set()
        go_on.wait(60)
        return ScanResult()

    scan = ClusterScan("kafka", "k:1", hang, every=30.0)
    scan.start()
    try:
        assert asked.wait(60)
        assert [(s[0].name, s[1], s[2]) for s in scan.shared] == [
            ("dataops_exporter_survey_interval_seconds", ("kafka",), 30.0)
        ]
    finally:
        scan.stop()
        go_on.set()
