"""The screens of Kafka's topics, partitions and consumer groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding

from dataops_core.values import largest_of, sum_of
from dataops_tui import styled
from dataops_tui.resource import ResourceScreen, Row
from dataops_tui.screens.peek import PeekScreen
from dataops_tui.widgets.live_table import LiveTable
from dataops_tui.widgets.words import Words

if TYPE_CHECKING:
    from dataops_core.systems.kafka.model import ConsumerGroup, GroupLag, Partition, Topic

INTERNAL = "__"
"""Prefix of the names of Kafka's internal topics."""
STATE_COLOURS = {"STABLE": "green", "EMPTY": "yellow", "DEAD": "red"}


class TopicsScreen(ResourceScreen["tuple[Topic, ...]"]):
    """All topics."""

    COMPONENT = "kafka"
    CRUMB = "kafka"
    BINDINGS = [
        Binding("p", "peek", "Peek", id="topics.peek", tooltip="Read the topic's records without committing offsets"),
        Binding("u", "groups", "Groups", id="topics.groups", tooltip="Show the consumer groups"),
    ]

    def fetch(self) -> tuple[Topic, ...]:
        """Fetch the topics from Kafka."""
        from dataops_core.systems.kafka.cluster import topics  # noqa: PLC0415 - a slow import, after the first frame

        result = topics(self.console.clients.kafka)
        self.console.learn("topic", [topic.name for topic in result])
        return result

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("TOPIC", "PARTITIONS", "RECORDS", "NEWEST", "REPLICAS")

    def rows(self, results: tuple[Topic, ...], now: datetime) -> Mapping[str, Row]:
        """Return the topics, Kafka's internal ones last."""
        ordered = sorted(results, key=lambda topic: topic.name.startswith(INTERNAL))
        return {
            topic.name: Row(_topic(topic, now), topic, topic.faulty, unreadable=topic.unreadable is not None)
            for topic in ordered
        }

    def open(self, key: str) -> None:
        """Open the topic's partitions."""
        self.console.drill(f"kafka {key}", TopicScreen(key))

    def action_peek(self) -> None:
        """Open the records of the selected topic."""
        key = self.table.cursor_key
        if key is not None:
            self.console.drill(f"peek {key}", PeekScreen(key))

    def action_groups(self) -> None:
        """Go to the consumer groups."""
        self.console.go("groups")


class TopicScreen(ResourceScreen["tuple[Topic, tuple[ConsumerGroup, ...]]"]):
    """One topic: its partitions, and the groups that read it."""

    COMPONENT = "kafka"
    BINDINGS = [
        Binding("p", "peek", "Peek", id="topic.peek", tooltip="Read the topic's records without committing offsets")
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._topic = name

    def crumb(self) -> str:
        """Return the topic's name."""
        return self._topic

    def compose_more(self) -> ComposeResult:
        """Compose the consumer groups of the topic."""
        yield Words(id="groups-title")
        yield LiveTable(id="groups")

    def fetch(self) -> tuple[Topic, tuple[ConsumerGroup, ...]]:
        """Fetch the topic and the consumer groups from Kafka."""
        from dataops_core.systems.kafka.cluster import groups, topic  # noqa: PLC0415 - as above

        return topic(self.console.clients.kafka, self._topic), groups(self.console.clients.kafka)

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("PARTITION", "RECORDS", "LOW", "HIGH", "NEWEST", "LEADER", "ISR")

    def rows(self, results: tuple[Topic, tuple[ConsumerGroup, ...]], now: datetime) -> Mapping[str, Row]:
        """Return the partitions."""
        return {
            str(p.number): Row(_partition(p, now), p, p.faulty or bool(p.unreadable), unreadable=bool(p.unreadable))
            for p in results[0].partitions
        }

    def draw_more(self, now: datetime) -> None:
        """Draw the groups that have committed offsets of the topic."""
        reading = {
            group.name: lags
            for group in (self.result[1] if self.result else ())
            if (lags := [lag for lag in group.lags or () if lag.topic == self._topic])
        }
        states = {group.name: group for group in (self.result[1] if self.result else ())}
        title = "consumer groups" if reading else "no consumer group has committed to this topic" if self.result else ""
        self.query_one("#groups-title", Words).show(Text(title, "bold" if reading else "dim"))
        self.query_one("#groups", LiveTable).show(
            ("GROUP", "STATE", "MEMBERS", "LAG", "LAG TIME", "LARGEST LAG"),
            {
                name: [
                    styled.plain(name),
                    _state(states[name]),
                    styled.number(_members(states[name])),
                    styled.number(sum_of([lag.lag for lag in lags])),
                    styled.seconds(largest_of(lag.lag_seconds for lag in lags)),
                    styled.plain(_largest(lags)),
                ]
                for name, lags in reading.items()
            },
        )

    def open(self, key: str) -> None:
        """Open the records of the partition."""
        self.console.drill(f"peek {self._topic}", PeekScreen(self._topic, partition=int(key)))

    def action_peek(self) -> None:
        """Open the records of the topic."""
        self.console.drill(f"peek {self._topic}", PeekScreen(self._topic))


class GroupsScreen(ResourceScreen["tuple[ConsumerGroup, ...]"]):
    """All consumer groups."""

    COMPONENT = "kafka"
    CRUMB = "groups"

    def fetch(self) -> tuple[ConsumerGroup, ...]:
        """Fetch the consumer groups from Kafka."""
        from dataops_core.systems.kafka.cluster import groups  # noqa: PLC0415 - as above

        result = groups(self.console.clients.kafka)
        self.console.learn("group", [group.name for group in result])
        return result

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("GROUP", "STATE", "MEMBERS", "LAG", "LAG TIME", "TOPICS", "NOTE")

    def rows(self, results: tuple[ConsumerGroup, ...], now: datetime) -> Mapping[str, Row]:
        """Return the groups; a group with lag and without members is faulty."""
        return {
            group.name: Row(
                [
                    styled.plain(group.name),
                    _state(group) if group.unreadable is None else styled.unreadable(group.unreadable),
                    styled.number(_members(group)),
                    styled.number(group.lag),
                    styled.seconds(group.lag_seconds),
                    styled.plain(styled.abbreviated(group.topics)),
                    styled.plain("; ".join(group.notes), "yellow"),
                ],
                group,
                bool(group.unreadable or group.notes) or (bool(group.lag) and not group.members),
                unreadable=group.unreadable is not None,
            )
            for group in results
        }

    def open(self, key: str) -> None:
        """Open the group's partitions."""
        self.console.drill(f"groups {key}", GroupScreen(key))


class GroupScreen(ResourceScreen["ConsumerGroup"]):
    """One consumer group: its committed offsets by partition."""

    COMPONENT = "kafka"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._group = name

    def crumb(self) -> str:
        """Return the group's name."""
        return self._group

    def fetch(self) -> ConsumerGroup:
        """Fetch the consumer group from Kafka."""
        from dataops_core.systems.kafka.cluster import group  # noqa: PLC0415 - as above

        return group(self.console.clients.kafka, self._group)

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "LAG TIME", "NOTE")

    def rows(self, result: ConsumerGroup, now: datetime) -> Mapping[str, Row]:
        """Return the partitions with a committed offset."""
        return {
            f"{lag.topic}-{lag.partition}": Row(
                [
                    styled.plain(lag.topic),
                    styled.number(lag.partition),
                    styled.number(lag.committed),
                    styled.number(lag.high),
                    styled.number(lag.lag),
                    styled.seconds(lag.lag_seconds),
                    styled.plain(lag.note or "", "yellow"),
                ],
                lag,
                lag.lag != 0,
            )
            for lag in result.lags or ()
        }


def _topic(topic: Topic, now: datetime) -> list[Text]:
    replicas = Text("● in sync", "green")
    if topic.unreadable is not None:
        replicas = styled.unreadable(topic.unreadable)
    elif topic.faulty:
        replicas = Text("✖ not all in sync", "red bold")
    return [
        styled.plain(topic.name, "dim" if topic.name.startswith(INTERNAL) else ""),
        styled.number(len(topic.partitions)),
        styled.number(topic.records),
        styled.when(topic.newest, now),
        replicas,
    ]


def _partition(partition: Partition, now: datetime) -> list[Text]:
    leader = Text("✖ none", "red bold") if partition.leader < 0 else styled.number(partition.leader)
    missing = sorted(set(partition.replicas) - set(partition.isr))
    isr = ", ".join(map(str, partition.isr))
    if missing:
        isr += f" (not {', '.join(map(str, missing))})"
    return [
        styled.number(partition.number),
        styled.number(partition.records),
        styled.number(partition.low),
        styled.number(partition.high),
        styled.when(partition.newest, now),
        leader,
        Text(isr, "red bold" if missing else "")
        if not partition.unreadable
        else styled.unreadable(partition.unreadable),
    ]


def _state(group: ConsumerGroup) -> Text:
    if group.state is None:
        return Text(styled.UNKNOWN)
    return styled.plain(group.state.lower().replace("_", " "), STATE_COLOURS.get(group.state, "yellow"))


def _members(group: ConsumerGroup) -> int | None:
    return None if group.members is None else len(group.members)


def _largest(lags: Sequence[GroupLag]) -> str:
    known = [lag for lag in lags if lag.lag is not None]
    if not known:
        return styled.UNKNOWN
    largest = max(known, key=lambda lag: lag.lag or 0)
    return f"{largest.lag:,} in partition {largest.partition}"
