"""The Kafka screens: topics, partitions, groups, and the records as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tests.console.conftest import SIZES, Console, make_console, settings, well
from tests.consumer_groups import consumer_group
from tests.orders import now
from tests.screen import shown, until_shown

from dataops_core.errors import NotFound, Unreachable
from dataops_core.systems.clients import Clients
from dataops_core.systems.kafka import cluster as kafka_cluster
from dataops_core.systems.kafka import records as kafka_peek
from dataops_core.systems.kafka.model import ConsumerGroup, GroupLag, Partition, Topic
from dataops_core.systems.kafka.records import Record, Start
from dataops_core.systems.kafka.schema_registry import Decoded, SchemaRegistry
from dataops_tui import resource
from dataops_tui.screens.kafka import GroupScreen, TopicScreen, TopicsScreen
from dataops_tui.screens.peek import PeekScreen


def partition(number: int, high: int, isr: tuple[int, ...] = (1, 2)) -> Partition:
    newest = now() - timedelta(seconds=30) if high else None
    return Partition(number, 10, 10 + high, newest, 1, (1, 2), isr)


def record(offset: int, value: bytes | None, key: bytes | None = b"k", partition: int = 0) -> Record:
    at = now() - timedelta(seconds=1000 - offset)
    return Record(partition, offset, at, key, value, (("trace", b"t-1"),), len(value) if value is not None else None)


RECORDS = [
    record(0, b'{"id": 7, "note": "\\u00e9"}'),
    record(1, b"plain \x1b[31mtext [bold]"),
    record(2, bytes((0, 255, 16))),
    record(3, None, b"gone"),
    record(4, b"y" * 400, partition=1),
]
BY_SCHEMA = [
    replace(record(0, b"\0\0\0\0\7\x0e"), decoded=Decoded(7, text='{"id": 7, "town": "Ausable"}')),
    replace(record(1, b"\0\0\0\0\x08\1"), decoded=Decoded(8, reason="schema registry http://r: has no schema 8")),
]


class FakeKafka:
    """Stands in for the functions of `kafka_peek`."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.starts: list[Start] = []
        self.stops: list[Event] = []
        self.later: list[Record] = []

    def topics(self, client: object) -> tuple[Topic, ...]:
        if self.failure is not None:
            raise self.failure
        return (
            Topic("__consumer_offsets", (partition(0, 5),)),
            Topic("orders", (partition(0, 1200), partition(1, 34, isr=(1,)))),
            Topic("payments", (partition(0, 0),)),
        )

    def topic(self, client: object, name: str) -> Topic:
        for found in self.topics(client):
            if found.name == name:
                return found
        raise NotFound(f"kafka kafka:1: no topic {name}")

    def groups(self, client: object) -> tuple[ConsumerGroup, ...]:
        return (
            consumer_group("billing", "EMPTY", 0, (GroupLag("orders", 0, 100, 1210), GroupLag("orders", 1, 44, 44))),
            consumer_group("idle", "STABLE", 2, ()),
        )

    def group(self, client: object, name: str) -> ConsumerGroup:
        return next(group for group in self.groups(client) if group.name == name)

    def peek(
        self,
        client: object,
        name: str,
        start: Start,
        stop: Event,
        keep: Callable[[Record], bool],
        registry: SchemaRegistry | None,
        *,
        partition: int | None,
    ) -> Iterator[tuple[list[Record], int]]:
        self.starts.append(start)
        self.stops.append(stop)
        if name == "nowhere":
            raise NotFound("kafka kafka:1: no topic nowhere")
        records = BY_SCHEMA if name == "by-schema" else RECORDS
        records = [r for r in records if partition in (None, r.partition)]
        yield [r for r in records if keep(r)], len(records)
        while not stop.wait(0.02):
            more, self.later = self.later, []
            yield [r for r in more if keep(r)], len(more)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    fake = FakeKafka()
    for name in ("topics", "topic", "groups", "group"):
        monkeypatch.setattr(kafka_cluster, name, getattr(fake, name))
    monkeypatch.setattr(kafka_peek, "peek", fake.peek)
    return fake


async def command(pilot: Any, typed: str) -> None:
    await pilot.press("colon", *("space" if c == " " else c for c in typed), "enter")
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_from_topics_to_partitions_to_records_and_back(
    console: Console, kafka: FakeKafka, size: tuple[int, int]
) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await command(pilot, "kafka")
        text = await until_shown(console.app, lambda text: "payments" in text, "the topics")
        lines = text.splitlines()
        assert [line.split()[0] for line in lines[2:5]] == ["orders", "payments", "__consumer_offsets"]
        assert "1,234" in text
        assert "✖ not all in sync" in text
        await pilot.press("ctrl+z")
        text = await until_shown(console.app, lambda text: "only problems" in text, "that it is narrowed")
        assert "payments" not in text
        await pilot.press("ctrl+z", "enter")
        text = await until_shown(console.app, lambda text: "billing" in text, "the groups of the topic")
        assert isinstance(console.app.screen, TopicScreen)
        assert "1 (not 2)" in text
        assert "1,110 in partition 0" in text
        assert "idle" not in text
        await pilot.press("j", "enter")
        text = await until_shown(console.app, lambda text: "yyyy" in text, "the records of partition 1")
        assert isinstance(console.app.screen, PeekScreen)
        assert '"id"' not in text
        await pilot.press("escape", "p")
        await until_shown(console.app, lambda text: '"id"' in text, "the records of all partitions")
        await pilot.press("escape", "escape")
        assert isinstance(console.app.screen, TopicsScreen)
        await pilot.press("escape")
        assert console.app.current_mode == "pipelines"
    assert all(stop.is_set() for stop in kafka.stops)


async def test_what_costs_much_to_fetch_is_left_alone_for_longer_but_fetched_when_asked_for(
    console: Console, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def costly(client: object) -> tuple[Topic, ...]:
        asked.append(client)
        sum(range(1_000_000))
        return kafka.topics(client)

    monkeypatch.setattr(kafka_cluster, "topics", costly)
    monkeypatch.setattr(TopicsScreen, "EVERY", 0.05)
    monkeypatch.setattr(resource, "REST", 1e9)
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await command(pilot, "kafka")
        await until_shown(console.app, lambda text: "orders" in text and "updated" in text, "the topics")
        first = len(asked)  # a screen is also fetched for when it is come to
        await pilot.pause(1.0)
        assert len(asked) == first
        await pilot.press("ctrl+r")
        await until_shown(console.app, lambda _: len(asked) == first + 1, "another look")


async def test_what_was_rejected_is_looked_at_with_its_reasons_in_sql(console: Console, kafka: FakeKafka) -> None:
    settings = console.app.settings
    chain = settings.pipelines["p"]
    bronze = chain.stages[2].model_copy(update={"rejects": "b.rejected-orders"})
    chain = chain.model_copy(update={"stages": (*chain.stages[:2], bronze, *chain.stages[3:])})
    console.trino.next.go.set()
    async with console.app.run_test(size=(160, 40), notifications=True) as pilot:
        console.monitor.push(well())
        await command(pilot, "peek orders")
        await until_shown(console.app, lambda text: "5 read, 5 kept" in text, "the records")
        await pilot.press("x")
        await until_shown(console.app, lambda text: "no rejects table" in text, "that there is none")
        console.app.settings = settings.model_copy(update={"pipelines": {"p": chain}})
        await pilot.press("x")
        await until_shown(console.app, lambda _: len(console.trino.asked) == 1, "what was rejected of the topic")
        await pilot.press("f2", *"pipelines", "enter", "G", "enter")
        await until_shown(console.app, lambda text: "trino view" in text, "the last stage")
        await pilot.press("x")  # nothing that it leads to rejects anything
        await pilot.press("escape", "g", "j", "enter", "x")
        await until_shown(console.app, lambda _: len(console.trino.asked) == 2, "what was rejected of the stage")
    assert set(console.trino.asked) == {
        'SELECT * FROM lake.b."rejected-orders" ORDER BY "$file_modified_time" DESC LIMIT 500'
    }


async def test_records_are_decoded_and_what_is_in_them_steers_nothing(console: Console, kafka: FakeKafka) -> None:
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await command(pilot, "peek orders")
        text = await until_shown(console.app, lambda text: "5 read, 5 kept" in text, "all records")
        assert "00 ff 10" in text
        assert "(tombstone)" in text
        assert '{"id": 7, "note": "é"}' in text
        assert "\x1b" not in text
        await pilot.press("G")
        text = await until_shown(console.app, lambda text: "json of 27 bytes" in text, "the oldest record in full")
        assert "trace = t-1" in text
        assert '  "id": 7,' in text
        await pilot.press("e")
        await until_shown(console.app, lambda text: "\\u00e9" in text, "the value as text")
        await pilot.press("e")
        await until_shown(console.app, lambda text: "7b 22 69 64 22" in text, "the value as hex")
        await pilot.press("e", "y")
        await until_shown(console.app, lambda text: '"kind": "json"' in text, "the record as JSON")
        await pilot.press("c")
        assert '"offset": 0' in console.app.clipboard
        await pilot.press("escape", "c")
        assert console.app.clipboard == "0-0"


async def test_what_names_a_schema_is_shown_by_it_or_as_hex_with_the_reason(console: Console, kafka: FakeKafka) -> None:
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await command(pilot, "peek by-schema")
        text = await until_shown(console.app, lambda text: "not decoded: " in text, "the newest record in full")
        assert "schema registry http://r: has no schema 8" in text
        assert "00 00 00 00 08 01" in text
        await pilot.press("G")
        text = await until_shown(console.app, lambda text: "schema 7 of 6 bytes" in text, "the oldest record in full")
        assert '{"id": 7, "town": "Ausable"}' in text
        assert '  "town": "Ausable"' in text
        await pilot.press("y")
        await until_shown(console.app, lambda text: '"schema_id": 7' in text, "the record as JSON")
        await pilot.press("escape", "slash", *"ausable", "enter")
        text = await until_shown(console.app, lambda text: "filtered" in text, "the filter")
        assert "00 00 00 00 08 01" not in text


async def test_a_peek_goes_on_holds_still_and_begins_elsewhere(console: Console, kafka: FakeKafka) -> None:
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await command(pilot, "peek orders 15m")
        await until_shown(console.app, lambda text: "5 read, 5 kept" in text, "the records")
        assert kafka.starts[0].time is not None
        assert abs((now() - kafka.starts[0].time).total_seconds() - 900) < 60
        kafka.later = [record(5, b"late one")]
        await until_shown(console.app, lambda text: "late one" in text, "the record that came later")
        await pilot.press("p")
        await until_shown(console.app, lambda text: "‖ paused" in text, "that it holds still")
        kafka.later = [record(6, b"unseen")]
        await until_shown(console.app, lambda text: "7 read, 7 kept" in text, "that it goes on reading")
        assert "unseen" not in shown(console.app)
        await pilot.press("p")
        await until_shown(console.app, lambda text: "unseen" in text, "what came meanwhile")
        await pilot.press("slash", *"needle", "enter")
        kafka.later = [record(7, b"hay"), record(8, b"the needle")]
        text = await until_shown(console.app, lambda text: "the needle" in text, "the record that matches")
        assert "9 read, 8 kept" in text, "what does not match is read and not kept"
        await pilot.press("slash", "escape", "f", "escape")
        assert len(kafka.starts) == 1
        await pilot.press("f", *"offset", "space", "3", "enter")
        await until_shown(console.app, lambda text: "from offset 3: 5 read" in text, "the new beginning")
        assert kafka.starts[1] == Start(offset=3)
        assert kafka.stops[0].is_set()
        await pilot.press("f", *"yesterday", "enter")
        await until_shown(console.app, lambda text: "is not a start position" in text, "what may be typed")


async def test_a_topic_that_is_not_there_is_said(console: Console, kafka: FakeKafka) -> None:
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await command(pilot, "peek nowhere")
        await until_shown(console.app, lambda text: "no topic nowhere" in text, "why there is nothing")
        await command(pilot, "kafka nowhere")
        await until_shown(console.app, lambda text: "no topic nowhere" in text, "why there is nothing")


async def test_a_kafka_that_went_down_is_said_with_the_age_of_what_is_shown(console: Console, kafka: FakeKafka) -> None:
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await command(pilot, "kafka")
        await until_shown(console.app, lambda text: "payments" in text, "the topics")
        kafka.failure = Unreachable("kafka kafka:1: no broker can be reached")
        await command(pilot, "pipelines")
        await command(pilot, "kafka")
        text = await until_shown(console.app, lambda text: "no broker can be reached" in text, "the failure")
        assert "payments" in text
        assert "updated" in text.split("no broker can be reached")[1]


async def test_groups_and_one_of_them(console: Console, kafka: FakeKafka) -> None:
    async with console.app.run_test(size=(80, 24), notifications=True) as pilot:
        await command(pilot, "kafka")
        await pilot.press("u")
        text = await until_shown(console.app, lambda text: "billing" in text, "the groups")
        assert "stable" in text
        await pilot.press("enter")
        text = await until_shown(console.app, lambda text: "COMMITTED" in text and "1,110" in text, "the group's lag")
        assert isinstance(console.app.screen, GroupScreen)
        await pilot.press("minus")
        await until_shown(console.app, lambda text: "stable" in text, "the groups again")
        await pilot.press("plus")
        await until_shown(console.app, lambda text: "COMMITTED" in text, "the group again")


async def test_the_reader_is_never_waited_for(console: Console, kafka: FakeKafka, monkeypatch: Any) -> None:
    stuck = Event()

    def hang(client: object) -> tuple[Topic, ...]:
        stuck.wait(30)
        return ()

    monkeypatch.setattr(kafka_cluster, "topics", hang)
    try:
        async with console.app.run_test(size=(80, 24), notifications=True) as pilot:
            await command(pilot, "kafka")
            await until_shown(console.app, lambda text: "loading" in text, "that it loads")
            began = time.monotonic()
            await pilot.press("escape")
            assert console.app.current_mode == "pipelines"
            assert time.monotonic() - began < 20, "far below the 30 s that the server hangs"
    finally:
        stuck.set()


async def test_of_several_clusters_the_chosen_one_is_shown(kafka: FakeKafka, tmp_path: Path) -> None:
    edge = {"system": "kafka", "bootstrap_servers": "edge:9092"}
    console = make_console(tmp_path, settings(components={"edge": edge}))
    console.monitor.clients = Clients(kafka="core", edge="edge")

    def topics(client: object) -> tuple[Topic, ...]:
        return (Topic(f"{client}-topic", (partition(0, 5),)),)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka_cluster, "topics", topics)
        async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
            await command(pilot, "kafka")
            text = await until_shown(console.app, lambda text: "core-topic" in text, "the topics")
            assert "kafka on kafka" in text.splitlines()[0]
            await pilot.press("enter")
            await until_shown(console.app, lambda _: isinstance(console.app.screen, TopicScreen), "a topic")
            await command(pilot, "component edge")
            text = await until_shown(console.app, lambda text: "edge-topic" in text, "the other cluster's topics")
            assert "kafka on edge" in text.splitlines()[0]
            assert "core-topic" not in text
            await command(pilot, "component nowhere")
            await until_shown(console.app, lambda text: "available: kafka, edge" in text, "which components there are")


async def test_where_a_system_has_one_component_there_is_no_choice(console: Console, kafka: FakeKafka) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await command(pilot, "kafka")
        text = await until_shown(console.app, lambda text: "payments" in text, "the topics")
        assert " on kafka" not in text.splitlines()[0]
        await command(pilot, "component kafka")
        await until_shown(console.app, lambda text: "no such component" in text, "that there is no choice")
