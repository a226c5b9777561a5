"""Error paths of the Kafka client: whatever object the library hands over, it becomes one clear line of ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from confluent_kafka import OFFSET_INVALID, ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    DataopsError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.systems.kafka import cluster, connection
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.errors import kafka_error, reason
from dataops_core.systems.kafka.model import ConsumerGroup
from dataops_core.systems.kafka.offsets import first_records, newest, offset_bounds
from dataops_core.systems.kafka.settings import KafkaSettings

CODES = [value for name in dir(KafkaError) if isinstance(value := getattr(KafkaError, name), int)]
DENIED = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
LOADING = KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
SHAPES: list[Callable[[KafkaError], object]] = [
    lambda error: error,
    KafkaException,
    lambda error: KafkaException(KafkaException(error)),
    lambda error: KafkaException(error, "more"),
]
"""Ways in which the library hands an error over: itself, raised, or put into an answer as either class."""


@given(st.sampled_from(CODES), st.sampled_from(SHAPES))
def test_every_code_in_every_shape_is_an_error_of_ours_in_one_line(
    code: int, shape: Callable[[KafkaError], object]
) -> None:
    client = KafkaClient(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    error = client.translated(shape(KafkaError(code, "line one\nline two")), "topic orders")
    assert isinstance(error, ClientError)
    assert "\n" not in str(error)
    assert str(error).startswith("kafka 127.0.0.1:1: ")


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (KafkaException(), "no reason"),
        (KafkaException("Consumer closed"), "Consumer closed"),
        (KafkaException(7), "int: 7"),
        (ValueError("odd"), "ValueError: odd"),
        (None, "NoneType: None"),
        (KafkaError(KafkaError.GROUP_ID_NOT_FOUND, ""), "GROUP_ID_NOT_FOUND"),
        (KafkaError(KafkaError.GROUP_ID_NOT_FOUND), "Broker: The group id does not exist"),
    ],
)
def test_an_error_of_another_shape_is_read_too(raised: object, text: str) -> None:
    assert isinstance(kafka_error(raised), KafkaError)
    assert reason(raised) == text


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, NotFound, "no topic orders"),
        (KafkaError._UNKNOWN_TOPIC, NotFound, "no topic orders"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, PermissionDenied, "topic orders: Broker: Topic authorization failed"),
        (KafkaError.TOPIC_EXCEPTION, BadAnswer, "topic orders: Broker: Invalid topic"),
        (KafkaError._ALL_BROKERS_DOWN, Unreachable, "no broker can be reached"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, AuthenticationFailed, "Broker: SASL Authentication failed"),
        (KafkaError._TIMED_OUT_QUEUE, TimedOut, "no response within 8s"),
    ],
)
def test_an_error_names_the_object_and_has_its_class(code: int, kind: type[DataopsError], text: str) -> None:
    client = KafkaClient(KafkaSettings(bootstrap_servers="k:1"))
    error = client.translated(KafkaException(KafkaError(code)), "topic orders")
    assert type(error) is kind
    assert text in str(error)


def done(result: object) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


class Admin:
    """The library's admin client, whose answers hold errors."""

    def __init__(
        self, listing_errors: Iterable[object], described: dict[str, object], committed: dict[str, object]
    ) -> None:
        self._listing_errors = list(listing_errors)
        self._described = described
        self._committed = committed

    def poll(self, _timeout: float) -> None:
        """Meet with nothing."""

    def describe_cluster(self, **_: object) -> Future[Any]:
        return done(SimpleNamespace(cluster_id="c", controller=None, nodes=[]))

    def list_consumer_groups(self, **_: object) -> Future[Any]:
        names = [SimpleNamespace(group_id=name) for name in self._described]
        return done(SimpleNamespace(valid=names, errors=self._listing_errors))

    def describe_consumer_groups(self, names: list[str], **_: object) -> dict[str, Future[Any]]:
        return {name: done(self._described[name]) for name in names}

    def list_consumer_group_offsets(self, asked: list[Any], **_: object) -> dict[str, Future[Any]]:
        return {each.group_id: done(self._committed[each.group_id]) for each in asked}

    def list_topics(self, *_: object, **__: object) -> Any:
        refused = SimpleNamespace(error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), partitions={})
        offline = SimpleNamespace(id=0, leader=-1, replicas=[1], isrs=[])
        return SimpleNamespace(
            brokers={},
            topics={"secret": refused, "down": SimpleNamespace(error=None, partitions={0: offline})},
        )

    def list_offsets(self, asked: dict[TopicPartition, object], **_: object) -> dict[TopicPartition, Future[Any]]:
        answers = [
            done(KafkaException(LOADING)),
            done(KafkaException(KafkaError(KafkaError.UNSUPPORTED_VERSION))),
            done(SimpleNamespace(offset=6, timestamp=2**63 - 1)),
            done(SimpleNamespace(offset=-1, timestamp=-1)),
            done(TimeoutError()),
            done(SimpleNamespace(offset=OFFSET_INVALID, timestamp=-1)),
        ]
        return dict(zip(asked, answers, strict=False))


def about(state: str = "STABLE") -> object:
    return SimpleNamespace(state=ConsumerGroupState[state], members=[], partition_assignor="range", coordinator=None)


def commits(*at: TopicPartition) -> object:
    return SimpleNamespace(topic_partitions=list(at))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> KafkaClient:
    admin = Admin(
        [KafkaException(LOADING), LOADING, KafkaException("lost"), KafkaException()],
        {"a": about(), "b": KafkaException(DENIED), "c": about("EMPTY")},
        {"a": commits(TopicPartition("down", 0, 7)), "b": KafkaException(DENIED), "c": TimeoutError()},
    )
    found = KafkaClient(KafkaSettings(bootstrap_servers="k:1"))
    monkeypatch.setattr(found, "_client", lambda: admin)
    return found


def test_a_listing_with_errors_lists_what_it_can_and_says_what_it_cannot(client: KafkaClient) -> None:
    found = {group.name: group for group in cluster.groups(client)}
    assert found["b"].unreadable == "Broker: Group authorization failed"
    assert (found["b"].state, found["b"].members, found["b"].lag) == (None, None, None)
    assert (found["c"].state, found["c"].unreadable) == ("EMPTY", "no response within 8s")
    assert found["a"].unreadable is None
    assert found["a"].lag is None, "a partition without a leader has no end: unknown is not 0"
    unlisted = [group.unreadable for group in cluster.groups(client) if group.name == cluster.UNLISTED]
    assert unlisted == ["Broker: Coordinator load in progress", "lost", "no reason"]


def test_a_scan_goes_on_after_errors_of_either_class(client: KafkaClient) -> None:
    found = cluster.scan(client, lambda _: True, lambda _: True)
    assert found.failures == (
        "Broker: Coordinator load in progress",
        "lost",
        "no reason",
        "Broker: Group authorization failed",
        "no response within 8s",
    )
    assert set(found.groups) == {"a", "b", "c"}
    assert set(found.topics) == {"down"}


def test_a_topic_that_may_not_be_read_is_a_row_that_says_why(client: KafkaClient) -> None:
    down, secret = cluster.topics(client)
    assert (down.unreadable, down.offline) == (None, (0,))
    assert secret.unreadable == "Broker: Topic authorization failed"
    assert (secret.records, secret.newest) == (None, None)


def test_one_partition_that_fails_costs_its_own_time_alone(client: KafkaClient) -> None:
    times, failures = newest(client, {("t", number): 1 for number in range(6)})
    assert {number for _, number in failures} == {0, 4, 5}, "a broker that is too old for the question is no failure"
    assert failures["t", 5].code() == KafkaError._TIMED_OUT, "the library has no error for a leader without a response"
    assert str(times["t", 2]) == f"unknown ({2**63 - 1} ms)"
    assert times["t", 3] is None


def test_no_partition_is_asked_for_nothing() -> None:
    assert offset_bounds(KafkaClient(KafkaSettings(bootstrap_servers="k:1")), {}, -1) == ([{}], {})


class Offsets:
    """The library's consumer for offsets, of a cluster whose leaders change and whose partition 1 may fail."""

    created: ClassVar[list[Offsets]] = []
    leaders: ClassVar[dict[int, int]] = {}
    failing: ClassVar[bool] = False

    def __init__(self, properties: dict[str, object]) -> None:
        assert properties["isolation.level"] == "read_uncommitted"
        self.created.append(self)

    def list_topics(self, *, timeout: float) -> object:
        assert timeout > 0
        partitions = {number: SimpleNamespace(leader=leader) for number, leader in self.leaders.items()}
        return SimpleNamespace(topics={"t": SimpleNamespace(partitions=partitions)})

    def offsets_for_times(self, queries: list[TopicPartition], _: float) -> list[TopicPartition]:
        return [SimpleNamespace(**self._answer(query)) for query in queries]  # type: ignore[misc]

    def _answer(self, query: TopicPartition) -> dict[str, object]:
        error = LOADING if self.failing and query.partition == 1 else None
        return {"topic": query.topic, "partition": query.partition, "offset": 7, "error": error}


@pytest.fixture
def offsets_of(monkeypatch: pytest.MonkeyPatch) -> type[Offsets]:
    monkeypatch.setattr(connection, "Consumer", Offsets)
    monkeypatch.setattr(Offsets, "created", [])
    monkeypatch.setattr(Offsets, "leaders", {0: 1, 1: 2})
    return Offsets


def test_one_consumer_reads_offsets_until_a_leader_changes(
    offsets_of: type[Offsets], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = KafkaClient(KafkaSettings(bootstrap_servers="k:1"))
    leaders = {("t", 0): 1, ("t", 1): 2}
    for asked in (leaders, leaders, {("t", 1): 2}):
        assert offset_bounds(client, asked, -1) == ([dict.fromkeys(asked, 7)], {})
    assert len(offsets_of.created) == 1
    monkeypatch.setattr(Offsets, "leaders", {0: 1, 1: 1, 2: 1})
    for asked in ({("t", 1): 1}, {("t", 2): 1}):
        offset_bounds(client, asked, -1)
    assert len(offsets_of.created) == 2, "for the leader that changed; it knows the new partition, too"
    now = time.monotonic()
    monkeypatch.setattr(connection.time, "monotonic", lambda: now + connection.OFFSET_CONSUMER_KEPT + 1)
    offset_bounds(client, {("t", 1): 1}, -1)
    assert len(offsets_of.created) == 3, "its metadata was too old"


def test_a_consumer_whose_request_failed_reads_no_more_offsets(
    offsets_of: type[Offsets], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = KafkaClient(KafkaSettings(bootstrap_servers="k:1"))
    leaders = {("t", 0): 1, ("t", 1): 2}
    monkeypatch.setattr(Offsets, "failing", True)
    assert offset_bounds(client, leaders, -1) == ([{("t", 0): 7}], {("t", 1): LOADING})
    monkeypatch.setattr(Offsets, "failing", False)
    assert offset_bounds(client, leaders, -1) == ([dict.fromkeys(leaders, 7)], {})
    assert len(offsets_of.created) == 2


def test_a_group_without_commits_has_no_lag() -> None:
    assert ConsumerGroup("g", "EMPTY", (), {}, ()).lag is None


class Message:
    """A message of the library: an error of the consumer itself, or the first record of `orders`."""

    def __init__(self, error: KafkaError | None = None) -> None:
        self._error = error

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str | None:
        return None if self._error is not None else "orders"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 4

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000


class Reading:
    """A connection whose consumer returns these messages."""

    timeout = 5.0

    def __init__(self, *messages: Message) -> None:
        self._left = list(messages)

    @contextmanager
    def consumer(self, **_: object) -> Iterator[Reading]:
        yield self

    def assign(self, _: object) -> None: ...

    def incremental_unassign(self, _: object) -> None: ...

    def poll(self, _: float) -> Message | None:
        return self._left.pop(0) if self._left else None


def test_a_record_is_read_without_a_right_to_the_consumers_group() -> None:
    reading: Any = Reading(Message(DENIED), Message())
    assert first_records(reading, {("orders", 0): 4}).at["orders", 0][0] == 4
    reading = Reading(Message(KafkaError(KafkaError._ALL_BROKERS_DOWN)), Message())
    with pytest.raises(KafkaException):
        first_records(reading, {("orders", 0): 4})
