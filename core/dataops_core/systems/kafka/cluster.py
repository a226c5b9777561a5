"""Read topics and consumer groups of a Kafka cluster. An unreadable one does not affect the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from dataops_core.errors import NotFound
from dataops_core.systems.kafka import lag, lag_time
from dataops_core.systems.kafka.connection import Connection
from dataops_core.systems.kafka.errors import reason
from dataops_core.systems.kafka.model import (
    RECENT,
    Broker,
    ClusterSnapshot,
    ConsumerGroup,
    Member,
    Partition,
    PartitionKey,
    Topic,
)
from dataops_core.systems.kafka.offsets import EARLIEST, LATEST, Failures, newest, offset_bounds
from dataops_core.units import duration

Wanted = Callable[[str], bool]
UNLISTED = "(groups that were not listed)"
"""Name of the row with the reason why a broker did not list its groups."""


def topics(connection: Connection) -> tuple[Topic, ...]:
    """Return all topics by name; raise ClientError."""
    read, _ = _read_topics(connection, connection.metadata().topics, times=True)
    return tuple(read.values())


def topic(connection: Connection, name: str) -> Topic:
    """Return one topic; raise NotFound or another ClientError."""
    read, _ = _read_topics(connection, connection.metadata(name).topics, times=True)
    return read[name]


def observed_topic(connection: Connection, name: str) -> Topic:
    """Return one topic with its id and its recent records.

    Raises:
        NotFound: There is no such topic.
        ClientError: The cluster does not respond, or a partition with a leader cannot be read.
    """
    about = f"topic {name}"
    with connection.admin(about) as admin:
        described = admin.describe_topics(TopicCollection([name]), request_timeout=connection.timeout)
        metadata = connection.metadata(name)
        since = int((datetime.now(UTC) - RECENT).timestamp() * 1000)
        read, failures = _read_topics(connection, metadata.topics, since, times=True)
        for failure in failures.values():
            raise connection.translated(failure, about)
        topic_id = str(described[name].result(connection.timeout).topic_id)
    return replace(read[name], topic_id=topic_id, brokers=len(metadata.brokers))


def groups(connection: Connection) -> tuple[ConsumerGroup, ...]:
    """Return all consumer groups with their lag, by name; raise ClientError."""
    with connection.admin() as admin:
        listed = admin.list_consumer_groups(request_timeout=connection.timeout).result(connection.timeout)
        requests = _ask_groups(admin, _names(listed), connection.timeout)
        results = [_answer(name, futures, connection.timeout) for name, futures in requests.items()]
    missing = (ConsumerGroup(UNLISTED, None, None, None, unreadable=why) for why in _reasons(listed.errors))
    return (*_with_lag(connection, results), *missing)


def group(connection: Connection, name: str) -> ConsumerGroup:
    """Return one consumer group with its lag; raise NotFound or another ClientError."""
    (result,) = _with_lag(connection, [position(connection, name)])
    return result


def position(connection: Connection, name: str) -> ConsumerGroup:
    """Return one consumer group with its commits but without its lag; raise NotFound or another ClientError."""
    about = f"consumer group {name}"
    with connection.admin(about) as admin:
        requests = _ask_groups(admin, [name], connection.timeout)
        described, commits = (future.result(connection.timeout) for future in requests[name])
    if described.state.name == "DEAD":  # state that Kafka reports for a missing group
        raise NotFound(f"kafka {connection.target}: no {about}")
    return _group(name, described, commits, None)


def scan(connection: Connection, want_topic: Wanted, want_group: Wanted) -> ClusterSnapshot:
    """Return a snapshot of a cluster, in few requests.

    Commits are read before watermarks, so that no lag is negative.

    Args:
        connection: The cluster.
        want_topic: Returns whether to read a topic of this name.
        want_group: Returns whether to read a group of this name.

    Raises:
        ClientError: The cluster does not respond.
    """
    timeout = connection.timeout
    with connection.admin() as admin:
        taken_at = datetime.now(UTC)
        describing = admin.describe_cluster(request_timeout=timeout)
        listed = admin.list_consumer_groups(request_timeout=timeout).result(timeout)
        names = _names(listed)
        requests = _ask_groups(admin, [name for name in names if want_group(name)], timeout)
        metadata = connection.metadata().topics  # meanwhile
        results = [_answer(name, futures, timeout) for name, futures in requests.items()]
        about = describing.result(timeout)
    wanted = {name: results for name, results in metadata.items() if want_topic(name) and results.error is None}
    at = time.time()
    read, failures = _read_topics(connection, wanted)
    results = _lagging(connection, results, read, at)
    reasons = [
        *_reasons(listed.errors),
        *(g.unreadable for g in results if g.unreadable is not None),
        *_reasons(failures.values()),
    ]
    return ClusterSnapshot(
        taken_at=taken_at,
        cluster_id=str(about.cluster_id),
        controller=about.controller.id if about.controller else None,
        brokers=tuple(Broker(n.id, n.host, n.port, n.rack) for n in sorted(about.nodes, key=lambda n: n.id)),
        topics=read,
        groups={group.name: group for group in results},
        denied_topics=sum(not want_topic(name) for name in metadata),
        denied_groups=sum(not want_group(name) for name in names),
        failures=tuple(dict.fromkeys(reasons)),
    )


def _read_topics(
    connection: Connection, results: Mapping[str, Any], since: int | None = None, *, times: bool = False
) -> tuple[dict[str, Topic], Failures]:
    """Return topics with their offsets by name, and the failures of single partitions.

    Args:
        connection: The cluster.
        results: The library's metadata by topic.
        since: Milliseconds from which records count as recent; `None`: do not count them.
        times: Whether to ask for the newest timestamp of each partition.
    """
    leaders = {
        (name, number): partition.leader
        for name, about in results.items()
        for number, partition in about.partitions.items()
        if partition.leader >= 0
    }
    timestamps = (EARLIEST, LATEST) if since is None else (EARLIEST, since, LATEST)
    with ThreadPoolExecutor(1) as beside:
        reading_times = beside.submit(newest, connection, leaders) if times else None
        offsets, failures = offset_bounds(connection, leaders, *timestamps)
        latest, without_time = reading_times.result() if reading_times is not None else ({}, {})
    failures = without_time | failures
    low, high = offsets[0], offsets[-1]

    def recent(key: PartitionKey) -> int | None:
        if since is None or key not in high or key not in offsets[1]:
            return None
        first = offsets[1][key]
        return max(0, high[key] - first) if first >= 0 else 0  # negative: no record since then

    def partition(name: str, number: int, about: Any) -> Partition:  # noqa: ANN401 - the library's own class
        key = (name, number)
        return Partition(
            number=number,
            low=low.get(key),
            high=high.get(key),
            newest=latest.get(key),
            leader=about.leader,
            replicas=tuple(about.replicas),
            isr=tuple(about.isrs),
            recent=recent(key),
            unreadable=reason(failures[key]) if key in failures else None,
        )

    topics = {
        name: Topic(
            name,
            tuple(partition(name, number, about.partitions[number]) for number in sorted(about.partitions)),
            error=reason(about.error) if about.error is not None else None,
        )
        for name, about in sorted(results.items())
    }
    return topics, failures


def _names(listed: Any) -> list[str]:  # noqa: ANN401 - the library's own class
    return sorted(group.group_id for group in listed.valid or ())


def _reasons(errors: Iterable[object] | None) -> list[str]:
    """Return the distinct reasons of errors."""
    return list(dict.fromkeys(reason(error) for error in errors or ()))


Asked = tuple[Future[Any], Future[Any]]
"""Futures of a group's description and of its commits."""


def _ask_groups(admin: AdminClient, names: Sequence[str], timeout: float) -> dict[str, Asked]:
    """Request the members and the commits of groups concurrently."""
    if not names:
        return {}
    described = admin.describe_consumer_groups(list(names), request_timeout=timeout)
    results = {}
    for name in names:
        (commits,) = admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(name)], request_timeout=timeout
        ).values()
        results[name] = described[name], commits
    return results


def _answer(name: str, futures: Asked, timeout: float) -> ConsumerGroup:
    """Return a group without its lag; unreadable values are unknown."""
    answers: list[Any] = []
    why = None
    for future in futures:
        try:
            answers.append(future.result(timeout))
        except (KafkaException, TimeoutError) as error:
            answers.append(None)
            why = why or (
                f"no response within {duration(timeout, precise=True)}"
                if isinstance(error, TimeoutError)
                else reason(error)
            )
    about, commits = answers
    return _group(name, about, commits, why)


def _group(name: str, about: Any, commits: Any, why: str | None) -> ConsumerGroup:  # noqa: ANN401 - the library's own
    committed = _committed(commits) if commits is not None else None
    if about is None:
        return ConsumerGroup(name, None, None, committed, unreadable=why)
    return ConsumerGroup(
        name=name,
        state=about.state.name,
        members=tuple(_member(member) for member in about.members),
        committed=committed,
        assignor=about.partition_assignor,
        coordinator=about.coordinator.id if about.coordinator else None,
        unreadable=why,
    )


def _with_lag(connection: Connection, groups: Sequence[ConsumerGroup]) -> list[ConsumerGroup]:
    """Return groups with their lag; the offsets of topics are read after the commits."""
    wanted = {topic for group in groups for topic in group.topics}
    metadata = connection.metadata().topics if wanted else {}
    at = time.time()
    read, _ = _read_topics(connection, {name: result for name, result in metadata.items() if name in wanted})
    return _lagging(connection, groups, read, at)


def _lagging(
    connection: Connection, groups: Sequence[ConsumerGroup], topics: Mapping[str, Topic], at: float
) -> list[ConsumerGroup]:
    """Return groups with their lag; `at` is the time before the topics were read."""
    lags = lag.exact(connection, [lag.positions(group.committed or {}, topics) for group in groups])
    lags = lag_time.timed(connection, lags, at)
    return [
        replace(group, lags=its if group.committed is not None else None)
        for group, its in zip(groups, lags, strict=True)
    ]


def _committed(commits: Any) -> dict[PartitionKey, int]:  # noqa: ANN401 - the library's own class
    return {
        (tp.topic, tp.partition): tp.offset for tp in commits.topic_partitions if tp.error is None and tp.offset >= 0
    }


def _member(member: Any) -> Member:  # noqa: ANN401 - the library's own class
    assigned = member.assignment.topic_partitions if member.assignment else ()
    return Member(
        id=member.member_id,
        client_id=member.client_id,
        host=member.host,
        assigned=frozenset((tp.topic, tp.partition) for tp in assigned),
    )
