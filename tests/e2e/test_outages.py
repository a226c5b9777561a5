"""Break the real stack, one component at a time, and look through `dataops probe` and through the console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.conftest import Stack, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

LAND = "land_readings"
BELOW = ["bronze.readings", "conform_readings", "silver.readings", "assess_shipments", "gold.shipment_exposure"]


@pytest.fixture(scope="module", autouse=True)
def flow(stack: Stack) -> Iterator[None]:
    """Let readings flow, and wait until they reach the last stage."""
    stack.local("start", "simulator")
    until("data reaches gold", stack.probe, lambda seen: seen["exit"] in (0, 1) and flows(seen), within=600)
    yield
    stack.local("stop", "simulator")


def flows(seen: dict) -> bool:
    return all(stage["state"] in ("caught_up", "idle", "behind") for stage in seen["stages"].values())


def test_spark_stopped_is_named_with_growing_lag_then_eta_then_caught_up(stack: Stack) -> None:
    stack.local("stop", LAND)
    seen = until("land_readings is stuck", stack.probe, lambda s: s["stages"][LAND]["state"] == "stuck", within=30)
    assert seen["exit"] == 2
    assert seen["verdict"]["stage"] == LAND
    assert seen["verdict"]["check_id"] == "land_readings/stuck"
    assert seen["verdict"]["blast_radius"][: len(BELOW)] == BELOW
    for name in BELOW:
        assert seen["stages"][name]["affected_by"] == LAND
        assert seen["stages"][name]["state"] not in ("stuck", "failed", "slow"), name
    first = seen["stages"][LAND]
    later = stack.probe()["stages"][LAND]
    assert later["hop_lag"] > first["hop_lag"]
    assert later["observation"]["lag_records"] > first["observation"]["lag_records"]
    stack.local("start", LAND)
    until("caught up", stack.probe, lambda s: s["stages"][LAND]["state"] == "caught_up", within=180)
