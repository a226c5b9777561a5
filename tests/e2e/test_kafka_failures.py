"""What goes wrong in Kafka, made to happen on real brokers: where it is found, why, and that nothing else is blamed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from tests.brokers import SECOND, Brokers
from tests.e2e.conftest import until
from tests.ports import free_base
from tests.settings import Settings

from dataops_core.errors import NotFound
from dataops_core.health.model import PipelineHealth, StageState, Status
from dataops_core.monitor import Monitor
from dataops_core.systems.kafka import cluster, lag_time, offsets
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.cluster import scan
from dataops_core.systems.kafka.offsets import LATEST, newest, offset_bounds
from dataops_core.systems.kafka.records import Start, peek
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_local.layout import OFFSETS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
PORT_BASE = free_base([*OFFSETS.values(), OFFSETS["kafka controller"] + SECOND])


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Return two brokers; the last test of this file kills the second."""
    brokers = Brokers(tmp_path_factory.mktemp("kafka"), PORT_BASE)
    try:
        brokers.start(1)
        brokers.start(2)
        yield brokers
    finally:
        brokers.stop()


def monitor(kafka: Brokers, *stages: dict[str, Any]) -> Monitor:
    """Return a monitor of a pipeline of these stages; the first is the topic that the others read."""
    first, *others = stages
    return Monitor(
        Settings.model_validate(
            {
                "contexts": {"test": {"kafka": {"bootstrap_servers": kafka.servers}}},
                "pipelines": {
                    "p": {"context": "test", "stages": [first, *({"reads": [first["name"]], **s} for s in others)]}
                },
            }
        )
    )


def topic(name: str) -> dict[str, Any]:
    return {"name": name, "kind": "topic", "topic": name}


def group(name: str, reads: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "consumer_group", "group": name, "topic": reads, **more}


def seen(watch: Monitor) -> PipelineHealth:
    (pipeline,) = watch.once().pipelines
    return pipeline


def blamed(pipeline: PipelineHealth) -> set[str]:
    return {s.name for s in pipeline.stages if s.state in (StageState.FAILED, StageState.STUCK)}


def checkpoint(folder: Path, reads: str, offsets: dict[str, int]) -> str:
    for log, text in (
        ("offsets", "\n".join(["v1", '{"batchWatermarkMs":0}', json.dumps({reads: offsets})])),
        ("commits", 'v1\n{"nextBatchWatermarkMs":0}'),
    ):
        (folder / log).mkdir(parents=True)
        (folder / log / "0").write_text(text)
    (folder / "metadata").write_text('{"id":"q"}')
    return str(folder)


def test_all_is_well_at_first(kafka: Brokers) -> None:
    kafka.topic("well", 3)
    for partition in range(3):
        kafka.produce("well", 100, partition)
    kafka.commit("well-reader", "well", {0: 100, 1: 100, 2: 100})
    watch = monitor(kafka, topic("well"), group("well-reader", "well"))
    pipeline = seen(watch)
    assert pipeline.verdict.status is Status.OK
    source = pipeline.stage("well").observation
    assert source is not None
    assert source.measurement("records_recent") == 300
    assert (source.measurement("brokers"), source.measurement("offline_partitions")) == (2, 0)
    assert watch.latest is not None
    (component,) = watch.latest.components
    assert (component.detail or "").startswith("2 brokers, controller "), "KRaft names any broker"


def test_a_survey_in_many_calls_has_all_watermarks(kafka: Brokers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "CALL_SIZE", 2)
    kafka.topic("surveyed", 5)
    kafka.produce("surveyed", 50, 4)
    kafka.commit("surveyor", "surveyed", {4: 20})
    client = KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers))
    found = scan(client, lambda name: name == "surveyed", lambda name: name == "surveyor")
    assert [(p.low, p.high) for p in found.topics["surveyed"].partitions] == [(0, 0)] * 4 + [(0, 50)]
    assert found.groups["surveyor"].lag == 30
    assert client.topic("surveyed").records == 50


def test_retention_that_has_overtaken_a_reader(kafka: Brokers) -> None:
    kafka.topic("overtaken")
    kafka.produce("overtaken", 100)
    kafka.commit("slow-reader", "overtaken", {0: 10})
    deleted = kafka.admin.delete_records([TopicPartition("overtaken", 0, 60)])
    for future in deleted.values():
        future.result(20)
    pipeline = seen(monitor(kafka, topic("overtaken"), group("slow-reader", "overtaken")))
    verdict = pipeline.verdict
    assert (verdict.status, verdict.check_id) == (Status.CRITICAL, "slow-reader/retention-overtook")
    assert "retention has deleted 50 records that it had not read, in partition 0" in verdict.sentence
    assert blamed(pipeline) == {"slow-reader"}


def test_retention_that_is_about_to_overtake_a_reader(kafka: Brokers) -> None:
    kafka.topic("expiring", retention_ms="100000", message_timestamp_type="CreateTime")
    kafka.produce("expiring", 5, at=time.time() - 90)
    kafka.produce("expiring", 5)
    kafka.commit("late-reader", "expiring", {0: 1})
    stage = group("late-reader", "expiring", stall_after=1000, lag_ok=1000)
    pipeline = seen(monitor(kafka, topic("expiring"), stage))
    verdict = pipeline.verdict
    assert (verdict.status, verdict.check_id) == (Status.WARNING, "late-reader/retention-near")
    assert "retention deletes records of expiring after 1m 40s" in verdict.sentence
    assert verdict.remedy is not None
    assert f"--bootstrap-server {kafka.servers} --alter" in (verdict.remedy.command or "")
    assert blamed(pipeline) == set()


def test_a_topic_that_was_made_anew_under_its_readers(kafka: Brokers, tmp_path: Path) -> None:
    kafka.topic("anew")
    kafka.produce("anew", 100)
    query = {
        "name": "query",
        "kind": "spark_query",
        "checkpoint": checkpoint(tmp_path / "checkpoint", "anew", {"0": 100}),
    }
    watch = monitor(kafka, topic("anew"), query)
    assert seen(watch).verdict.status is Status.OK
    kafka.admin.delete_topics(["anew"])["anew"].result(20)
    until("the topic is deleted", lambda: kafka.brokers_with("anew"), lambda nodes: not nodes, 20)
    kafka.topic("anew")
    kafka.produce("anew", 3)
    verdict = seen(watch).verdict
    assert (verdict.status, verdict.check_id) == (Status.CRITICAL, "query/topic-recreated")
    assert "anew-0 was read up to 100, and ends at 3" in verdict.sentence
    assert any("also: anew: was deleted and re-created" in line for line in verdict.evidence)
    kafka.produce("anew", 200)
    later = seen(watch).verdict
    assert later.check_id == "anew/topic-recreated", "it has grown beyond the old position: the topic's id still tells"


def test_a_partition_that_gets_nearly_everything(kafka: Brokers) -> None:
    kafka.topic("skewed", 4)
    kafka.produce("skewed", 5000, 2)
    for partition in (0, 1, 3):
        kafka.produce("skewed", 10, partition)
    kafka.commit("even-reader", "skewed", {0: 10, 1: 10, 2: 5000, 3: 10})
    verdict = seen(monitor(kafka, topic("skewed"), group("even-reader", "skewed"))).verdict
    assert (verdict.status, verdict.check_id) == (Status.WARNING, "skewed/hot-partition")
    assert "partition 2 got 5,000 of 5,030 records" in verdict.sentence


def test_what_waits_behind_a_quiet_time_and_a_transaction(kafka: Brokers) -> None:
    """The marks of a transaction have offsets and are no records: looking for one does not wait for the deadline."""
    kafka.topic("quiet")
    hour_ago = time.time() - 3600
    kafka.produce("quiet", 3, at=hour_ago)
    producer = Producer({"bootstrap.servers": kafka.servers, "transactional.id": "t", "log_level": 0})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce("quiet", b"{}", timestamp=int((hour_ago + 60) * 1000))
    producer.commit_transaction(20)  # offset 3, and its mark at 4
    kafka.commit("at-the-mark", "quiet", {0: 4})
    began = time.monotonic()
    stage = seen(monitor(kafka, topic("quiet"), group("at-the-mark", "quiet"))).stage("at-the-mark")
    assert stage.observation is not None
    assert stage.observation.lag_records == 0
    assert stage.observation.pending_since is None
    assert stage.state in (StageState.IDLE, StageState.CAUGHT_UP), "a mark is no record that waits"
    assert time.monotonic() - began < 5, "it looked until the deadline for a record that there is not"

    kafka.produce("quiet", 1)
    stage = seen(monitor(kafka, topic("quiet"), group("at-the-mark", "quiet"))).stage("at-the-mark")
    assert stage.observation is not None
    assert stage.observation.pending_since is not None
    assert stage.observation.newest_passed is not None
    assert stage.observation.newest_passed.timestamp() == pytest.approx(hour_ago + 60, abs=0.01)
    assert stage.observation.pending_since.timestamp() > hour_ago + 3000


def test_what_an_open_transaction_has_written_waits(kafka: Brokers) -> None:
    """Who reads what is committed cannot read it, and does not pass it: a hung producer must not look like an end."""
    kafka.topic("open")
    kafka.produce("open", 3, at=time.time() - 3600)
    producer = Producer({"bootstrap.servers": kafka.servers, "transactional.id": "open", "log_level": 0})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce("open", b"{}")
    producer.flush(20)
    kafka.commit("before-it", "open", {0: 3})
    stage = seen(monitor(kafka, topic("open"), group("before-it", "open"))).stage("before-it")
    assert stage.observation is not None
    assert stage.observation.lag_records == 1
    assert stage.state is StageState.UNKNOWN
    producer.abort_transaction(20)


def lags(kafka: Brokers, name: str, reads: str) -> list[int | None]:
    """Return a group's lag as the probe, both lists, and the exporter's scan have it."""
    client = KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers))
    stage = seen(monitor(kafka, topic(reads), group(name, reads))).stage(name)
    assert stage.observation is not None
    (listed,) = (each for each in cluster.groups(client) if each.name == name)
    scanned = scan(client, lambda _: True, lambda _: True).groups[name]
    return [stage.observation.lag_records, cluster.group(client, name).lag, listed.lag, scanned.lag]


def test_all_have_one_lag_of_a_topic_with_transactions(kafka: Brokers) -> None:
    kafka.topic("tx", 2)
    producer = Producer({"bootstrap.servers": kafka.servers, "transactional.id": "tx", "log_level": 0})
    producer.init_transactions(20)

    def transaction(*, commits: bool = True) -> None:
        producer.begin_transaction()
        for partition in range(2):
            producer.produce("tx", b"{}", partition=partition)
        producer.flush(20)
        producer.commit_transaction(20) if commits else producer.abort_transaction(20)

    transaction()
    transaction()  # records at offsets 0 and 2, markers at 1 and 3
    kafka.commit("tx-reader", "tx", {0: 3, 1: 3})
    assert lags(kafka, "tx-reader", "tx") == [0, 0, 0, 0], "a marker is no record that waits"
    transaction(commits=False)  # records that nobody gets at offset 4, markers at 5
    assert lags(kafka, "tx-reader", "tx") == [0, 0, 0, 0], "nor is what was aborted"
    kafka.commit("tx-behind", "tx", {0: 0, 1: 3})
    assert lags(kafka, "tx-behind", "tx") == [6, 6, 6, 6]
    assert lags(kafka, "tx-reader", "tx") == [0, 0, 0, 0], "beside a group that lags in the same partition"
    transaction()
    assert lags(kafka, "tx-reader", "tx") == [10, 10, 10, 10]
    producer.begin_transaction()
    producer.produce("tx", b"{}", partition=0)
    producer.flush(20)
    kafka.commit("tx-reader", "tx", {0: 8, 1: 8})
    assert lags(kafka, "tx-reader", "tx") == [1, 1, 1, 1], "what an open transaction has written waits"
    producer.abort_transaction(20)


def test_all_have_one_lag_of_a_topic_without_transactions(kafka: Brokers) -> None:
    kafka.topic("plain", 3)
    for partition in range(3):
        kafka.produce("plain", 10, partition)
    kafka.commit("plain-reader", "plain", {0: 10, 1: 4})
    assert lags(kafka, "plain-reader", "plain") == [16, 16, 16, 16], "without a commit all of a partition waits"
    deleted = kafka.admin.delete_records([TopicPartition("plain", 1, 8)])
    for future in deleted.values():
        future.result(20)
    assert lags(kafka, "plain-reader", "plain") == [12, 12, 12, 12], "what retention deleted waits no more"


def test_all_have_one_lag_in_seconds(kafka: Brokers, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka.topic("timed", 2)
    kafka.produce("timed", 10, 0, at=time.time() - 3600)
    kafka.produce("timed", 10, 0, at=time.time() - 600)
    kafka.commit("timed-reader", "timed", {0: 4, 1: 0})
    kafka.commit("timed-second", "timed", {0: 12, 1: 0})
    kafka.commit("timed-done", "timed", {0: 20, 1: 0})
    client = KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers))

    def listed(client: KafkaClient) -> dict[str, float | None]:
        return {g.name: g.lag_seconds for g in cluster.groups(client) if g.name.startswith("timed-")}

    expected = {"timed-reader": pytest.approx(3600, abs=60), "timed-second": pytest.approx(600, abs=60)}
    assert listed(client) == {**expected, "timed-done": 0.0}
    of_one = KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers))
    assert cluster.group(of_one, "timed-reader").lag_seconds == expected["timed-reader"]
    stage = seen(monitor(kafka, topic("timed"), group("timed-reader", "timed"))).stage("timed-reader")
    assert stage.observation is not None
    assert stage.observation.pending_since is not None
    assert time.time() - stage.observation.pending_since.timestamp() == expected["timed-reader"]

    reads: list[object] = []
    read = lag_time.first_records
    monkeypatch.setattr(lag_time, "first_records", lambda c, offsets: reads.append(offsets) or read(c, offsets))
    time.sleep(1.1)
    kafka.produce("timed", 10, 0, at=time.time() - 86_400)  # producers send any time: the scans decide
    scanned = scan(client, lambda _: True, lambda _: True).groups
    assert {name: scanned[name].lag_seconds for name in expected} == expected
    done = scanned["timed-done"].lag_seconds
    assert done is not None
    assert 0 < done < 30, "between the scan before its first unread record and this one"
    assert not reads, "later scans read no records"


def test_the_lag_behind_a_recreated_topic_is_unknown_everywhere_and_says_why(kafka: Brokers) -> None:
    kafka.topic("reborn")
    kafka.produce("reborn", 3)
    kafka.commit("reborn-reader", "reborn", {0: 100})
    assert lags(kafka, "reborn-reader", "reborn") == [None] * 4
    found = cluster.group(KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers)), "reborn-reader")
    assert found.notes == ("reborn-0: committed beyond the end at 3: the topic was re-created or truncated",)
    verdict = seen(monitor(kafka, topic("reborn"), group("reborn-reader", "reborn"))).verdict
    assert verdict.check_id == "reborn-reader/topic-recreated"


def test_a_timestamp_that_is_no_time_hides_no_other_topic(kafka: Brokers) -> None:
    longest = 2**63 - 1
    kafka.topic("micros", 2, message_timestamp_type="CreateTime", message_timestamp_after_max_ms=str(longest))
    producer = Producer({"bootstrap.servers": kafka.servers, "log_level": 0})
    microseconds = int(time.time() * 1_000_000)
    producer.produce("micros", b"{}", partition=0, timestamp=microseconds)
    producer.produce("micros", b"{}", partition=1, timestamp=longest)
    assert producer.flush(60) == 0
    client = KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers))
    listed = {each.name: each for each in cluster.topics(client)}
    assert "well" in listed
    assert [str(p.newest) for p in listed["micros"].partitions] == [
        f"unknown ({microseconds} ms)",
        f"unknown ({longest} ms)",
    ]
    records = [
        record for batch, _ in peek(client, "micros", Start(offset=0), Event(), follow=False) for record in batch
    ]
    assert {str(record.time) for record in records} == {f"unknown ({microseconds} ms)", f"unknown ({longest} ms)"}
    stage = seen(monitor(kafka, topic("micros"))).stage("micros")
    assert stage.error is None
    assert stage.observation is not None
    assert stage.observation.progress_time is None
    assert f"{longest} ms, which is out of range" in " ".join(stage.observation.notes)


def test_an_error_names_the_topic_and_the_group(kafka: Brokers) -> None:
    client = KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers))
    for ask, text in (
        (lambda: client.topic("nope"), "no topic nope"),
        (lambda: cluster.topic(client, "nope"), "no topic nope"),
        (lambda: client.send("nope", b"", b""), "no topic nope"),
        (lambda: cluster.group(client, "nobody"), "no consumer group nobody"),
        (lambda: client.group("nobody"), "no consumer group nobody"),
    ):
        with pytest.raises(NotFound, match=text):
            ask()


def test_a_producer_whose_clock_is_ahead(kafka: Brokers) -> None:
    kafka.topic("ahead", message_timestamp_type="CreateTime", message_timestamp_after_max_ms="9000000")
    kafka.produce("ahead", 1, at=time.time() + 7200)
    verdict = seen(monitor(kafka, topic("ahead"))).verdict
    assert (verdict.status, verdict.check_id) == (Status.WARNING, "ahead/clock-ahead")


def test_a_group_without_a_commit_is_told_apart_from_one_without_a_member(kafka: Brokers) -> None:
    kafka.topic("read")
    kafka.produce("read", 10)
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.servers,
            "group.id": "readers",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.subscribe(["read"])
    try:
        assert until("a record", lambda: consumer.poll(1.0), lambda message: message is not None, 30) is not None
        stage = group("readers", "read", stall_after=0.001)
        never = seen(monitor(kafka, topic("read"), stage)).stage("readers")
        assert [f.check for f in never.findings] == ["never-committed"]
        assert never.observation is not None
        assert never.observation.lag_records is None, "what was never committed is not a huge lag"
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()
    verdict = seen(monitor(kafka, topic("read"), stage)).verdict
    assert (verdict.status, verdict.check_id, verdict.stage) == (Status.CRITICAL, "readers/no-members", "readers")
    assert "the group has no consumer" in verdict.sentence


def test_a_broker_that_hangs_costs_its_own_partitions_alone(kafka: Brokers) -> None:
    kafka.topic("halved", replicas=[[1], [2]])
    kafka.produce("halved", 10, 0)
    kafka.produce("halved", 20, 1)
    client = KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers), timeout=6)
    leaders = {("halved", 0): 1, ("halved", 1): 2}
    assert offset_bounds(client, leaders, LATEST) == ([{("halved", 0): 10, ("halved", 1): 20}], {})
    assert [partition.records for partition in cluster.topic(client, "halved").partitions] == [10, 20]
    with kafka.hangs(2):  # the client has a connection to both brokers
        (high,), failures = offset_bounds(client, leaders, LATEST)
        times, without_time = newest(client, leaders)
        there, hanging = cluster.topic(client, "halved").partitions
    assert list(times) == [("halved", 0)]
    assert list(without_time) == [("halved", 1)]
    assert high == {("halved", 0): 10}
    assert (there.records, there.newest is not None, there.unreadable) == (10, True, None)
    assert hanging.records is None
    assert hanging.unreadable or hanging.leader < 0, "the row says why"
    ((place, error),) = failures.items()
    assert place == ("halved", 1)
    assert error.name() in ("_TIMED_OUT", "_TIMED_OUT_QUEUE")  # as far as the request had come
    until("both brokers", lambda: offset_bounds(client, leaders, LATEST), lambda results: not results[1], 10)


def test_partitions_that_lose_their_broker(kafka: Brokers) -> None:
    kafka.topic("replicated", replicas=[[1, 2]])
    kafka.topic("unreplicated", replicas=[[1], [2]])
    kafka.produce("replicated", 10)
    kafka.produce("unreplicated", 10)
    kafka.topic("moving", replicas=[[2, 1]])
    kafka.produce("moving", 10)
    client = KafkaClient(KafkaSettings(bootstrap_servers=kafka.servers))
    (before,) = client.topic("moving").partitions
    assert (before.leader, before.records) == (2, 10)
    kafka.kill(2)
    under = until(
        "under-replicated",
        lambda: seen(monitor(kafka, topic("replicated"))),
        lambda pipeline: pipeline.verdict.status is not Status.OK,
        30,
    )
    assert (under.verdict.status, under.verdict.check_id) == (Status.WARNING, "replicated/under-replicated")
    assert "live brokers: 1" in under.verdict.evidence
    offline = seen(monitor(kafka, topic("unreplicated")))
    assert (offline.verdict.status, offline.verdict.check_id) == (Status.CRITICAL, "unreplicated/offline-partitions")
    assert "1 partition of 2 offline, without a leader: 1" in offline.verdict.sentence
    source = offline.stage("unreplicated").observation
    assert source is not None
    assert source.measurement("records_kept") == 10, "what can be read is read"
    moved = until("the new leader", lambda: client.topic("moving"), lambda found: found.partitions[0].leader == 1, 30)
    assert moved.partitions[0].records == 10, "of the leader that it has now"
