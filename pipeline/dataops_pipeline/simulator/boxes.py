"""Simulation of the boxes, their flights and temperatures, as pure functions of the settings and the day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataops_pipeline.simulator import source

Numbers = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64[Any]]
STEP = np.timedelta64(5, "m")
"""Time between two readings."""
PACKED_BEFORE = pd.Timedelta(hours=6)
APRON_BEFORE = pd.Timedelta(minutes=45)
DELIVERED_AFTER = pd.Timedelta(hours=3)
RETURNED_AFTER = pd.Timedelta(hours=3)
"""After the scheduled departure of a cancelled flight."""

DEPOT_C, HOLD_C, ARRIVAL_C = 18.0, 12.0, 22.0
"""Temperatures around the box in the depot, in the hold, and after arrival, where the source has no weather."""
SUN_C = 8.0
"""Temperature that the sun adds on the apron at noon."""
TAU_HOURS = 2.5
"""Time constant of the box: hours in which it loses two thirds of a difference to the outside."""
LEAK = 0.06
"""Share of the difference to the outside that reaches the box while the coolant lasts."""
DESIGN_DIFFERENCE_C = 15.0
"""Minimum difference to the outside that the coolant is packed for."""
COOLANT_HOURS, COOLANT_SPREAD = 15.0, 2.5
"""Hours that the coolant lasts at the difference that it is packed for: mean and standard deviation."""

CERTIFIED_BEFORE = pd.Timedelta(days=30)
"""Time between the calibration of a logger and its trip."""
RECALIBRATED, RECALIBRATED_AFTER = 0.03, pd.Timedelta(hours=4)
"""Share of loggers whose calibration is replaced during the trip, and the time after packing."""

PRODUCTS = pd.DataFrame(
    [
        ("P-MMR", "Measles vaccine", 2.0, 8.0, 0.5, 15, 60, False, 5.0),
        ("P-INS", "Insulin, in use", 15.0, 25.0, 0.5, 30, 180, False, 20.0),
        ("P-VZV", "Varicella vaccine, frozen", -25.0, -15.0, 1.0, 10, 30, True, -20.0),
        ("P-RNA", "mRNA vaccine, ultra-cold", -90.0, -60.0, 2.0, 5, 15, True, -75.0),
    ],
    columns=[
        "product_id",
        "name",
        "min_c",
        "max_c",
        "tolerance_c",
        "excursion_minutes",
        "alarm_delay_minutes",
        "frozen",
        "setpoint_c",
    ],
)
"""The shipped products; the reference data does not contain `setpoint_c`, which only the simulator uses.

An excursion is a temperature beyond the range by more than `tolerance_c` for `excursion_minutes`.
`alarm_delay_minutes` is the maximum total time out of range over a trip.
"""


@dataclass(frozen=True)
class Settings:
    """Settings of the simulation; the same settings give the same records.

    Attributes:
        seed: Seed of the random numbers.
        boxes_per_day: Number of boxes that depart every day.
        duplicates: Share of readings that are sent a second time.
        conflicts: Share of readings that are sent a second time with another temperature.
        lost: Share of readings that no gateway forwards; only the logger's memory has them.
        garbage: Share of readings that are followed by a malformed copy.
        late: Share of readings that are delayed by minutes to hours.
        clock_ahead: Share of loggers whose clock is hours to days ahead.
        broken_dumps: Share of dumps that cannot be read.
    """

    seed: int = 7
    boxes_per_day: int = 600
    duplicates: float = 0.02
    conflicts: float = 0.001
    lost: float = 0.002
    garbage: float = 0.01
    late: float = 0.05
    clock_ahead: float = 0.01
    broken_dumps: float = 0.01


def shipments(settings: Settings, day: pd.Timestamp) -> pd.DataFrame:
    """Return the boxes that depart on a day, one row each; see `docs/boreal-bridge.md` for the columns.

    The reference data does not contain `coolant_hours`, which only the simulator uses.
    """
    rng = np.random.default_rng([settings.seed, day.toordinal()])
    today = source.flights_on(day)
    if today.empty:
        return pd.DataFrame()
    chosen = today.iloc[np.sort(rng.integers(0, len(today), settings.boxes_per_day))].reset_index(drop=True)
    number = np.arange(len(chosen))
    label = [f"{day:%m%d}-{n:04d}" for n in number]
    scheduled = chosen["scheduled_departure"]
    cancelled = chosen["departed_at"].isna()
    packed = scheduled - PACKED_BEFORE + pd.to_timedelta(rng.integers(0, 300, len(chosen)), unit="s")
    delivered = (chosen["arrived_at"] + DELIVERED_AFTER).where(~cancelled, scheduled + RETURNED_AFTER)
    return pd.DataFrame(
        {
            "shipment_id": [f"SH-{x}" for x in label],
            "logger_id": [f"BL-{x}" for x in label],
            "product_id": PRODUCTS["product_id"].to_numpy()[
                rng.choice(len(PRODUCTS), len(chosen), p=[0.5, 0.3, 0.12, 0.08])
            ],
            "lot": [f"L{day:%j}{n % 7}" for n in number],
            "packed_at": packed,
            "origin": chosen["origin"],
            "dest": chosen["dest"],
            "carrier": chosen["carrier"],
            "flight": chosen["flight"],
            "scheduled_departure": scheduled,
            "departed_at": chosen["departed_at"],
            "arrived_at": chosen["arrived_at"],
            "delivered_at": delivered,
            "cancelled": cancelled,
            "coolant_hours": rng.normal(COOLANT_HOURS, COOLANT_SPREAD, len(chosen)).clip(4, 24),
        }
    )


def calibrations(settings: Settings, day: pd.Timestamp) -> pd.DataFrame:
    """Return the calibration certificates of the loggers in the boxes that depart on a day, one row each.

    Columns: calibration_id, logger_id, issued_at, valid_from, valid_until (exclusive; NaT without an end) and
    correction_c, which is added to the logger's values. A logger has one certificate, or two without a gap in between.
    """
    boxes = shipments(settings, day)
    if boxes.empty:
        return boxes
    rng = np.random.default_rng([settings.seed, day.toordinal(), 2])
    loggers, packed = boxes["logger_id"], boxes["packed_at"]
    correction = rng.normal(0, 0.15, len(boxes))
    again = rng.random(len(boxes)) < RECALIBRATED
    replaced = packed + RECALIBRATED_AFTER
    first = pd.DataFrame(
        {
            "calibration_id": loggers + "-C1",
            "logger_id": loggers,
            "issued_at": packed - CERTIFIED_BEFORE,
            "valid_from": packed - CERTIFIED_BEFORE,
            "valid_until": replaced.where(again),
            "correction_c": np.round(correction, 2),
        }
    )
    second = first.assign(
        calibration_id=loggers + "-C2",
        issued_at=replaced,
        valid_from=replaced,
        valid_until=pd.Series(pd.NaT, index=boxes.index, dtype=packed.dtype),
        correction_c=np.round(correction + rng.normal(0, 0.3, len(boxes)), 2),
    )[again]
    return pd.concat([first, second], ignore_index=True)


def temperatures(boxes: pd.DataFrame) -> pd.DataFrame:
    """Return the true temperature in each box, every 5 minutes from packed to delivered.

    Columns: box (row number in `boxes`), sequence (from 0), at (UTC), place (depot, apron, flight, arrival) and
    temperature_c. The box relaxes towards a mix of its set point and the outside temperature (Newton's law of cooling).
    The share of the outside temperature is small until the coolant is used up.
    """
    packed = boxes["packed_at"].to_numpy(dtype="datetime64[s]")
    steps = ((boxes["delivered_at"].to_numpy(dtype="datetime64[s]") - packed) // STEP + 1).astype(int)
    columns = int(steps.max())
    at = cast("Times", packed[:, None] + np.arange(columns)[None, :] * STEP)
    place = _places(boxes, at)
    outside = _outside(boxes, at, place)
    setpoint = boxes["product_id"].map(PRODUCTS.set_index("product_id")["setpoint_c"]).to_numpy(dtype=float)
    coolant = boxes["coolant_hours"].to_numpy() * np.maximum(np.abs(DEPOT_C - setpoint), DESIGN_DIFFERENCE_C)
    inside = cool(setpoint, outside, coolant, hours=STEP / np.timedelta64(1, "h"))
    alive = np.arange(columns)[None, :] < steps[:, None]
    box, sequence = np.nonzero(alive)
    return pd.DataFrame(
        {
            "box": box,
            "sequence": sequence,
            "at": at[alive],
            "place": place[alive],
            "temperature_c": inside[alive],
        }
    )


def cool(setpoint: Numbers, outside: Numbers, coolant: Numbers, hours: float) -> Numbers:
    """Return the temperature in each box (rows) at each step (columns), starting at its set point.

    Args:
        setpoint: Degrees Celsius, one for each box.
        outside: Degrees Celsius around each box at each step.
        coolant: Capacity of each box's coolant in degree-hours.
        hours: Hours between two steps.
    """
    inside = np.empty_like(outside)
    inside[:, 0] = setpoint
    taken = np.zeros(len(setpoint))
    decay = np.exp(-hours / TAU_HOURS)  # the exact solution of Newton's law for a constant outside temperature
    for step in range(1, outside.shape[1]):
        difference = outside[:, step - 1] - setpoint
        target = setpoint + np.where(taken < coolant, LEAK, 1.0) * difference
        inside[:, step] = target + (inside[:, step - 1] - target) * decay
        taken += np.abs(difference) * hours
    return inside


def _places(boxes: pd.DataFrame, at: Times) -> npt.NDArray[np.object_]:
    scheduled = boxes["scheduled_departure"].to_numpy(dtype="datetime64[s]")[:, None]
    departed = boxes["departed_at"].to_numpy(dtype="datetime64[s]")[:, None]
    arrived = boxes["arrived_at"].to_numpy(dtype="datetime64[s]")[:, None]
    flies = ~np.isnat(departed)
    apron_from = cast("Times", scheduled - APRON_BEFORE.to_timedelta64())
    place = np.full(at.shape, "depot", dtype=object)
    place[flies & (at >= apron_from)] = "apron"
    place[flies & (at >= departed)] = "flight"
    place[flies & (at >= arrived)] = "arrival"
    return place


def _outside(boxes: pd.DataFrame, at: Times, place: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    weather = source.weather()
    first = weather["hour"].iloc[0].to_datetime64().astype("datetime64[s]")
    by_origin = {name: group["temperature_c"].to_numpy() for name, group in weather.groupby("origin")}
    hour = ((at - first) // np.timedelta64(1, "h")).astype(int)
    air = np.empty(at.shape)
    for origin, series in by_origin.items():
        rows = (boxes["origin"] == origin).to_numpy()
        air[rows] = series[np.clip(hour[rows], 0, len(series) - 1)]
    # The sun over New York: from 6 to 18 o'clock local standard time (UTC-5), highest at noon.
    day_hour = ((at - first) / np.timedelta64(1, "h") - 5) % 24
    sun = SUN_C * np.clip(np.sin((day_hour - 6) / 12 * np.pi), 0, None)
    return np.select([place == "apron", place == "flight", place == "arrival"], [air + sun, HOLD_C, ARRIVAL_C], DEPOT_C)
