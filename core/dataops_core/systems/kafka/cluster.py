"""A whole Kafka cluster in few requests: all topics with their watermarks, all groups with their commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from dataops_core.systems.kafka.client import EARLIEST, LATEST, KafkaClient, Place

Wanted = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker."""

    id: int
    host: str
    port: int
    rack: str | None


@dataclass(frozen=True, slots=True)
class SurveyedPartition:
    """A partition.

    Attributes:
        leader: Node id; negative where there is no leader.
        low: Low watermark; `None` where the leader did not tell.
        high: High watermark; `None` where the leader did not tell.
    """

    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a consumer group, with the partitions that it is assigned."""

    id: str
    client_id: str
    host: str
    assigned: frozenset[Place]


@dataclass(frozen=True, slots=True)
class SurveyedGroup:
    """A consumer group.

    Attributes:
        state: The coordinator's word in capitals, e.g. `STABLE`; `None` where it did not tell.
        assignor: Partition assignor.
        coordinator: Node id.
        members: Its members; `None` where the coordinator did not tell.
        committed: Committed offsets; `None` where the coordinator did not tell.
    """

    state: str | None
    assignor: str
    coordinator: int | None
    members: tuple[Member, ...] | None
    committed: Mapping[Place, int] | None


@dataclass(frozen=True, slots=True)
class KafkaSurvey:
    """A cluster at one time.

    Attributes:
        taken_at: When the survey began.
        denied_topics: Number of topics that were not wanted.
        denied_groups: Number of groups that were not wanted.
        failures: What could not be read, one line for each kind of error.
    """

    taken_at: datetime
    cluster_id: str
    controller: int | None
    brokers: tuple[Broker, ...]
    topics: Mapping[str, Mapping[int, SurveyedPartition]]
    groups: Mapping[str, SurveyedGroup]
    denied_topics: int
    denied_groups: int
    failures: tuple[str, ...]

    def lag(self, partition: Place, committed: int) -> int | None:
        """Return how many records wait for a reader that has committed this offset; `None` if it is not known."""
        found = self.topics.get(partition[0], {}).get(partition[1])
        if found is None or found.high is None:
            return None
        return max(0, found.high - committed)


def survey(client: KafkaClient, want_topic: Wanted, want_group: Wanted) -> KafkaSurvey:
    """Survey a cluster. What one group or partition does not tell is missing there, and nowhere else.

    Commits are read before watermarks, so that no lag is negative.

    Args:
        client: The cluster.
        want_topic: Whether to look at a topic of this name.
        want_group: Whether to look at a group of this name.

    Raises:
        ClientError: The cluster does not answer.
    """
    with client.admin() as admin:
        taken_at = datetime.now(UTC)
        asking = _Asking(client, admin)
        described = admin.describe_cluster(request_timeout=client.timeout)
        listed = asking.need(admin.list_consumer_groups(request_timeout=client.timeout))
        for error in listed.errors:
            asking.note(error.args[0])
        names = sorted(group.group_id for group in listed.valid)
        asked = asking.ask_groups([name for name in names if want_group(name)])
        found = admin.list_topics(timeout=client.timeout).topics  # meanwhile
        groups = asking.groups(asked)
        about = asking.need(described)
        wanted = {name: topic for name, topic in sorted(found.items()) if want_topic(name) and topic.error is None}
        return KafkaSurvey(
            taken_at=taken_at,
            cluster_id=str(about.cluster_id),
            controller=about.controller.id if about.controller else None,
            brokers=tuple(Broker(n.id, n.host, n.port, n.rack) for n in sorted(about.nodes, key=lambda n: n.id)),
            topics=asking.topics(wanted),
            groups=groups,
            denied_topics=sum(not want_topic(name) for name in found),
            denied_groups=sum(not want_group(name) for name in names),
            failures=tuple(asking.failures),
        )


class _Asking:
    """The requests of one survey, and what went wrong in them."""

    def __init__(self, client: KafkaClient, admin: AdminClient) -> None:
        self._client = client
        self._admin = admin
        self._timeout = client.timeout
        self.failures: dict[str, None] = {}

    def need(self, future: Future[Any]) -> Any:  # noqa: ANN401 - the library's own classes
        """Return an answer without which there is no survey."""
        return future.result(self._timeout)

    def try_(self, future: Future[Any]) -> Any:  # noqa: ANN401 - as above
        """Return an answer, or `None` where that one thing could not be read."""
        try:
            return future.result(self._timeout)
        except KafkaException as error:
            self.note(error.args[0])
        except TimeoutError:
            self.failures[f"no answer within {self._timeout:g} s"] = None
        return None

    def note(self, error: KafkaError) -> None:
        """Remember what could not be read, once for each kind of error."""
        self.failures[" ".join(error.str().split())] = None

    def topics(self, topics: Mapping[str, Any]) -> dict[str, dict[int, SurveyedPartition]]:
        """Return the partitions of topics, with their watermarks."""
        leaders = {
            (name, number): partition.leader
            for name, topic in topics.items()
            for number, partition in topic.partitions.items()
            if partition.leader >= 0
        }
        (low, high), failures = self._client.edges(leaders, EARLIEST, LATEST)
        for error in failures:
            self.note(error)
        return {
            name: {
                number: SurveyedPartition(
                    leader=partition.leader,
                    replicas=tuple(partition.replicas),
                    in_sync=tuple(partition.isrs),
                    low=low.get((name, number)),
                    high=high.get((name, number)),
                )
                for number, partition in sorted(topic.partitions.items())
            }
            for name, topic in topics.items()
        }

    def ask_groups(self, names: list[str]) -> dict[str, tuple[Future[Any], Future[Any]]]:
        """Ask for the members and the commits of groups, all at once."""
        if not names:
            return {}
        described = self._admin.describe_consumer_groups(names, request_timeout=self._timeout)
        found = {}
        for name in names:
            wanted = [ConsumerGroupTopicPartitions(name)]
            (commits,) = self._admin.list_consumer_group_offsets(wanted, request_timeout=self._timeout).values()
            found[name] = described[name], commits
        return found

    def groups(self, asked: Mapping[str, tuple[Future[Any], Future[Any]]]) -> dict[str, SurveyedGroup]:
        """Return groups with their members and commits."""
        return {name: _group(self.try_(about), self.try_(commits)) for name, (about, commits) in asked.items()}


def _group(about: Any, offsets: Any) -> SurveyedGroup:  # noqa: ANN401 - the library's own classes
    committed = (
        None
        if offsets is None
        else {
            (tp.topic, tp.partition): tp.offset
            for tp in offsets.topic_partitions
            if tp.error is None and tp.offset >= 0
        }
    )
    if about is None:
        return SurveyedGroup(state=None, assignor="", coordinator=None, members=None, committed=committed)
    return SurveyedGroup(
        state=about.state.name,
        assignor=about.partition_assignor,
        coordinator=about.coordinator.id if about.coordinator else None,
        members=tuple(_member(member) for member in about.members),
        committed=committed,
    )


def _member(member: Any) -> Member:  # noqa: ANN401 - the library's own class
    assigned = member.assignment.topic_partitions if member.assignment else ()
    return Member(
        id=member.member_id,
        client_id=member.client_id,
        host=member.host,
        assigned=frozenset((tp.topic, tp.partition) for tp in assigned),
    )
