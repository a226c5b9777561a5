"""Simulation of the loggers' records: readings with their faults, in the order in which gateways receive them."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataops_pipeline.simulator.boxes import Settings, Times, calibrations, shipments, temperatures

READING, DUPLICATE, MALFORMED, CONFLICT = 0, 1, 2, 3
"""Kinds of record."""
CLOCK_TOLERANCE = np.timedelta64(2 * 60 * 1000, "ms")
"""Maximum lead of a logger's clock over the gateway's before it counts as wrong; the pipeline has the same limit."""
DAYS_BEFORE, DAYS_AFTER = 3, 1
"""Days around a window whose boxes can send records in it, because of early packing and delays."""
SENSOR_NOISE_C = 0.08
NEWER_FIRMWARE = 0.2
"""Share of loggers that also send their battery's charge, a field that older ones lack."""
GATEWAYS_IN_THE_AIR = ("DL", "UA", "B6", "AA")
"""Carriers whose aircraft have a gateway; loggers on other aircraft send a burst after landing."""


def window(settings: Settings, day: pd.Timestamp, since: pd.Timestamp | None = None) -> pd.DataFrame:
    """Return all records that gateways receive on a UTC day, in the order of arrival.

    Columns: those of `memory`, kind, garble (the defect of a malformed record), and first_at (the time at which the
    reading was first received).

    Args:
        settings: Settings of the simulation.
        day: The day.
        since: Start of the replay; duplicates of readings from before are omitted.
    """
    days = pd.date_range(day - pd.Timedelta(days=DAYS_BEFORE), day + pd.Timedelta(days=DAYS_AFTER))
    results = [_sent(settings, d) for d in days]
    begin = day.to_datetime64().astype("datetime64[ms]")
    end = begin + np.timedelta64(1, "D")
    parts = [p[(p["received_at"] >= begin) & (p["received_at"] < end)] for p in results if not p.empty]
    if not parts:
        return pd.DataFrame()
    together = pd.concat(parts, ignore_index=True)
    if since is not None:
        together = together[together["first_at"] >= since]
    order = ["received_at", "logger_id", "sequence", "kind"]
    return cast("pd.DataFrame", together.sort_values(order, kind="stable", ignore_index=True))


def memory(settings: Settings, day: pd.Timestamp) -> pd.DataFrame:
    """Return the memories, at their delivery, of the loggers in the boxes that depart on a day.

    Columns: logger_id, sequence, measured_at (the logger's clock), temperature_c (uncorrected), battery_percent (-1 for
    an older logger, which does not send it), gateway_id, received_at (the gateway's clock), calibration_id and
    correction_c (of the certificate that is valid then), and lost (whether no gateway forwards it). Times are
    `datetime64[ms]` in UTC.
    """
    boxes = shipments(settings, day)
    if boxes.empty:
        return boxes
    rng = np.random.default_rng([settings.seed, day.toordinal(), 1])
    true = temperatures(boxes)
    box = true["box"].to_numpy()
    measured = true["at"].to_numpy().astype("datetime64[ms]")
    received = _received(boxes, true, measured, settings, rng)
    ahead = rng.random(len(boxes)) < settings.clock_ahead
    skew = (rng.uniform(6, 72, len(boxes)) * 3_600_000).astype("timedelta64[ms]")
    reported = np.where(ahead[box], measured + skew[box], measured)
    calibration_id, correction = _calibrated(settings, day, boxes, box, conformed_time(reported, received))
    place = true["place"].to_numpy()
    origin, dest = boxes["origin"].to_numpy()[box], boxes["dest"].to_numpy()[box]
    flight = (boxes["carrier"] + boxes["flight"].astype(str)).to_numpy()[box]
    where = np.select([place == "flight", place == "arrival"], [flight, dest], origin)
    noise = rng.normal(0, SENSOR_NOISE_C, len(true))
    sends_battery = rng.random(len(boxes)) < NEWER_FIRMWARE
    battery = np.where(sends_battery[box], np.round(100 - true["sequence"].to_numpy() / 20), -1).astype(int)
    return pd.DataFrame(
        {
            "logger_id": boxes["logger_id"].to_numpy()[box],
            "sequence": true["sequence"].to_numpy(),
            "measured_at": reported,
            "temperature_c": np.round(true["temperature_c"].to_numpy() - correction + noise, 2),
            "battery_percent": battery,
            "gateway_id": [f"{w}-{p}" for w, p in zip(where, place, strict=True)],
            "received_at": received,
            "calibration_id": calibration_id,
            "correction_c": correction,
            "lost": rng.random(len(true)) < settings.lost,
        }
    )


def conformed_time(reported: Times, received: Times) -> Times:
    """Return the corrected times of readings: the gateway's time if the logger's clock is ahead."""
    return cast("Times", np.where(reported > received + CLOCK_TOLERANCE, received, reported))


def _calibrated(
    settings: Settings, day: pd.Timestamp, boxes: pd.DataFrame, box: npt.NDArray[np.int64], at: Times
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float64]]:
    """Return the id and the correction of the certificate that is valid for each reading."""
    certificates = calibrations(settings, day)
    known = certificates.groupby("logger_id")
    first, last = known.first().loc[boxes["logger_id"]], known.last().loc[boxes["logger_id"]]
    replaced = last["valid_from"].to_numpy(dtype="datetime64[ms]")[box] <= at
    return tuple(  # type: ignore[return-value] # of two
        np.where(replaced, last[name].to_numpy()[box], first[name].to_numpy()[box])
        for name in ("calibration_id", "correction_c")
    )


@lru_cache(maxsize=DAYS_BEFORE + DAYS_AFTER + 1)
def _sent(settings: Settings, day: pd.Timestamp) -> pd.DataFrame:
    """Return all records of the boxes that depart on a day."""
    remembered = memory(settings, day)
    if remembered.empty:
        return remembered
    rng = np.random.default_rng([settings.seed, day.toordinal(), 3])
    readings = remembered[~remembered["lost"]].assign(kind=READING, garble=0, first_at=remembered["received_at"])
    again = readings[rng.random(len(readings)) < settings.duplicates].copy()
    again["received_at"] += rng.integers(60_000, 1_800_000, len(again)).astype("timedelta64[ms]")
    again["kind"] = DUPLICATE
    other = readings[rng.random(len(readings)) < settings.conflicts].copy()
    other["received_at"] += rng.integers(60_000, 1_800_000, len(other)).astype("timedelta64[ms]")
    other["temperature_c"] = np.round(other["temperature_c"] + rng.uniform(0.5, 3, len(other)), 2)
    other["kind"] = CONFLICT
    broken = readings[rng.random(len(readings)) < settings.garbage].copy()
    broken["kind"] = MALFORMED
    broken["garble"] = rng.integers(0, len(_GARBLERS), len(broken))
    return pd.concat([readings, again, other, broken], ignore_index=True)


def _received(
    boxes: pd.DataFrame,
    true: pd.DataFrame,
    measured: Times,
    settings: Settings,
    rng: np.random.Generator,
) -> Times:
    box = true["box"].to_numpy()
    received = measured + rng.integers(1_000, 60_000, len(true)).astype("timedelta64[ms]")
    no_gateway = ~boxes["carrier"].isin(GATEWAYS_IN_THE_AIR).to_numpy()[box] & (true["place"] == "flight").to_numpy()
    landed = boxes["arrived_at"].to_numpy(dtype="datetime64[ms]")[box]
    burst = landed + rng.integers(60_000, 300_000, len(true)).astype("timedelta64[ms]")
    received = np.where(no_gateway, np.maximum(burst, received), received)
    held_back = rng.random(len(true)) < settings.late
    delay = rng.integers(10 * 60_000, 180 * 60_000, len(true)).astype("timedelta64[ms]")
    return cast("Times", np.where(held_back, received + delay, received))


def truth(readings: pd.DataFrame) -> pd.DataFrame:
    """Return the expected rows of `silver.readings` for these records.

    A row is the first delivery of a reading, with clock and temperature corrected.
    """
    first = readings[readings["kind"] == READING]
    reported, received = first["measured_at"], first["received_at"]
    return pd.DataFrame(
        {
            "logger_id": first["logger_id"],
            "sequence": first["sequence"].astype("int64"),
            "measured_at": conformed_time(reported.to_numpy(), received.to_numpy()),
            "reported_at": reported,
            "clock_ahead": reported > received + CLOCK_TOLERANCE,
            "raw_temperature_c": first["temperature_c"],
            "temperature_c": (first["temperature_c"] + first["correction_c"]).round(2),
            "calibration_id": first["calibration_id"],
            "gateway_id": first["gateway_id"],
            "received_at": received,
        }
    )


def payloads(records: pd.DataFrame) -> list[bytes]:
    """Return the serialised records."""
    measured = np.datetime_as_string(records["measured_at"].to_numpy().astype("datetime64[ms]"))
    received = np.datetime_as_string(records["received_at"].to_numpy().astype("datetime64[ms]"))
    rows = zip(
        records["logger_id"],
        records["sequence"],
        measured,
        records["temperature_c"],
        records["gateway_id"],
        received,
        records["battery_percent"],
        strict=True,
    )
    results = [
        (
            f'{{"logger_id":"{logger}","sequence":{sequence},"measured_at":"{at}Z","temperature_c":{celsius!r},'
            f'"gateway_id":"{gateway}","received_at":"{by}Z"'
            + (f',"battery_percent":{battery}}}' if battery >= 0 else "}")
        ).encode()
        for logger, sequence, at, celsius, gateway, by, battery in rows
    ]
    for index in np.flatnonzero(records["kind"].to_numpy() == MALFORMED):
        results[index] = _GARBLERS[int(records["garble"].iloc[index])](results[index])
    return results


_GARBLERS = (
    lambda payload: payload[: len(payload) // 2],  # cut off
    lambda _: bytes(range(128, 160)),  # another protocol
    lambda payload: payload.replace(b'"temperature_c":', b'"temperature_c":"').replace(
        b',"gateway_id"', b'","gateway_id"'
    ),
    lambda payload: payload.replace(b'"sequence"', b'"seq"'),  # a field is missing
    lambda _: b"<html><body>502 Bad Gateway</body></html>",
    lambda payload: (
        payload.split(b'"temperature_c":')[0] + b'"temperature_c":999.0' + payload[payload.index(b',"gateway_id"') :]
    ),
)
"""Functions that break a record, each in a way that `land_readings` rejects."""
