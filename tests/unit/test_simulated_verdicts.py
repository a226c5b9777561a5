"""The verdict on simulated pipelines: bursts and quiet times, probes that look at other moments, are late or fail.

A stage that keeps up is never stuck, and one that stops is named, alone, after its stall time. So is a component that
hangs, and none of the stages that it stops.
`DATAOPS_TEST_SEEDS=1000` tries more pipelines.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from tests.orders import CHAIN, T0, results, seconds
from tests.settings import RULES, THRESHOLDS, PipelineSettings

from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import HealthSnapshot, StageState, Status
from dataops_core.health.observation import Activity, Advance, Observation, ProbeResult

SEEDS = int(os.environ.get("DATAOPS_TEST_SEEDS", "6"))
LENGTH = 900
"""Seconds that are simulated."""
REFRESH = 5.0
DEADLINE = 8.0
"""Seconds after which a probe that hangs has failed."""
CHAINED = {
    "orders": "",
    "land": "orders",
    "bronze": "land",
    "view": "bronze",
    "report": "view",
    "conform": "bronze",
    "silver": "conform",
}
"""The input of each stage."""
TAKES = {"land": (0.2, 6.0), "view": (1.0, 7.0), "report": (1.0, 7.0), "conform": (5.0, 25.0)}
"""Shortest and longest time in seconds that a batch, a copy or a run takes."""
EVERY = {"land": 2.0, "view": 0.0, "report": 0.0, "conform": 60.0}
"""Seconds between two starts."""
STALL_AFTER = {"land": 20.0, "view": 20.0, "report": 20.0, "conform": 120.0}
SEEN_BY = {
    "kafka": ("orders", "land"),
    "lake": ("bronze", "silver"),
    "trino": ("view", "report"),
    "airflow": ("conform",),
}
"""The stages that cannot be observed without a component."""
STOPPED_BY = {
    "kafka": ("land",),
    "lake": ("land", "view", "conform"),
    "trino": ("view", "report"),
    "airflow": ("conform",),
}
"""The stages that make no progress without a component."""
LAG_OK = {"view": 0.1, "report": 0.1, "conform": 60.0}


def chain(lag_ok: dict[str, float]) -> PipelineSettings:
    raw = CHAIN.model_dump(mode="json", exclude_unset=True)
    kinds = {stage["name"]: stage for stage in raw["stages"]}
    view = {**kinds["view"], "every": REFRESH, "lag_ok": lag_ok["view"], "reads": ["bronze"]}
    conform = {**kinds["conform"], "lag_ok": lag_ok["conform"], "stall_after": STALL_AFTER["conform"]}
    silver = {**kinds["silver"], "lag_ok": lag_ok["view"], "stall_after": STALL_AFTER["view"]}
    stages = [*raw["stages"][:3], view, {**view, "name": "report", "reads": ["view"]}, conform, silver]
    return PipelineSettings.model_validate({**raw, "stages": stages})


@dataclass(frozen=True)
class Run:
    """A batch, a copy or a run: it takes what is there when it starts; all in seconds.

    Attributes:
        written: When its output is there.
        ended: When it has ended, and is known to have succeeded.
        oldest: When the oldest record arrived that it has taken.
        newest: When the newest record arrived that it has taken.
    """

    started: float
    written: float
    ended: float
    oldest: float
    newest: float


@dataclass
class Pipeline:
    """A topic, a query that writes it to a table, two tables that follow it one by one, and a DAG that writes a third.

    Attributes:
        stops: When stages stop for good, in seconds; by name.
        quiet: Between two bursts, in seconds.
        bursts: Shortest and longest time that a burst takes, in seconds.
        rates: Records per second in a burst.
        leaves_out: How far the newest record that a view or a report shows is behind what it has read, in seconds.
        arrivals: When each record arrives in the topic, in seconds.
        runs: Of each stage.
    """

    random: Random
    stops: dict[str, float] = field(default_factory=dict)
    quiet: tuple[float, ...] = (0.0, 5.0, 25.0, 90.0, 200.0)
    bursts: tuple[float, float] = (1.0, 120.0)
    rates: tuple[float, ...] = (0.2, 1.0, 5.0)
    leaves_out: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = 0.0
        while now < LENGTH:
            end, rate = now + self.random.uniform(*self.bursts), self.random.choice(self.rates)
            while now < end:
                self.arrivals.append(now)
                now += self.random.expovariate(rate)
            now += self.random.choice(self.quiet)
        for name in TAKES:
            self.runs[name] = list(self._run(name))

    def _run(self, name: str) -> Iterator[Run]:
        source, now, taken = self._input(name), 0.0, -1.0
        while now < self.stops.get(name, LENGTH):
            new = [newest for at, newest in source if at <= now and newest > taken]
            took = self.random.uniform(*TAKES[name])
            if new:
                written = now + took * self.random.uniform(0.8, 1)
                yield Run(now, written, now + took, new[0], new[-1])
                taken = new[-1]
            now = max(now + took if new or not EVERY[name] else 0.0, now + EVERY[name])

    def _input(self, name: str) -> list[tuple[float, float]]:
        """Return what the input of a stage has passed on: when, and the newest record, in seconds."""
        if name == "land":
            return [(at, at) for at in self.arrivals]
        return [(run.written, run.newest) for run in self.runs["land" if name in ("view", "conform") else "view"]]

    def waits_since(self, name: str) -> float:
        """Return since when a stage that stops has input that it never takes, in seconds; at the latest, the end."""
        return next((at for at, newest in self._input(name) if newest > self.runs[name][-1].newest), LENGTH)

    def lag(self, name: str, at: float) -> float:
        """Return how far a stage is behind its input at a time, in seconds from the first record that it lacks."""
        waits = [
            newest for written, newest in self._input(name) if written <= at and newest > self.runs[name][-1].newest
        ]
        return waits[-1] - waits[0] if waits else 0.0

    def observe(self, name: str, at: float) -> Observation:
        """Return what a probe reports of a stage, with the fields that the probe of its kind sets."""
        now, arrived = T0 + seconds(at), bisect_right(self.arrivals, at)
        newest = T0 + seconds(self.arrivals[arrived - 1])
        if name == "orders":
            return Observation(
                name, now, progress_time=newest, position=arrived, newest_passed=newest, advanced_at=newest
            )
        if name in ("bronze", "silver"):
            advances = tuple(
                Advance(*(T0 + seconds(time) for time in (run.written, run.newest, run.oldest)), first=not number)
                for number, run in enumerate(self.runs[CHAINED[name]])
                if run.written <= at
            )
            last = {"progress_time": advances[-1].progress_time, "advanced_at": advances[-1].at} if advances else {}
            return Observation(name, now, position=len(advances), advances=advances[-20:], **last)
        ended = [run for run in self.runs[name] if (run.written if name in ("view", "report") else run.ended) <= at]
        if not ended:
            return Observation(name, now, position=0)
        advanced, reached = T0 + seconds(ended[-1].ended), T0 + seconds(ended[-1].newest)
        if name == "conform":
            running = any(run.started <= at < run.ended for run in self.runs[name])
            activity, started = Activity.RUNNING if running else Activity.WAITING, T0 + seconds(ended[-1].started)
            return Observation(name, now, progress_time=started, advanced_at=advanced, activity=activity)
        if name != "land":
            shown = reached - seconds(self.leaves_out)
            return Observation(name, now, progress_time=shown, advanced_at=T0 + seconds(ended[-1].written))
        read = bisect_right(self.arrivals, ended[-1].newest)
        unread = T0 + seconds(self.arrivals[read]) if read < arrived else None
        return Observation(
            name,
            now,
            progress_time=unread or newest,
            position=read,
            lag_records=arrived - read,
            pending_since=unread,
            newest_passed=reached if unread else None,
            advanced_at=advanced,
        )


def snapshots(
    pipeline: Pipeline,
    random: Random,
    component: str = "",
    hangs: float = LENGTH,
    lag_ok: dict[str, float] = LAG_OK,
) -> Iterator[tuple[float, HealthSnapshot]]:
    """Return what is shown at each refresh; a probe that is late or hangs leaves the result before it.

    Args:
        pipeline: What is observed.
        random: How.
        component: A component that hangs for good.
        hangs: Since when, in seconds.
        lag_ok: By stage, in seconds; with a component that hangs, no lag counts.
    """
    settings = chain(lag_ok if not component else dict.fromkeys(LAG_OK, LENGTH))
    shown: dict[str, ProbeResult] = {}
    running: dict[str, tuple[float, Observation | str]] = {}
    previous: HealthSnapshot | None = None
    for number in range(1, int(LENGTH / REFRESH)):
        now = number * REFRESH
        for name in CHAINED:
            if name not in running:
                ends, seen = now - random.uniform(0, 0.5), pipeline.observe(name, now - random.uniform(0.5, 1.0))
                running[name] = (ends, seen)
                if now > hangs and name in SEEN_BY[component]:
                    running[name] = (ends + DEADLINE, "no response")
                elif random.random() < 0.1:
                    late = random.uniform(0, 2 * DEADLINE)
                    running[name] = (ends + late, seen) if late < DEADLINE else (ends + DEADLINE, "no response")
            ends, what = running[name]
            if ends <= now:
                (shown[name],) = (r for r in results({name: what}, T0 + seconds(now)) if r.stage == name)
                del running[name]
        down = {component: "no response"} if now > hangs + DEADLINE + REFRESH else {}
        known = [*shown.values(), *results({}, T0 + seconds(now), down)]
        previous = evaluate(previous, known, {"p": settings}, T0 + seconds(now), "test", RULES, THRESHOLDS, REFRESH)
        yield now, previous


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_stage_that_keeps_up_is_never_stuck(seed: int) -> None:
    random = Random(seed)
    for now, snapshot in snapshots(Pipeline(random), random):
        pipeline = snapshot.pipeline("p")
        stuck = [f"{s.name}: {s.reason}" for s in pipeline.stages if s.own_state is StageState.STUCK]
        assert not stuck, now
        assert pipeline.verdict.status is not Status.CRITICAL, now


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_stage_that_leaves_out_the_last_records_of_its_input_is_never_stuck(seed: int) -> None:
    random = Random(seed)
    pipeline = Pipeline(random, quiet=(0.0, 90.0, 200.0), rates=(1.0, 5.0), leaves_out=random.uniform(0, 4))
    for now, snapshot in snapshots(pipeline, random, lag_ok={**LAG_OK, "view": 5.0, "report": 5.0}):
        stuck = [f"{s.name}: {s.reason}" for s in snapshot.pipeline("p").stages if s.own_state is StageState.STUCK]
        assert not stuck, now


SPARSE = {"quiet": (60.0, 200.0), "bursts": (1.0, 10.0), "rates": (1.0, 5.0)}
"""Bursts that a stage may lack without a lag of more than `lag_ok`, each by itself."""


@pytest.mark.parametrize("arrivals", [{}, SPARSE], ids=["any", "sparse"])
@pytest.mark.parametrize("name", TAKES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_stage_that_stops_is_named_alone_and_in_time(name: str, seed: int, arrivals: dict[str, Any]) -> None:
    random = Random(seed)
    pipeline = Pipeline(random, {name: random.uniform(100, LENGTH - 400)}, **arrivals)
    waits = pipeline.waits_since(name)
    late = TAKES[name][1] + DEADLINE + 3 * REFRESH
    due = waits + STALL_AFTER[name] + late
    for now, snapshot in snapshots(pipeline, random):
        shown = snapshot.pipeline("p")
        stuck = [stage.name for stage in shown.stages if stage.own_state is StageState.STUCK]
        if now < waits + STALL_AFTER[name]:
            assert not stuck, now
        assert set(stuck) <= {name}, now
        if any(stage.error for stage in shown.stages):
            due += REFRESH
        # A lag within `lag_ok` plus `every` is none, but for unread records.
        elif now > due and (
            name == "land" or pipeline.lag(name, now - STALL_AFTER[name] - late) > LAG_OK[name] + REFRESH
        ):
            assert stuck == [name], (now, waits, shown.stage(name).reason)
            assert shown.verdict.check_id == f"{name}/stuck", now


@pytest.mark.parametrize("component", SEEN_BY)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_component_that_hangs_is_named_and_no_stage(component: str, seed: int) -> None:
    random = Random(seed)
    hangs = random.uniform(100, LENGTH - 400)
    pipeline = Pipeline(random, dict.fromkeys(STOPPED_BY[component], hangs))
    for now, snapshot in snapshots(pipeline, random, component, hangs):
        verdict = snapshot.pipeline("p").verdict
        assert verdict.check_id is None or not verdict.check_id.endswith("/stuck"), (now, verdict.sentence)
        if now > hangs + 2 * DEADLINE + 2 * REFRESH:
            assert verdict.component == component, (now, verdict.sentence)
