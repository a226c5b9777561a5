"""The verdict on simulated pipelines: bursts and quiet times, probes that look at other moments, are late or fail.

A stage that keeps up is never stuck, and one that stops is named, alone, after its stall time.
`DATAOPS_TEST_SEEDS=1000` tries more pipelines.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from tests.orders import CHAIN, T0, results, seconds
from tests.settings import RULES, THRESHOLDS, PipelineSettings

from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import HealthSnapshot, StageState, Status
from dataops_core.health.observation import Advance, Observation, ProbeResult

SEEDS = int(os.environ.get("DATAOPS_TEST_SEEDS", "15"))
LENGTH = 900
"""Seconds that are simulated."""
REFRESH = 5.0
DEADLINE = 8.0
"""Seconds after which a probe that hangs has failed."""
STALL_AFTER = 20.0
LONGEST_BATCH = 6.0
LONGEST_COPY = 7.0
"""Seconds that a table takes to follow another one, at most twice: a record may just have missed a copy."""
TOLERATED = 5.1
"""Hop lag in seconds that is no lag, but for unread records."""
NAMES = ("orders", "land", "bronze", "view", "report")


def chain() -> PipelineSettings:
    raw = CHAIN.model_dump(mode="json", exclude_unset=True)
    stages = [stage for stage in raw["stages"] if stage["name"] in NAMES]
    view = {**stages.pop(), "every": REFRESH, "lag_ok": TOLERATED - REFRESH}
    stages += [{**view, "reads": ["bronze"]}, {**view, "name": "report", "reads": ["view"]}]
    return PipelineSettings.model_validate({**raw, "stages": stages})


@dataclass(frozen=True)
class Batch:
    """Records up to a number (exclusive) that a query has planned, written and committed, in seconds."""

    end: int
    written: float
    committed: float


@dataclass
class Pipeline:
    """Records in a topic, a streaming query that writes them to a table, and two tables that follow it one by one.

    Attributes:
        stops: When stages stop for good, in seconds; by name.
        arrivals: When each record arrives, in seconds.
        advances: Of the table that the query writes.
        copies: When the tables behind it advance, and to which progress, in seconds; by name.
    """

    random: Random
    stops: dict[str, float] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)
    copies: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = 0.0
        while now < LENGTH:
            end, rate = now + self.random.uniform(1, 120), self.random.choice((0.2, 1.0, 5.0))
            while now < end:
                self.arrivals.append(now)
                now += self.random.expovariate(rate)
            now += self.random.choice((0.0, 5.0, 25.0, 90.0, 200.0))
        now, end = 0.0, 0
        while (now := now + 2.0) < self.stops.get("land", LENGTH):
            arrived = bisect_right(self.arrivals, now)
            if arrived > end:
                written = now + self.random.uniform(0.2, LONGEST_BATCH - 0.3)
                self.batches.append(Batch(arrived, written, written + self.random.uniform(0, 0.3)))
                now, end = self.batches[-1].committed, arrived
        written = [(batch.written, self.arrivals[batch.end - 1]) for batch in self.batches]
        for before, batch in pairwise((None, *self.batches)):
            if batch is not None:
                first, last = self.arrivals[before.end if before else 0], self.arrivals[batch.end - 1]
                times = (T0 + seconds(each) for each in (batch.written, last, first))
                self.advances.append(Advance(*times, first=before is None))
        self.copies["view"] = list(self._copied(written, self.stops.get("view", LENGTH)))
        self.copies["report"] = list(self._copied(self.copies["view"], self.stops.get("report", LENGTH)))

    def _copied(self, source: list[tuple[float, float]], stops: float) -> Iterator[tuple[float, float]]:
        """Return when a table that follows another one advances, and to which progress."""
        now, progress = 0.0, -1.0
        while now < stops:
            at = bisect_right(source, (now, LENGTH))
            now += self.random.uniform(1, LONGEST_COPY)
            if at and source[at - 1][1] > progress:
                progress = source[at - 1][1]
                yield now, progress

    def observe(self, name: str, at: float) -> Observation:
        """Return what a probe reports of a stage, with the fields that the probe of its kind sets."""
        now = T0 + seconds(at)
        if name in ("orders", "land"):
            return self._by_offsets(name, at)
        if name == "bronze":
            advances = tuple(advance for advance in self.advances if advance.at <= now)[-20:]
            if not advances:
                return Observation(name, now, position=0)
            reached, advanced = advances[-1].progress_time, advances[-1].at
            return Observation(name, now, progress_time=reached, advanced_at=advanced, advances=advances)
        copies = self.copies[name][: bisect_right(self.copies[name], (at, LENGTH))]
        if not copies:
            return Observation(name, now, position=0)
        advanced, reached = (T0 + seconds(each) for each in copies[-1])
        return Observation(name, now, progress_time=reached, advanced_at=advanced)

    def _by_offsets(self, name: str, at: float) -> Observation:
        now, arrived = T0 + seconds(at), bisect_right(self.arrivals, at)
        newest = T0 + seconds(self.arrivals[arrived - 1])
        if name == "land":
            committed = [batch for batch in self.batches if batch.committed <= at]
            if not committed:
                return Observation(name, now)
            read = committed[-1].end
            unread = T0 + seconds(self.arrivals[read]) if read < arrived else None
            return Observation(
                name,
                now,
                progress_time=unread or newest,
                position=read,
                lag_records=arrived - read,
                pending_since=unread,
                newest_passed=T0 + seconds(self.arrivals[read - 1]) if unread else None,
                advanced_at=T0 + seconds(committed[-1].committed),
            )
        return Observation(name, now, progress_time=newest, position=arrived, newest_passed=newest, advanced_at=newest)

    def waits_since(self, name: str) -> float:
        """Return since when a stage that stops has input that it never takes, in seconds; at the latest, the end."""
        if name == "land":
            read = self.batches[-1].end
            return self.arrivals[read] if read < len(self.arrivals) else LENGTH
        source = (
            self.copies["view"] if name == "report" else [(b.written, self.arrivals[b.end - 1]) for b in self.batches]
        )
        return next((at for at, progress in source if progress > self.copies[name][-1][1]), LENGTH)


def snapshots(pipeline: Pipeline, random: Random) -> Iterator[tuple[float, HealthSnapshot]]:
    """Return what is shown at each refresh; a probe that is late or hangs leaves the result before it."""
    settings = chain()
    shown: dict[str, ProbeResult] = {}
    running: dict[str, tuple[float, Observation | str]] = {}
    previous: HealthSnapshot | None = None
    for number in range(1, int(LENGTH / REFRESH)):
        now = number * REFRESH
        for name in NAMES:
            if name not in running:
                ends, seen = now - random.uniform(0, 0.5), pipeline.observe(name, now - random.uniform(0.5, 1.0))
                running[name] = (ends, seen)
                if random.random() < 0.1:
                    late = random.uniform(0, 2 * DEADLINE)
                    running[name] = (ends + late, seen) if late < DEADLINE else (ends + DEADLINE, "no response")
            ends, what = running[name]
            if ends <= now:
                (shown[name],) = (r for r in results({name: what}, T0 + seconds(now)) if r.stage == name)
                del running[name]
        known = [*shown.values(), *results({}, T0 + seconds(now))]
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


@pytest.mark.parametrize("name", ["land", "view", "report"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_stage_that_stops_is_named_alone_and_in_time(name: str, seed: int) -> None:
    random = Random(seed)
    pipeline = Pipeline(random, {name: random.uniform(100, LENGTH - 300)})
    waits = pipeline.waits_since(name)
    due = waits + STALL_AFTER + LONGEST_BATCH + DEADLINE + 3 * REFRESH
    for now, snapshot in snapshots(pipeline, random):
        shown = snapshot.pipeline("p")
        stuck = [stage.name for stage in shown.stages if stage.own_state is StageState.STUCK]
        if now < waits + STALL_AFTER:
            assert not stuck, now
        assert set(stuck) <= {name}, now
        if any(stage.error for stage in shown.stages):
            due += REFRESH
        elif now > due and (name == "land" or (shown.stage(name).hop_lag or 0) > TOLERATED):
            assert stuck == [name], (now, waits, shown.stage(name).reason)
            assert shown.verdict.check_id == f"{name}/stuck", now
