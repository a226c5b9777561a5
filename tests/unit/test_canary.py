"""The canary: what is sent, what each hop says of it, and what the command ends with."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.settings import ContextSettings

from dataops_core.actions import ActionPolicy
from dataops_core.canary import Canary, Hop, Outcome, follow, hops_of
from dataops_core.cli import app as cli
from dataops_core.config import CanarySettings
from dataops_core.errors import ActionRefused, QueryFailed, Unreachable
from dataops_core.systems.clients import Clients
from dataops_core.systems.kafka.model import ConsumerGroup, Sent
from dataops_core.systems.registry import find_problems, load_settings

SENT = Sent("orders", 1, 41)
CONFIG = """
[contexts.c]
read_only = {read_only}
[contexts.c.kafka]
bootstrap_servers = "127.0.0.1:1"
[contexts.c.trino]
url = "http://127.0.0.1:1"
[contexts.c.catalogs.lake.properties]
type = "rest"
uri = "http://127.0.0.1:1"

[pipelines.bare]
context = "c"
stages = [{{ name = "orders", kind = "topic", topic = "orders" }}]

[pipelines.p]
context = "c"
stages = [
  {{ name = "orders", kind = "topic", topic = "orders" }},
  {{ name = "land", kind = "spark_query", checkpoint = "{checkpoint}", reads = ["orders"], lag_ok = 7 }},
  {{ name = "bill", kind = "consumer_group", group = "g", topic = "orders", reads = ["orders"] }},
  {{ name = "bronze", kind = "iceberg_table", catalog = "lake", table = "b.o", reads = ["land"] }},
  {{ name = "view", kind = "trino_view", relation = "lake.b.v", reads = ["bronze"] }},
]
[pipelines.p.canary]
topic = "orders"
value = '{{"id": "$id", "at": "$now"}}'
timeout = 30
hops = [
  {{ stage = "land" }},
  {{ stage = "bill" }},
  {{ stage = "bronze", where = "id = '$id'" }},
  {{ stage = "view", where = "id = '$id'" }},
  {{ relation = "lake.b.o", where = "id = '$id'", late_after = 9 }},
]
"""


@dataclass
class Components:
    """Kafka, Trino and a catalog that have seen the canary, or have not yet."""

    target: str = "there"
    sent: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    blind: set[str] = field(default_factory=set)
    failure: Exception | None = None

    def send(self, topic: str, key: bytes, value: bytes) -> Sent:
        if self.failure is not None:
            raise self.failure
        self.sent.append((topic, key, value))
        return SENT

    def group(self, name: str) -> ConsumerGroup:
        return ConsumerGroup(name, "STABLE", (), {("orders", 1): 41 if name in self.blind else 42})

    def holds(self, table: str, where: str) -> bool:
        self.asked.append(f"{table}: {where}")
        return table not in self.blind

    def fetch(self, statement: str, within: float) -> list[tuple[int]]:
        self.asked.append(statement)
        if self.failure is not None:
            raise self.failure
        return [] if any(name in statement for name in self.blind) else [(1,)]

    def clients(self) -> Clients:
        return Clients(kafka=self, trino=self, lake=self)


def checkpoint(folder: Path, committed: int) -> None:
    """Write a checkpoint as Spark does, with that end offset of partition 1."""
    for name in ("offsets", "commits"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "metadata").write_text('{"id": "q"}')
    (folder / "offsets/0").write_text(f'v1\n{{}}\n{{"orders": {{"0": 99, "1": {committed}}}}}')
    (folder / "commits/0").write_text("v1\n{}")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    checkpoint(tmp_path / "checkpoint", 42)
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG.format(read_only="false", checkpoint=tmp_path / "checkpoint"))
    return path


@pytest.fixture
def components(monkeypatch: pytest.MonkeyPatch) -> Components:
    found = Components()
    monkeypatch.setattr("dataops_core.systems.clients.Clients", lambda *_: found.clients())
    return found


def run(config: Path, *arguments: str) -> int:
    return cli.main(["--config", str(config), "canary", *arguments])


def test_each_one_is_new_and_filled_in() -> None:
    settings = CanarySettings.model_validate(
        {"topic": "t", "mark": "TEST.", "value": "$now $$5 ${id}!", "hops": [{"stage": "s"}]}
    )
    now = datetime(2026, 1, 5, 3, 0, 0, 123000, tzinfo=UTC)
    first, second = (Canary.make(settings, now) for _ in range(2))
    assert first.id != second.id
    assert first.id.startswith("TEST.")
    assert first.key == first.id
    assert first.value == f"2026-01-05T03:00:00.123Z $5 {first.id}!"


def test_every_kind_of_hop_knows_it_by_what_is_its_own(config: Path) -> None:
    pipeline = load_settings(config).pipelines["p"]
    assert pipeline.canary is not None
    canary = Canary.make(pipeline.canary, datetime.now(UTC))
    components = Components()
    hops = {hop.name: hop for hop in hops_of(pipeline, pipeline.canary, canary, components.clients())}
    assert list(hops) == ["land", "bill", "bronze", "view", "lake.b.o"]
    assert [hop.late_after for hop in hops.values()] == [7, 30, 30, 30, 9]
    assert all(hop.is_present(SENT) for hop in hops.values())
    assert components.asked == [
        f"b.o: id = '{canary.id}'",
        f"SELECT 1 FROM lake.b.v WHERE id = '{canary.id}' LIMIT 1",
        f"SELECT 1 FROM lake.b.o WHERE id = '{canary.id}' LIMIT 1",
    ]
    components.blind = {"g", "b.o", "lake.b.v"}
    checkpoint(config.parent / "checkpoint", 41)
    assert not any(hop.is_present(SENT) for hop in hops.values()), "an end offset is that of the record after"


def test_it_passes_in_time(config: Path, components: Components, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "p", "--yes", "-o", "json") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["schema_version"] == 1
    assert [p["hop"] for p in told["passages"]] == ["orders", "land", "bill", "bronze", "view", "lake.b.o"]
    assert {p["outcome"] for p in told["passages"]} == {"seen"}
    ((topic, key, value),) = components.sent
    assert topic == "orders"
    assert json.loads(value)["id"] == key.decode() == told["id"]
    assert f"{told['id']} is in orders-1 at offset 41" in err
    assert "passed lake.b.o after" in err


def test_the_table_names_each_hop(config: Path, components: Components, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "p", "--yes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [
        [name, "seen"] for name in ("orders", "land", "bill", "bronze", "view", "lake.b.o")
    ]


@pytest.mark.programs
@pytest.mark.parametrize(
    ("blind", "code", "said"),
    [
        ({"lake.b.v"}, 1, "it has arrived, but view is skipped"),
        ({"lake.b.o", "lake.b.v"}, 4, "has not arrived in time; the first hop without it is view"),
    ],
)
def test_a_hop_that_has_not_seen_it_is_named(
    config: Path, components: Components, capsys: pytest.CaptureFixture[str], blind: set[str], code: int, said: str
) -> None:
    components.blind = blind
    assert run(config, "p", "--yes", "--timeout", "1") == code
    assert said in capsys.readouterr().err


@pytest.mark.programs
def test_what_does_not_answer_is_unknown(
    config: Path, components: Components, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise Unreachable("trino there: cannot be reached")

    monkeypatch.setattr(components, "fetch", fail)
    assert run(config, "p", "--yes", "--timeout", "1", "-o", "json") == 3
    out, err = capsys.readouterr()
    assert "unknown whether it has arrived: trino there: cannot be reached" in err
    outcomes = [p["outcome"] for p in json.loads(out)["passages"]]
    assert outcomes == ["seen", "seen", "seen", "seen", "unknown", "unknown"]


def test_where_kafka_does_not_take_it_it_ends_with_3(
    config: Path, components: Components, capsys: pytest.CaptureFixture[str]
) -> None:
    components.failure = Unreachable("kafka there: no broker can be reached")
    assert run(config, "p", "--yes") == 3
    assert "no broker can be reached" in capsys.readouterr().err


def test_it_is_confirmed_and_audited_as_any_change(
    config: Path, components: Components, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(config, "p") == 2
    assert 'a canary writes a record into the topic orders in the context "c": confirm with "yes"' in (
        capsys.readouterr().err
    )
    config.write_text(CONFIG.format(read_only="true", checkpoint="/c"))
    assert run(config, "p", "--yes") == 2
    assert 'the context "c" is read-only' in capsys.readouterr().err
    assert components.sent == []
    audit = (tmp_path / "state/dataops/audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["outcome"] for line in audit] == ["refused", "refused"]


def test_the_gate_audits_what_came_of_it(tmp_path: Path) -> None:
    policy = ActionPolicy("c", ContextSettings(), tmp_path / "audit.jsonl")
    components = Components()
    assert policy.send_canary(components, "orders", "k", "v", "yes") == SENT  # type: ignore[arg-type]
    components.failure = Unreachable("gone")
    with pytest.raises(Unreachable):
        policy.send_canary(components, "orders", "k", "v", "yes")  # type: ignore[arg-type]
    with pytest.raises(ActionRefused):
        policy.held("the past is shown").send_canary(components, "orders", "k", "v", "yes")  # type: ignore[arg-type]
    told = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["outcome"] for line in told] == ["allowed", "done", "allowed", "failed", "refused"]
    assert {line["action"] for line in told} == {"send_canary"}


@pytest.mark.parametrize(("name", "said"), [("q", 'no pipeline "q"'), ("bare", "the pipeline bare has no canary")])
def test_a_pipeline_without_canary_is_wrong_use(
    config: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert run(config, name, "--yes") == 2
    assert said in capsys.readouterr().err


def hop(name: str, is_present: Any, late_after: float | None = None) -> Hop:
    return Hop(name, is_present, late_after)


def test_a_hop_that_hangs_or_fails_keeps_no_other_from_being_timed() -> None:
    release = threading.Event()

    def fail(_: Sent) -> bool:
        raise QueryFailed("no such table")

    hops = [hop("hangs", lambda _: release.wait(30)), hop("fails", fail), hop("end", lambda _: True)]
    seen: list[str] = []
    passages = follow(hops, SENT, 0.1, 30, lambda name, _: seen.append(name), grace=0.1)
    release.set()
    assert [(p.hop, p.outcome) for p in passages] == [
        ("orders", Outcome.SEEN),
        ("hangs", Outcome.UNKNOWN),
        ("fails", Outcome.UNKNOWN),
        ("end", Outcome.SEEN),
    ]
    assert (passages[1].error, passages[2].error) == ("no response yet", "no such table")
    assert seen == ["end"]


def test_a_hop_takes_what_goes_by_after_the_hops_before() -> None:
    wait = threading.Event().wait
    hops = [
        hop("first", lambda _: not wait(0.3), late_after=0.2),
        hop("second", lambda _: not wait(0.3), late_after=0.2),
    ]
    topic, first, second = follow(hops, SENT, 100.0, 200)
    assert (topic.after, topic.took) == (0.0, 100.0), "what sending took is no hop's"
    assert first.outcome is Outcome.LATE
    assert first.took == first.after
    assert second.after is not None
    assert first.after is not None
    assert second.took == max(0.0, second.after - first.after)
    assert first.after >= 0.3


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('{ stage = "bill" }', '{ stage = "bil" }', 'hops[1].stage: there is no stage "bil"; did you mean "bill"?'),
        ('{ stage = "bill" }', '{ stage = "orders" }', "a canary cannot be detected in a stage of kind topic"),
        (
            '{ stage = "bill" }',
            '{ stage = "bill", where = "x" }',
            "bill has offsets, not rows, so `where` does not apply",
        ),
        ('{ stage = "bill" }', "{ }", "hops[1]: needs exactly one of `stage` and `relation`"),
        ('"lake.b.o"', '"b.o"', "hops[4].relation: must be catalog.schema.name"),
        ("late_after = 9", "late_after = 0", "late_after"),
        (
            "\"id = '$id'\", late",
            '"true", late',
            'hops[4].where: must match only the canary\'s row: it needs "$id"',
        ),
        ('"at": "$now"', '"at": "$nwo"', 'canary.value: "$nwo" is unknown; known are $id, $now'),
        ('"at": "$now"', '"at": "$"', 'canary.value: has a "$" without a field name'),
        ("timeout = 30", 'timeout = 30\nmark = "x y"', "canary.mark: may only contain letters"),
        ("timeout = 30", 'timeout = 30\nkey = "k"', ""),
        ("timeout = 30", "timeout = 30\nfrob = 1", "pipelines.p.canary: unknown key 'frob'"),
    ],
)
def test_what_is_wrong_with_its_settings_is_said(tmp_path: Path, before: str, after: str, said: str) -> None:
    text = CONFIG.format(read_only="false", checkpoint="/c")
    assert before in text
    path = tmp_path / "dataops.toml"
    path.write_text(text.replace(before, after))
    problems = find_problems(path)
    assert said in "\n".join(problems)
    assert bool(problems) == bool(said)
