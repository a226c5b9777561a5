"""Replay of the records into Kafka at a given speed, with a stored position."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import KafkaError, Producer

from dataops_pipeline.simulator import records, source
from dataops_pipeline.simulator.boxes import Settings
from dataops_pipeline.simulator.dump_writer import DumpWriter

TOPIC = "logger-readings"
CHUNK = 5_000
"""Number of records that are encoded at once."""
GIVE_UP = 15.0
"""Seconds without an accepted record after which a stopped replay gives up; a killed broker restarts faster."""
GIVE_UP_TRUTH = 90.0
"""The same with a truth folder, longer for a busy machine, because the truth must match the records in Kafka."""
SAVE_EVERY = 5.0
"""Seconds between two writes of the position."""

log = logging.getLogger("simulator")


@dataclass(frozen=True)
class Position:
    """The position of the next record.

    Attributes:
        day: UTC day of its window, ISO 8601.
        index: Index in the window.
    """

    day: str
    index: int


class Truth:
    """Writer of the expected contents of `silver.readings`, and of the number of records by kind."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._writer: pq.ParquetWriter | None = None
        self._counts = {
            "records_sent": 0,
            "distinct_readings": 0,
            "duplicates": 0,
            "garbage": 0,
            "conflicts": 0,
            "clock_ahead": 0,
        }

    def add(self, sent: pd.DataFrame) -> None:
        """Add records that were sent."""
        rows = records.truth(sent)
        columns = {name: rows[name].astype("datetime64[us]").dt.tz_localize("UTC") for name in _TIMES}
        table = pa.Table.from_pandas(rows.assign(**columns), preserve_index=False, schema=_TRUTH)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._folder / "readings.parquet", _TRUTH)
        self._writer.write_table(table)
        kinds = np.bincount(sent["kind"], minlength=4)
        more = (len(sent), *kinds.tolist(), int(rows["clock_ahead"].sum()))
        self._counts = {name: self._counts[name] + n for name, n in zip(self._counts, more, strict=True)}

    def close(self) -> None:
        """Finish the files."""
        if self._writer is not None:
            self._writer.close()
        (self._folder / "summary.json").write_text(json.dumps(self._counts, indent=2))


_TIMES = ("measured_at", "reported_at", "received_at")
_TRUTH = pa.schema(
    [
        ("logger_id", pa.string()),
        ("sequence", pa.int64()),
        ("measured_at", pa.timestamp("us", "UTC")),
        ("reported_at", pa.timestamp("us", "UTC")),
        ("clock_ahead", pa.bool_()),
        ("raw_temperature_c", pa.float64()),
        ("temperature_c", pa.float64()),
        ("calibration_id", pa.string()),
        ("gateway_id", pa.string()),
        ("received_at", pa.timestamp("us", "UTC")),
    ]
)


def chunks(
    settings: Settings, start: Position, limit: int | None, since: str | None = None
) -> Iterator[tuple[Position, pd.DataFrame]]:
    """Yield chunks of records from a position on, each with the position after it.

    Args:
        settings: Settings of the simulation.
        start: Position of the first record.
        limit: Maximum number of records.
        since: First day of the whole replay; `None` if it is that of `start`.
    """
    left = limit
    began = pd.Timestamp(since or start.day)
    day, index = pd.Timestamp(start.day), start.index
    while day <= source.LAST_DAY and left != 0:
        window = records.window(settings, day, began)
        while index < len(window) and left != 0:
            size = CHUNK if left is None else min(CHUNK, left)
            chunk = window.iloc[index : index + size]
            index += len(chunk)
            left = None if left is None else left - len(chunk)
            yield Position(f"{day:%Y-%m-%d}", index), chunk
        if left != 0:
            day, index = day + pd.Timedelta(days=1), 0


class Replay:
    """A replay into Kafka; if the broker is unavailable, records are delayed, not lost.

    Args:
        bootstrap: Kafka's bootstrap servers.
        speed_up: Simulated seconds per second; `None` for as fast as possible.
        state: File of the position, for a later run to continue; `None` to start from the beginning.
        truth: Writer of the expected table.
        dumps: Returns the writer of dumps, given the time up to which they are stored already; `None` for no dumps.
    """

    def __init__(
        self,
        bootstrap: str,
        speed_up: float | None,
        state: Path | None,
        truth: Truth | None,
        dumps: Callable[[np.datetime64 | None], DumpWriter] | None = None,
    ) -> None:
        self._speed_up = speed_up
        self._state = state
        self._truth = truth
        self._make_dumps = dumps
        self._dumps: DumpWriter | None = None
        self._dumped: np.datetime64 | None = None
        self.stop = threading.Event()
        self.sent = 0
        self._away = False
        self._saved = time.monotonic()
        self._clock: tuple[float, np.datetime64] | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 20,
                "compression.type": "lz4",
                "message.timeout.ms": 0,  # no timeout: a dropped record would make the truth wrong
                "queue.buffering.max.messages": 200_000,
                "error_cb": self._on_error,
                "log_level": 0,
            }
        )

    def run(self, settings: Settings, start: Position, limit: int | None = None) -> None:
        """Send records until the replay is stopped, the limit is reached, or the year is over."""
        resumed = self._resumed(start)
        if self._make_dumps is not None:
            self._dumps = self._make_dumps(self._dumped)
            self._dumps.start()
        last = resumed
        for after, chunk in chunks(settings, resumed, limit, start.day):
            done = self._send(chunk)
            if self._truth is not None:
                self._truth.add(chunk.iloc[:done])
            self.sent += done
            if self._dumps is not None and done:
                self._dumps.passed = chunk["received_at"].iloc[done - 1].to_datetime64()
            at = after if done == len(chunk) else Position(after.day, after.index - len(chunk) + done)
            last = at
            if self.stop.is_set():
                break
            if time.monotonic() - self._saved > SAVE_EVERY:
                self._save(at)
        self._finish(last)

    def _finish(self, last: Position) -> None:
        """Wait until Kafka has accepted all records; then write the position and the truth."""
        taken = self._flush()
        if self._dumps is not None:
            self._dumps.finish(self.stop)
        if self.sent and taken:
            self._save(last)
        if self._truth is not None:
            if not taken:
                raise SystemExit(
                    "error: the broker is unavailable: the truth has records that were not sent, and is not written"
                )
            self._truth.close()

    def _send(self, chunk: pd.DataFrame) -> int:
        """Send a chunk; return the number of records that were sent before the stop."""
        due = chunk["received_at"].to_numpy()
        values = zip(chunk["logger_id"], records.payloads(chunk), strict=True)
        for number, (key, payload) in enumerate(values):
            if self._speed_up is not None and not self._wait_for(due[number]):
                return number
            if self._dumps is not None:
                self._dumps.passed = due[number]
            while True:
                try:
                    self._producer.produce(TOPIC, key=key, value=payload)
                    break
                except BufferError:
                    if self.stop.is_set():
                        return number
                    self._producer.poll(0.1)
        self._producer.poll(0)
        return len(chunk)

    def _wait_for(self, due: np.datetime64) -> bool:
        """Wait until a record is due; return False if the replay was stopped."""
        now = time.monotonic()
        if self._clock is None:
            self._clock = (now, due)
        began, first = self._clock
        simulated = (due - first) / np.timedelta64(1, "s")
        wait = began + simulated / (self._speed_up or 1.0) - now
        if wait > 0.02:
            self._producer.poll(0)
            return not self.stop.wait(wait)
        return not self.stop.is_set()

    def _resumed(self, start: Position) -> Position:
        if self._state is None or not self._state.exists():
            return start
        try:
            kept: dict[str, Any] = json.loads(self._state.read_text())
            position = Position(day=f"{pd.Timestamp(kept['day']):%Y-%m-%d}", index=int(kept["index"]))
            self._dumped = np.datetime64(kept["dumps"], "ms") if kept.get("dumps") else None
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"error: {self._state} is not a position ({error}): remove it to start again") from error
        log.info("continuing at record %d of %s", position.index, position.day)
        return position

    def _save(self, position: Position) -> None:
        """Write a position, after Kafka has accepted all records before it."""
        self._saved = time.monotonic()
        if self._state is None:
            return
        if not self._flush():
            return
        part = self._state.with_suffix(".part")
        dumped = self._dumps.done if self._dumps is not None else self._dumped
        part.write_text(json.dumps({**asdict(position), "dumps": None if dumped is None else str(dumped)}))
        part.replace(self._state)

    def _flush(self) -> bool:
        """Wait until Kafka has all records, or, once stopped, until it accepts none; return whether it has all."""
        give_up = GIVE_UP if self._truth is None else GIVE_UP_TRUTH
        left, patience = len(self._producer), time.monotonic() + give_up
        while (remaining := self._producer.flush(1.0)) > 0:
            if remaining < left or not self.stop.is_set():
                left, patience = remaining, time.monotonic() + give_up
            elif time.monotonic() > patience:
                log.warning("stopping while the broker is unavailable: unsent records are sent at the next start")
                return False
        self._away = False
        return True

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN and not self._away:
            self._away = True
            log.warning("the broker is unavailable (%s): waiting for it", error.str())
