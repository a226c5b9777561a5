"""The raw reference files, which planners and registries deliver."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
from pyarrow import fs

from dataops_pipeline.simulator import source
from dataops_pipeline.simulator.boxes import PRODUCTS, Settings, calibrations, shipments


def tables(settings: Settings) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each file's name and rows."""
    yield "flights", source.flights().drop(columns="day")
    yield "weather", source.weather()
    yield "airports", source.airports()[["faa", "name", "lat", "lon", "alt", "tzone"]]
    yield "products", PRODUCTS.drop(columns="setpoint_c")
    days = pd.date_range(source.FIRST_DAY, source.LAST_DAY)
    planned = pd.concat([shipments(settings, day) for day in days], ignore_index=True)
    yield "shipments", planned.drop(columns="coolant_hours")
    yield "calibrations", pd.concat([calibrations(settings, day) for day in days], ignore_index=True)


def write(settings: Settings, filesystem: fs.FileSystem, folder: str) -> int:
    """Write all files as CSV below a folder; return the number of rows."""
    rows = 0
    filesystem.create_dir(folder, recursive=True)
    for name, frame in tables(settings):
        times = {c: frame[c].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for c in frame.select_dtypes("datetimetz").columns}
        table = pa.Table.from_pandas(frame.assign(**times), preserve_index=False)
        with filesystem.open_output_stream(f"{folder}/{name}.csv") as out:
            pc.write_csv(table, out, pc.WriteOptions(quoting_style="needed"))
        rows += len(frame)
    return rows
