"""The stateful function that Spark's Python workers run: one logger's readings of a batch, and the logger's state.

It is a separate module, because the patch at its end has to be imported before a worker reads data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql.pandas.serializers import ApplyInPandasWithStateSerializer
from pyspark.sql.streaming.state import GroupState

from dataops_pipeline import reference
from dataops_pipeline.transforms.excursions import Event, Logger, Reading

STATE = "sequences binary, times binary, temperatures binary, announced binary, limits binary"
COLUMNS = (
    "number int, event string, excursion_id string, shipment_id string, logger_id string, product_id string,"
    " lot string, sequence bigint, at bigint, since bigint, temperature_c double, min_c double, max_c double,"
    " entered bigint"
)
"""Columns of a batch's output, with times in milliseconds. `number` orders a logger's events, `entered` is the record's
time in Kafka. Each record also has a row with only `entered`, which shows the progress of the batch."""
NAMES = [column.split()[0] for column in COLUMNS.split(", ")]
ARRIVAL = {
    "entered": int,
    "partition": int,
    "offset": int,
    "sequence": int,
    "at": int,
    "temperature_c": float,
}
"""Fields of a reading, joined into one text with blanks. For one reading each of some hundred loggers, the conversion
of six columns to pandas would take several times as long as everything else."""


class Detector:
    """Detector of excursions in one logger's readings of a batch.

    Args:
        boxes: Name of the reference file among the files that Spark distributes to its workers.
    """

    def __init__(self, boxes: str) -> None:
        self._boxes = boxes

    def __call__(
        self, key: tuple[Any, ...], frames: Iterable[pd.DataFrame], state: GroupState
    ) -> Iterator[pd.DataFrame]:
        """Yield the events of a batch; called by `applyInPandasWithState`."""
        if state.hasTimedOut:
            state.remove()
            return
        (logger_id,) = key
        logger = Logger.from_bytes(state.get) if state.exists else Logger()
        box = reference.boxes(SparkFiles.get(self._boxes)).find(logger_id)
        limits = box.limits if box else None
        # In the order of arrival, which the shuffle does not keep.
        arrivals = sorted(_arrival(text) for frame in frames for text in frame["reading"])
        results: list[tuple[Any, ...]] = []
        for entered, _, _, sequence, at, temperature_c in arrivals:
            events = logger.take(Reading(sequence, at, temperature_c), limits)
            if box is not None:
                results += [_row(len(results) + n, logger_id, box, event, entered) for n, event in enumerate(events)]
        state.update(logger.to_bytes())
        # The watermark is `state_hours` behind, so the state expires after that time without a record.
        state.setTimeoutTimestamp(max(arrivals[-1][0], state.getCurrentWatermarkMs()) + 1)
        if results:
            yield pd.DataFrame(results, columns=NAMES)


def _arrival(text: str) -> tuple[Any, ...]:
    return tuple(kind(part) for kind, part in zip(ARRIVAL.values(), text.split(" "), strict=True))


def _row(number: int, logger_id: str, box: reference.Box, event: Event, entered: int) -> tuple[Any, ...]:
    return (
        number,
        event.event,
        f"{logger_id}/{event.first}",
        box.shipment_id,
        logger_id,
        box.product_id,
        box.lot,
        event.reading.sequence,
        event.reading.at,
        event.since,
        event.reading.temperature_c,
        box.limits.min_c,
        box.limits.max_c,
        entered,
    )


def _keep_integers() -> None:
    """Patch PySpark 4.1, which cannot read state with a newer PyArrow.

    Spark sends the state beside the data in one column of structs, padded with nulls if a logger has several readings.
    PyArrow converts integers beside nulls to floats, and PySpark rejects the offsets among them.
    """
    serializer: Any = ApplyInPandasWithStateSerializer
    usual = serializer.arrow_to_pandas

    def arrow_to_pandas(self: object, column: pa.ChunkedArray, index: int) -> object:
        if pa.types.is_struct(column.type):
            states = [state if state and state["properties"] is not None else None for state in column.to_pylist()]
            return pd.Series(states, dtype=object)
        return usual(self, column, index)

    serializer.arrow_to_pandas = arrow_to_pandas


_keep_integers()
