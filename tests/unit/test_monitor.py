"""The monitor: probes run beside each other, and a hung, failing or broken one holds up nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.settings import Settings

from dataops_core import monitor as monitor_module
from dataops_core.errors import Unreachable
from dataops_core.health.model import HealthSnapshot, StageState
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.base import ComponentKind, ComponentProbe, ComponentReport
from dataops_core.systems.clients import Clients

SETTINGS = Settings.model_validate(
    {
        "refresh": 1,
        "probe_timeout": 1,
        "contexts": {"c": {"kafka": {"bootstrap_servers": "127.0.0.1:1"}}},
        "pipelines": {
            "p": {
                "context": "c",
                "stages": [
                    {"name": "a", "kind": "topic", "topic": "a"},
                    {"name": "b", "kind": "topic", "topic": "b"},
                ],
            }
        },
    }
)


@pytest.fixture
def steered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], Observation]]:
    """Let a test say what the probe of each stage does."""
    answers: dict[str, Callable[[], Observation]] = {}

    def good(name: str) -> Observation:
        now = datetime.now(UTC)
        return Observation(name, now, progress_time=now, position=1, advanced_at=now)

    def observe(stage: Any, clients: Any) -> Observation:
        return answers.get(stage.name, lambda: good(stage.name))()

    probe = ComponentProbe("kafka", "k:1", lambda: ComponentReport("fine"))
    monkeypatch.setattr(Clients, "observe", lambda self, stage: observe(stage, self))
    monkeypatch.setattr(Clients, "probes", lambda _: {"kafka": probe})
    return answers


def state(snapshot: HealthSnapshot, name: str) -> StageState:
    return snapshot.pipeline("p").stage(name).state


def test_all_probes_are_run_once(steered: dict[str, Callable[[], Observation]]) -> None:
    snapshot = Monitor(SETTINGS).once()
    assert state(snapshot, "a") is state(snapshot, "b") is StageState.CAUGHT_UP
    assert [component.reachable for component in snapshot.components] == [True]


def test_a_view_that_has_failed_is_asked_again_at_each_look_and_one_that_is_well_is_not(
    steered: dict[str, Callable[[], Observation]],
) -> None:
    asked = []
    failures = iter(["no workers", None])

    def observe() -> Observation:
        now = datetime.now(UTC)
        asked.append(now)
        return Observation("v", now, failure=next(failures))

    steered["v"] = observe
    settings = SETTINGS.model_dump()
    settings["pipelines"]["p"]["stages"] += ({"name": "v", "kind": "trino_view", "relation": "l.g.v", "every": 60},)
    monitor = Monitor(Settings.model_validate(settings))
    states = [state(monitor.once(due_only=True), "v") for _ in range(3)]
    assert states[0] is StageState.FAILED
    assert states[1] is states[2] is not StageState.FAILED
    assert len(asked) == 2


def test_a_stage_that_rests_is_probed_at_once_when_its_component_changes(
    steered: dict[str, Callable[[], Observation]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[datetime] = []
    trino = {"available": True}

    def observe() -> Observation:
        now = datetime.now(UTC)
        asked.append(now)
        return Observation("v", now, progress_time=now)

    def report() -> ComponentReport:
        if not trino["available"]:
            raise Unreachable("trino: connection refused")
        return ComponentReport("fine")

    steered["v"] = observe
    monkeypatch.setattr(Clients, "probes", lambda _: {"trino": ComponentProbe("trino", "t:1", report)})
    settings = SETTINGS.model_dump()
    view = {"name": "v", "kind": "trino_view", "relation": "l.g.v", "every": 60, "reads": ["b"]}
    settings["pipelines"]["p"]["stages"] += (view,)
    monitor, probed, states = Monitor(Settings.model_validate(settings)), [], []
    for available in (True, False, False, True, True):
        trino["available"] = available
        snapshot = monitor.once(due_only=True)
        probed.append(len(asked))
        states.append(state(snapshot, "v"))
    assert probed == [1, 2, 2, 3, 3]
    assert set(states) == {StageState.CAUGHT_UP}, "its own probe is fine"


@pytest.mark.programs
def test_a_probe_that_hangs_is_unknown_after_its_deadline_and_the_others_are_live(
    steered: dict[str, Callable[[], Observation]],
) -> None:
    release = threading.Event()

    def hang() -> Observation:
        release.wait(30)
        raise Unreachable("too late")

    steered["b"] = hang
    try:
        monitor = Monitor(SETTINGS)
        snapshot = monitor.once()
        assert state(snapshot, "a") is StageState.CAUGHT_UP
        assert state(snapshot, "b") is StageState.UNKNOWN
        assert snapshot.pipeline("p").stage("b").error == "kafka: no response within 1s"
        threads = threading.active_count()
        assert state(monitor.once(), "b") is StageState.UNKNOWN
        assert threading.active_count() <= threads, "a hung probe keeps its one thread"
    finally:
        release.set()


@pytest.mark.parametrize(
    ("error", "said"),
    [(Unreachable("kafka: refused"), "kafka: refused"), (ZeroDivisionError("x"), "the probe itself failed: ZeroDivi")],
)
def test_a_probe_that_fails_says_why(
    steered: dict[str, Callable[[], Observation]], error: Exception, said: str
) -> None:
    def fail() -> Observation:
        raise error

    steered["b"] = fail
    snapshot = Monitor(SETTINGS).once()
    assert state(snapshot, "a") is StageState.CAUGHT_UP
    assert state(snapshot, "b") is StageState.UNKNOWN
    assert said in (snapshot.pipeline("p").stage("b").error or "")


def test_what_cannot_be_concluded_once_does_not_end_the_watching(
    steered: dict[str, Callable[[], Observation]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = iter([OverflowError("too far")])
    evaluate = Monitor._evaluate

    def sometimes(self: Monitor) -> HealthSnapshot:
        for error in rounds:
            raise error
        return evaluate(self)

    monkeypatch.setattr(Monitor, "_evaluate", sometimes)
    arrived = threading.Event()
    monitor = Monitor(SETTINGS)
    monitor.start(lambda _: arrived.set())
    try:
        monitor.refresh()
        assert arrived.wait(20)
    finally:
        monitor.stop()
    assert [record.getMessage() for record in caplog.records] == ["evaluation failed: OverflowError: too far"]


@pytest.mark.programs
def test_it_watches_until_it_is_stopped_and_keeps_what_was_seen_with_its_age(
    steered: dict[str, Callable[[], Observation]],
) -> None:
    came: list[HealthSnapshot] = []
    monitor = Monitor(SETTINGS)
    monitor.start(came.append)
    with pytest.raises(RuntimeError):
        monitor.start(came.append)
    wait_for(lambda: bool(came) and state(came[-1], "b") is StageState.CAUGHT_UP)
    seen_at = came[-1].pipeline("p").stage("b").observed_at

    def fail() -> Observation:
        raise Unreachable("gone")

    steered["b"] = fail
    monitor.refresh()
    wait_for(lambda: state(came[-1], "b") is StageState.UNKNOWN)
    health = came[-1].pipeline("p").stage("b")
    assert health.observation is not None
    assert health.observed_at is not None
    assert seen_at is not None
    assert health.observed_at >= seen_at
    monitor.stop()
    number = len(came)
    time.sleep(1.2)
    assert len(came) == number


def wait_for(good: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_sdk_that_cannot_be_imported_fails_its_own_probes_alone(
    steered: dict[str, Callable[[], Observation]], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"kafka"}

    def prepare(kind: Any) -> None:
        if isinstance(kind, ComponentKind) and kind.name in broken:
            raise ImportError("no module of that name")

    monkeypatch.setattr(monitor_module, "prepare", prepare)
    monitor = Monitor(SETTINGS)
    snapshot = monitor.once()
    assert state(snapshot, "a") is StageState.CAUGHT_UP
    (kafka,) = snapshot.components
    assert kafka.reachable is not True
    assert kafka.error == "the probe itself failed: ImportError: no module of that name"
    broken.clear()
    (kafka,) = monitor.once().components
    assert kafka.reachable, "it is tried again at the next look"
