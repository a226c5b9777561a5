"""What runs in Spark's Python workers: one logger's readings of a batch, and what is remembered of it.

A module of its own, because workers import it before they read data, which the repair below needs.
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
"""What a batch yields: times in milliseconds; `number` orders a logger's events; `entered` is the record's time in
Kafka. A row for each record, with all but `entered` null, tells how far the batch goes."""
NAMES = [column.split()[0] for column in COLUMNS.split(", ")]
ARRIVAL = {
    "entered": int,
    "partition": int,
    "offset": int,
    "sequence": int,
    "at": int,
    "temperature_c": float,
}
"""What is needed of each reading, as one text with blanks between: for one reading each of some hundred loggers,
turning six columns into pandas takes several times as long as all the rest."""


class Detector:
    """Takes one logger's readings of a batch and gives the events that follow.

    Args:
        boxes: Name of the file of reference data among those that Spark has handed to its workers.
    """

    def __init__(self, boxes: str) -> None:
        self._boxes = boxes

    def __call__(
        self, key: tuple[Any, ...], frames: Iterable[pd.DataFrame], state: GroupState
    ) -> Iterator[pd.DataFrame]:
        """Run, as `applyInPandasWithState` asks for it."""
        if state.hasTimedOut:
            state.remove()
            return
        (logger_id,) = key
        logger = Logger.from_bytes(state.get) if state.exists else Logger()
        box = reference.boxes(SparkFiles.get(self._boxes)).find(logger_id)
        limits = box.limits if box else None
        # In the order of arrival, whatever the shuffle made of it.
        arrivals = sorted(_arrival(text) for frame in frames for text in frame["reading"])
        found: list[tuple[Any, ...]] = []
        for entered, _, _, sequence, at, temperature_c in arrivals:
            events = logger.take(Reading(sequence, at, temperature_c), limits)
            if box is not None:
                found += [_row(len(found) + n, logger_id, box, event, entered) for n, event in enumerate(events)]
        state.update(logger.to_bytes())
        # The watermark is as far behind as a silent logger is remembered, so this is when it is forgotten.
        state.setTimeoutTimestamp(max(arrivals[-1][0], state.getCurrentWatermarkMs()) + 1)
        if found:
            yield pd.DataFrame(found, columns=NAMES)


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
    """Repair how PySpark 4.1 reads state with a newer PyArrow.

    Spark sends the state beside the data in one column of structs, padded with nulls where a logger has several
    readings. PyArrow makes floats of integers beside nulls, and the offsets in there are refused.
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
