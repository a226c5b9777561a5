"""Break the real stack, one component at a time, and look through `dataops probe` and through the console at once."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.e2e.conftest import Stack, send
from tests.screen import heartbeat, until_shown
from textual.pilot import Pilot

from dataops_core.health.model import StageHealth
from dataops_core.recorder.recorded import RecordedMonitor
from dataops_core.systems.registry import load_settings
from dataops_tui.app import DataopsApp

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

LAND = "land_readings"
STAGES = [
    "logger-readings",
    LAND,
    "bronze.readings",
    "conform_readings",
    "silver.readings",
    "assess_shipments",
    "gold.shipment_exposure",
    "trino.shipment_exposure",
]
"""Those of a stack without `detect_excursions`, which is a branch of its own."""
AIRFLOW = ["airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"]
FLOWS = ("caught_up", "idle", "behind", "affected")
"""States while data flows; where something stands still, one stage or component is in another one."""
BURST = 750_000
"""Records: 30 batches of `land_readings`, each at a trigger of its own, so that several refreshes see the lag fall."""
FREEZE = 5.0
"""Seconds that the event loop may stand still: less than a probe may take, more than a loaded machine does."""

Seen = dict[str, Any]


@pytest.fixture(scope="module")
def simulated(stack: Stack) -> Iterator[None]:
    """Let readings flow."""
    stack.start("simulator")
    yield
    stack.stop("simulator")


@pytest.fixture(autouse=True)
def flow(simulated: None, stack: Stack) -> None:
    """Wait until readings reach the last stage, whatever the test before has left behind."""
    stack.probe_until("data reaches gold", flows, within=600)


def flows(seen: Seen) -> bool:
    return all(stage["state"] in FLOWS for stage in seen["stages"].values())


@asynccontextmanager
async def console(stack: Stack) -> AsyncIterator[Pilot[None]]:
    """Run the console on the stack; fails if it froze meanwhile."""
    settings = load_settings(stack.config)
    recorder = settings.recorder.model_copy(update={"folder": stack.state / "recordings"})
    settings = settings.model_copy(update={"recorder": recorder})
    app = DataopsApp(settings, None, lambda: RecordedMonitor(settings))
    async with app.run_test(size=(160, 48)) as pilot, heartbeat() as gaps:
        await until_shown(app, lambda text: LAND in text and "… starting" not in text, "all stages", 60)
        yield pilot
        await pilot.press("question_mark")
        await until_shown(app, lambda text: "Active keys" in text, "the help", 10)
        await pilot.press("escape")
        assert max(gaps) < FREEZE, "the console froze"


@asynccontextmanager
async def stopped(stack: Stack, *names: str) -> AsyncIterator[None]:
    """Stop programs, and start them again at the end; the console goes on meanwhile."""
    await asyncio.to_thread(stack.stop, *names)
    try:
        yield
    finally:
        await asyncio.to_thread(stack.start, *names)


async def look_until(stack: Stack, what: str, good: Callable[[Seen], bool], within: float) -> Seen:
    """Look through `dataops probe` while the console goes on."""
    return await asyncio.to_thread(stack.probe_until, what, good, within)


def line(text: str, name: str) -> str:
    """Return the table row of a stage on the home screen: glyph and word of its state, its name, figures."""
    row = re.compile(rf" \S [a-z ]+?  +{re.escape(name)}  +")
    return next((line for line in text.splitlines() if row.match(line)), "")


async def until_row(pilot: Pilot[None], name: str, word: str, within: float) -> str:
    return await until_shown(pilot.app, lambda text: word in line(text, name), f"{name} is {word}", within)


async def until_all_flow(stack: Stack, pilot: Pilot[None]) -> None:
    await look_until(stack, "everything flows again", flows, within=300)
    good = ("● ok", "▲ warning")
    await until_shown(pilot.app, lambda text: any(word in text for word in good), "the console's status", 60)


def health(pilot: Pilot[None], name: str) -> StageHealth:
    app = pilot.app
    assert isinstance(app, DataopsApp)
    assert app.snapshot is not None
    return app.snapshot.pipelines[0].stage(name)


def down(seen: Seen, component: str, blind: list[str]) -> bool:
    """Tell whether a component is known to be down and what it answers for is unknown or failed."""
    return seen["components"][component]["reachable"] is False and all(
        seen["stages"][name]["state"] in ("unknown", "failed") for name in blind
    )


def assert_others_live(seen: Seen, components: set[str], stages: list[str]) -> None:
    assert seen["exit"] in (2, 3)
    assert seen["verdict"]["status"] in ("critical", "unknown")
    for name, component in seen["components"].items():
        if name not in components:
            assert component["reachable"], name
    for name in stages:
        assert seen["stages"][name]["error"] is None, name
        assert seen["stages"][name]["observation"]["observed_at"] is not None, name


@pytest.mark.long
async def test_spark_stopped_is_named_with_growing_lag_then_eta_then_caught_up(stack: Stack) -> None:
    below = STAGES[2:]
    async with console(stack) as pilot:
        async with stopped(stack, LAND):
            seen = await look_until(stack, "stuck", lambda s: s["stages"][LAND]["state"] == "stuck", within=30)
            text = await until_row(pilot, LAND, "■ stuck", 10)
            assert f"{LAND} is stuck since" in text
            assert seen["exit"] == 2
            assert seen["verdict"]["stage"] == LAND
            assert seen["verdict"]["check_id"] == f"{LAND}/stuck"
            assert seen["verdict"]["blast_radius"] == below
            for name in below:
                stage = seen["stages"][name]
                assert stage["affected_by"] == LAND
                if stage["own"]["state"] in ("caught_up", "idle"):  # else it waits for its DAG's next run
                    assert stage["state"] == "affected", name
                    assert "↳ affected" in line(text, name)
            first = seen["stages"][LAND]
            before = health(pilot, LAND)

            await asyncio.to_thread(burst, stack)
            later = (await asyncio.to_thread(stack.probe))["stages"][LAND]
            assert later["hop_lag"] > first["hop_lag"]
            assert later["observation"]["lag_records"] > first["observation"]["lag_records"] + BURST
            await until_shown(
                pilot.app, lambda _: (health(pilot, LAND).hop_lag or 0) > (before.hop_lag or 0), "lag", 15
            )

        text = await until_shown(
            pilot.app,
            # Whatever waits further down may have one earlier.
            lambda text: health(pilot, LAND).eta is not None and "; ETA " in text,
            "an ETA",
            120,
        )
        assert "■ stuck" not in line(text, LAND)
        await until_row(pilot, LAND, "● caught up", 240)
        await until_all_flow(stack, pilot)


def burst(stack: Stack) -> None:
    """Send many records at once, beside the simulator that runs."""
    send(stack, BURST, day="2013-02-01")


@pytest.mark.long
async def test_trino_down_and_then_without_workers(stack: Stack) -> None:
    """Without workers, it takes queries and none of them begins."""
    config = stack.state / "trino/etc/config.properties"
    before = config.read_text()
    alone = before.replace("include-coordinator=true", "include-coordinator=false")
    assert alone != before
    blind = ["trino.shipment_exposure"]
    others = [name for name in STAGES if name not in blind]
    async with console(stack) as pilot:
        try:
            async with stopped(stack, "trino"):
                seen = await look_until(stack, "trino is down", lambda s: down(s, "trino", blind), within=60)
                assert_others_live(seen, {"trino"}, others)
                assert seen["verdict"]["check_id"] == "trino/unreachable"
                assert all(seen["stages"][name]["state"] in FLOWS for name in others)
                await until_row(pilot, blind[0], "? unknown", 60)
                await until_shown(pilot.app, lambda text: "trino ✖ unavailable" in text, "trino's mark", 10)
                config.write_text(alone)
            seen = await look_until(
                stack, "no workers", lambda s: s["verdict"]["check_id"] == "trino/no-workers", within=120
            )
        finally:
            async with stopped(stack, "trino"):
                config.write_text(before)
        assert_others_live(seen, set(), others)
        assert (seen["verdict"]["stage"], seen["verdict"]["component"]) == (None, "trino")
        assert seen["verdict"]["sentence"].startswith("trino: it has fewer workers")
        assert seen["verdict"]["sentence"].endswith("; failed: trino.shipment_exposure")
        assert seen["stages"][blind[0]]["affected_by"] == "trino"
        assert seen["verdict"]["remedy"]["text"].startswith("Start workers")
        await until_all_flow(stack, pilot)


@pytest.mark.long
async def test_trino_hung(stack: Stack) -> None:
    """It takes connections and never answers."""
    pid = int((stack.state / "pids" / "trino").read_text())
    async with console(stack) as pilot:
        os.kill(pid, signal.SIGSTOP)
        try:
            blind = ["trino.shipment_exposure"]
            seen = await look_until(stack, "trino is down", lambda s: down(s, "trino", blind), within=60)
            assert_others_live(seen, {"trino"}, [name for name in STAGES if name not in blind])
            assert "no response within" in seen["components"]["trino"]["error"]
            await until_row(pilot, blind[0], "? unknown", 60)
            await asyncio.to_thread(refuse_quickly, stack)
        finally:
            os.kill(pid, signal.SIGCONT)
        await until_all_flow(stack, pilot)


def refuse_quickly(stack: Stack) -> None:
    """A statement ends with one line, and not never."""
    done = stack.dataops("sql", "SELECT 1", timeout=60)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "no response within" in done.stderr


@pytest.mark.long
async def test_airflow_down(stack: Stack) -> None:
    async with console(stack) as pilot:
        async with stopped(stack, *AIRFLOW):
            blind = ["conform_readings", "assess_shipments"]
            seen = await look_until(stack, "airflow is down", lambda s: down(s, "airflow", blind), within=60)
            assert_others_live(seen, {"airflow"}, [name for name in STAGES if name not in blind])
            assert seen["stages"][LAND]["state"] in FLOWS
            for name in blind:
                await until_row(pilot, name, "? unknown", 60)
            await pilot.press("colon", *"dags", "enter")
            await until_shown(pilot.app, lambda text: "cannot be reached" in text, "why there are no DAGs", 30)
            await pilot.press("escape")
        await until_all_flow(stack, pilot)


@pytest.mark.long
async def test_catalog_and_store_down(stack: Stack) -> None:
    """One program is both here: nothing can be read from the lake or written to it."""
    async with console(stack) as pilot:
        async with stopped(stack, "store"):
            blind = ["bronze.readings", "silver.readings", "gold.shipment_exposure"]
            seen = await look_until(
                stack,
                "the lake is down, and land_readings held up by it",
                lambda s: down(s, "lake", blind) and s["stages"][LAND]["own"]["state"] == "stuck",
                within=90,
            )
            assert_others_live(
                seen, {"lake", "lake store"}, ["logger-readings", LAND, "conform_readings", "assess_shipments"]
            )
            assert seen["stages"]["logger-readings"]["state"] == "caught_up"
            assert seen["stages"]["trino.shipment_exposure"]["state"] in ("unknown", "affected")
            assert seen["verdict"]["check_id"] == "lake/unreachable"
            assert f"stuck: {LAND}" in seen["verdict"]["sentence"]
            assert (seen["stages"][LAND]["state"], seen["stages"][LAND]["affected_by"]) == ("affected", "lake")
            for name in blind:
                await until_row(pilot, name, "? unknown", 60)
            await until_shown(pilot.app, lambda text: "lake ✖ unavailable" in text, "the lake's mark", 10)
        await until_all_flow(stack, pilot)


async def test_catalog_and_store_hung(stack: Stack) -> None:
    """They take connections and never answer: no stage is blamed for it at any time, and Trino has its workers."""
    pid = int((stack.state / "pids" / "store").read_text())
    async with console(stack) as pilot:
        blamed: dict[str, str] = {}

        def lake_is_the_verdict(_: str) -> bool:
            app = pilot.app
            assert isinstance(app, DataopsApp)
            assert app.snapshot is not None
            pipeline = app.snapshot.pipelines[0]
            verdict = pipeline.verdict
            if verdict.check_id is not None and verdict.status.value in ("critical", "unknown"):
                blamed.setdefault(verdict.check_id, verdict.sentence)
            return (verdict.component, verdict.status.value) == ("lake", "critical")

        await until_all_flow(stack, pilot)
        os.kill(pid, signal.SIGSTOP)
        try:
            text = await until_shown(pilot.app, lake_is_the_verdict, "that the lake holds the pipeline back", 120)
            assert "lake hangs" in text
            assert health(pilot, LAND).affected_by == "lake"
            await until_row(pilot, LAND, "↳ affected", 10)
            stages = {name for name in blamed if name.startswith(tuple(STAGES)) and not name.endswith("/hung")}
            assert not stages, blamed
            assert not [name for name in blamed if name.startswith("trino/")], blamed
        finally:
            os.kill(pid, signal.SIGCONT)
        await until_all_flow(stack, pilot)


async def test_kafka_down(stack: Stack) -> None:
    async with console(stack) as pilot:
        async with stopped(stack, "kafka"):
            blind = ["logger-readings", LAND]
            seen = await look_until(stack, "kafka is down", lambda s: down(s, "kafka", blind), within=60)
            assert_others_live(seen, {"kafka"}, [name for name in STAGES if name not in blind])
            assert seen["verdict"]["check_id"] == "kafka/unreachable"
            for name in blind:
                await until_row(pilot, name, "? unknown", 60)
        await until_all_flow(stack, pilot)
