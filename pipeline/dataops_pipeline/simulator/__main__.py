"""`python -m dataops_pipeline.simulator`: replay Boreal Bridge's loggers, or write its reference files and dumps."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from pyarrow import fs

from dataops_pipeline.simulator import reference as reference_files
from dataops_pipeline.simulator.boxes import Settings
from dataops_pipeline.simulator.dump_writer import DumpWriter, write_days
from dataops_pipeline.simulator.replay import Position, Replay, Truth

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Share = Annotated[float, typer.Option(min=0.0, max=0.5)]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random boxes, temperatures and faults.")]
Boxes = Annotated[int, typer.Option(min=1, max=100_000, help="Boxes that depart every day.")]
DEFAULTS = Settings()


@app.command()
def run(
    *,
    speed_up: Annotated[float, typer.Option(min=0.001, help="Simulated seconds per second.")] = 120.0,
    as_fast_as_possible: Annotated[bool, typer.Option(help="Do not wait between records.")] = False,
    readings: Annotated[int | None, typer.Option(min=1, help="Stop after this number of records.")] = None,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day, in 2013.")] = datetime(2013, 7, 1),  # noqa: DTZ001 - a date
    state: Annotated[Path | None, typer.Option(help="File that keeps the position between runs.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Folder for the expected contents of silver.readings.")] = None,
    seed: Seed = DEFAULTS.seed,
    boxes_per_day: Boxes = DEFAULTS.boxes_per_day,
    duplicates: Share = DEFAULTS.duplicates,
    conflicts: Share = DEFAULTS.conflicts,
    lost: Share = DEFAULTS.lost,
    garbage: Share = DEFAULTS.garbage,
    late: Share = DEFAULTS.late,
    clock_ahead: Share = DEFAULTS.clock_ahead,
    broken_dumps: Share = DEFAULTS.broken_dumps,
    dumps: Annotated[
        bool | None,
        typer.Option(
            "--dumps/--no-dumps",
            help="Write each logger's dump below $BOREAL_RAW/dumps once it is delivered.",
            show_default="on where BOREAL_S3_ENDPOINT is set",
        ),
    ] = None,
) -> None:
    """Replay the loggers into the topic `logger-readings` of the Kafka at $BOREAL_KAFKA."""
    _check(start)
    settings = Settings(seed, boxes_per_day, duplicates, conflicts, lost, garbage, late, clock_ahead, broken_dumps)
    make_dumps = None
    if dumps or (dumps is None and os.environ.get("BOREAL_S3_ENDPOINT")):
        store, folder = partial(_store, _required("BOREAL_S3_ENDPOINT"), patient=False), f"{_raw()}/dumps"
        make_dumps = partial(DumpWriter, settings, pd.Timestamp(start), store, folder)
    replay = Replay(
        _required("BOREAL_KAFKA"),
        None if as_fast_as_possible else speed_up,
        state,
        Truth(truth) if truth else None,
        make_dumps,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: replay.stop.set())
    began = time.monotonic()
    replay.run(settings, Position(f"{start:%Y-%m-%d}", 0), readings)
    why = "stopping on a signal" if replay.stop.is_set() else "all sent" if readings else "the year is over"
    typer.echo(f"{replay.sent} records in {time.monotonic() - began:.1f}s: {why}")


@app.command("dumps")
def write_dumps(
    *,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day, in 2013.")],
    days: Annotated[int, typer.Option(min=1, max=365, help="How many days.")] = 1,
    seed: Seed = DEFAULTS.seed,
    boxes_per_day: Boxes = DEFAULTS.boxes_per_day,
    clock_ahead: Share = DEFAULTS.clock_ahead,
    broken_dumps: Share = DEFAULTS.broken_dumps,
    to: Annotated[Path | None, typer.Option(help="A local folder, instead of $BOREAL_RAW/dumps.")] = None,
) -> None:
    """Write the dumps of all loggers in the boxes that depart on the given days."""
    _check(start)
    settings = Settings(seed, boxes_per_day, clock_ahead=clock_ahead, broken_dumps=broken_dumps)
    if to is not None:
        written = write_days(settings, pd.Timestamp(start), days, fs.LocalFileSystem(), str(to))
        typer.echo(f"{written} dumps below {to}")
        return
    endpoint, folder = _required("BOREAL_S3_ENDPOINT"), f"{_raw()}/dumps"
    try:
        written = write_days(settings, pd.Timestamp(start), days, _store(endpoint), folder)
    except OSError as error:
        raise SystemExit(f"error: the object store at {endpoint} rejects the files: {error}") from error
    typer.echo(f"{written} dumps below s3://{folder}")


@app.command()
def reference(
    seed: Seed = DEFAULTS.seed,
    boxes_per_day: Boxes = DEFAULTS.boxes_per_day,
    to: Annotated[Path | None, typer.Option(help="A local folder, instead of $BOREAL_RAW/reference.")] = None,
) -> None:
    """Write flights, weather, airports, products, shipments and calibrations as CSV."""
    settings = Settings(seed=seed, boxes_per_day=boxes_per_day)
    if to is not None:
        rows = reference_files.write(settings, fs.LocalFileSystem(), str(to))
        typer.echo(f"{rows} rows below {to}")
        return
    endpoint = _required("BOREAL_S3_ENDPOINT")
    folder = f"{_raw()}/reference"
    try:
        rows = reference_files.write(settings, _store(endpoint), folder)
    except OSError as error:
        raise SystemExit(f"error: the object store at {endpoint} rejects the files: {error}") from error
    typer.echo(f"{rows} rows below s3://{folder}")


def _check(start: datetime) -> None:
    if start.year != 2013:
        raise typer.BadParameter("the flights are those of 2013", param_hint="--start")


def _store(endpoint: str, *, patient: bool = True) -> fs.S3FileSystem:
    """Return the object store; `patient` sets longer timeouts, for which the end of the process may have to wait."""
    return fs.S3FileSystem(
        access_key=_required("BOREAL_S3_ACCESS_KEY"),
        secret_key=_required("BOREAL_S3_SECRET_KEY"),
        endpoint_override=endpoint,
        region=os.environ.get("BOREAL_S3_REGION", "us-east-1"),
        allow_bucket_creation=True,
        connect_timeout=5 if patient else 2,
        request_timeout=30 if patient else 5,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3 if patient else 1),
    )


def _raw() -> str:
    """Return the bucket of the raw files."""
    return _required("BOREAL_RAW").removeprefix("s3://")


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SystemExit(f"error: {name} is not set: source the `env` file of the local stack")
    return value


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    app()
