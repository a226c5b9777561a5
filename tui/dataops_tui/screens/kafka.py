"""Kafka: topics and their partitions, consumer groups and their lag."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding

from dataops_tui import look
from dataops_tui.resource import ResourceScreen, Row
from dataops_tui.screens.peek import PeekScreen
from dataops_tui.widgets.live_table import LiveTable
from dataops_tui.widgets.words import Words

if TYPE_CHECKING:
    from dataops_core.systems.kafka.records import Group, Partition, Topic

INTERNAL = "__"
"""What the names of Kafka's own topics begin with."""
STATE_COLOURS = {"STABLE": "green", "EMPTY": "yellow", "DEAD": "red"}


class TopicsScreen(ResourceScreen["tuple[Topic, ...]"]):
    """All topics."""

    CRUMB = "kafka"
    BINDINGS = [
        Binding("p", "peek", "Peek", id="topics.peek", tooltip="Read the topic's records; nothing is committed"),
        Binding("u", "groups", "Groups", id="topics.groups", tooltip="Show the consumer groups"),
    ]

    def fetch(self) -> tuple[Topic, ...]:
        """Ask Kafka."""
        from dataops_core.systems.kafka.records import topics  # noqa: PLC0415 - the console is there before the clients

        found = topics(self.console.kafka)
        self.console.learn("topic", [topic.name for topic in found])
        return found

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("TOPIC", "PARTITIONS", "RECORDS", "NEWEST", "REPLICAS")

    def rows(self, found: tuple[Topic, ...], now: datetime) -> Mapping[str, Row]:
        """Return the topics, Kafka's own last."""
        ordered = sorted(found, key=lambda topic: topic.name.startswith(INTERNAL))
        return {topic.name: Row(_topic(topic, now), topic, topic.faulty) for topic in ordered}

    def open(self, key: str) -> None:
        """Show the topic's partitions."""
        self.console.drill(f"kafka {key}", TopicScreen(key))

    def action_peek(self) -> None:
        """Read the records of the topic under the cursor."""
        key = self.table.cursor_key
        if key is not None:
            self.console.drill(f"peek {key}", PeekScreen(key))

    def action_groups(self) -> None:
        """Show the consumer groups."""
        self.console.go("groups")


class TopicScreen(ResourceScreen["tuple[Topic, tuple[Group, ...]]"]):
    """One topic: its partitions, and the groups that read it."""

    BINDINGS = [Binding("p", "peek", "Peek", id="topic.peek", tooltip="Read the topic's records; nothing is committed")]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._topic = name

    def crumb(self) -> str:
        """Return the topic's name."""
        return self._topic

    def compose_more(self) -> ComposeResult:
        """Add the groups."""
        yield Words(id="groups-title")
        yield LiveTable(id="groups")

    def fetch(self) -> tuple[Topic, tuple[Group, ...]]:
        """Ask Kafka."""
        from dataops_core.systems.kafka.records import groups, topic  # noqa: PLC0415 - as above

        return topic(self.console.kafka, self._topic), groups(self.console.kafka)

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("PARTITION", "RECORDS", "LOW", "HIGH", "NEWEST", "LEADER", "ISR")

    def rows(self, found: tuple[Topic, tuple[Group, ...]], now: datetime) -> Mapping[str, Row]:
        """Return the partitions."""
        return {str(p.number): Row(_partition(p, now), p, p.faulty) for p in found[0].partitions}

    def draw_more(self, now: datetime) -> None:
        """Show the groups that have committed to the topic."""
        reading = {
            group.name: lags
            for group in (self.found[1] if self.found else ())
            if (lags := [lag for lag in group.lags if lag.topic == self._topic])
        }
        states = {group.name: group for group in (self.found[1] if self.found else ())}
        title = "consumer groups" if reading else "no consumer group has committed to this topic" if self.found else ""
        self.query_one("#groups-title", Words).show(Text(title, "bold" if reading else "dim"))
        self.query_one("#groups", LiveTable).show(
            ("GROUP", "STATE", "MEMBERS", "LAG", "LARGEST LAG"),
            {
                name: [
                    look.plain(name),
                    _state(states[name]),
                    look.number(states[name].members),
                    look.number(sum(lag.lag for lag in lags)),
                    Text("{0.lag:,} in partition {0.partition}".format(max(lags, key=lambda lag: lag.lag))),
                ]
                for name, lags in reading.items()
            },
        )

    def open(self, key: str) -> None:
        """Read the records of that partition."""
        self.console.drill(f"peek {self._topic}", PeekScreen(self._topic, partition=int(key)))

    def action_peek(self) -> None:
        """Read the topic's records."""
        self.console.drill(f"peek {self._topic}", PeekScreen(self._topic))


class GroupsScreen(ResourceScreen["tuple[Group, ...]"]):
    """All consumer groups."""

    CRUMB = "groups"

    def fetch(self) -> tuple[Group, ...]:
        """Ask Kafka."""
        from dataops_core.systems.kafka.records import groups  # noqa: PLC0415 - as above

        found = groups(self.console.kafka)
        self.console.learn("group", [group.name for group in found])
        return found

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("GROUP", "STATE", "MEMBERS", "LAG", "TOPICS")

    def rows(self, found: tuple[Group, ...], now: datetime) -> Mapping[str, Row]:
        """Return the groups; one that lags and has no member is faulty."""
        return {
            group.name: Row(
                [
                    look.plain(group.name),
                    _state(group),
                    look.number(group.members),
                    look.number(group.lag),
                    look.plain(look.few(sorted({lag.topic for lag in group.lags}))),
                ],
                group,
                bool(group.lag) and not group.members,
            )
            for group in found
        }

    def open(self, key: str) -> None:
        """Show the group's partitions."""
        self.console.drill(f"groups {key}", GroupScreen(key))


class GroupScreen(ResourceScreen["Group"]):
    """One consumer group, by partition."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._group = name

    def crumb(self) -> str:
        """Return the group's name."""
        return self._group

    def fetch(self) -> Group:
        """Ask Kafka."""
        from dataops_core.systems.kafka.records import group  # noqa: PLC0415 - as above

        return group(self.console.kafka, self._group)

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("TOPIC", "PARTITION", "COMMITTED", "LAG")

    def rows(self, found: Group, now: datetime) -> Mapping[str, Row]:
        """Return the partitions that it has committed to."""
        return {
            f"{lag.topic}-{lag.partition}": Row(
                [look.plain(lag.topic), look.number(lag.partition), look.number(lag.committed), look.number(lag.lag)],
                lag,
                lag.lag > 0,
            )
            for lag in found.lags
        }


def _topic(topic: Topic, now: datetime) -> list[Text]:
    replicas = Text("✖ not all in sync", "red bold") if topic.faulty else Text("● in sync", "green")
    return [
        look.plain(topic.name, "dim" if topic.name.startswith(INTERNAL) else ""),
        look.number(len(topic.partitions)),
        look.number(topic.records),
        look.when(topic.newest, now),
        replicas,
    ]


def _partition(partition: Partition, now: datetime) -> list[Text]:
    leader = Text("✖ none", "red bold") if partition.leader < 0 else look.number(partition.leader)
    missing = sorted(set(partition.replicas) - set(partition.isr))
    isr = ", ".join(map(str, partition.isr))
    if missing:
        isr += f" (not {', '.join(map(str, missing))})"
    return [
        look.number(partition.number),
        look.number(partition.records),
        look.number(partition.low),
        look.number(partition.high),
        look.when(partition.newest, now),
        leader,
        Text(isr, "red bold" if missing else ""),
    ]


def _state(group: Group) -> Text:
    return look.plain(group.state.lower().replace("_", " "), STATE_COLOURS.get(group.state, "yellow"))
