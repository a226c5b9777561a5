"""Read Avro data as exact values: no date, time, timestamp or decimal is rounded or rejected."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

import fastavro
from fastavro.read import LOGICAL_READERS

from dataops_core.bounded import Malformed
from dataops_core.systems.kafka.avro_bounds import Bounds
from dataops_core.times import EPOCH, Moment, RawTime, Unit, moment
from dataops_core.values import MOST_DIGITS, decimal_text

EPOCH_DAY = EPOCH.toordinal()


def read(data: bytes, schema: Any, named: Mapping[str, Any]) -> object:  # noqa: ANN401 - fastavro's own
    """Return the decoded value; raise Malformed, or an error of fastavro if the bytes do not fit the schema."""
    Bounds(data, named).check(schema)
    return fastavro.schemaless_reader(io.BytesIO(data), _with_names(schema, named), None)


def _with_names(schema: Any, named: Mapping[str, Any]) -> Any:  # noqa: ANN401 - fastavro's own
    """Return a parsed schema with the types that it refers to, which fastavro keeps in records only."""
    if isinstance(schema, list):
        return [_with_names(each, named) for each in schema]
    if isinstance(schema, str):
        if schema not in named:  # a primitive type
            return schema
        schema = {"type": schema}
    return schema if "__named_schemas" in schema else {**schema, "__fastavro_parsed": True, "__named_schemas": named}


def parse(schema: Any, named: dict[str, Any]) -> Any:  # noqa: ANN401 - fastavro's own
    """Return a parsed schema for `read`; `named` holds the schemas that it refers to."""
    return fastavro.parse_schema(schema, named)


def _timestamp(unit: Unit, data: int, *_: object) -> Moment:
    return moment(data, unit)


def _local_timestamp(unit: Unit, data: int, *_: object) -> datetime | RawTime:
    at = moment(data, unit)
    return at.replace(tzinfo=None) if isinstance(at, datetime) else at


def _date(data: int, *_: object) -> date | RawTime:
    try:
        return date.fromordinal(EPOCH_DAY + data)
    except (ValueError, OverflowError):
        return RawTime(data, "days")


def _time(unit: Unit, data: int, *_: object) -> time | RawTime:
    per_day = {"ms": 86_400_000, "us": 86_400_000_000}[unit]
    if not 0 <= data < per_day:
        return RawTime(data, unit)
    return (EPOCH + timedelta(microseconds=data * (86_400_000_000 // per_day))).time()


def _decimal(data: bytes, schema: Mapping[str, Any], *_: object) -> str:
    text = decimal_text(data, int(schema.get("scale", 0)))
    if text is None:
        raise Malformed(f"has a decimal with more than {MOST_DIGITS:,} digits")
    return text


def _as_it_is(data: object, *_: object) -> object:
    return data


READERS: dict[str, Callable[..., object]] = {
    "bytes-decimal": _decimal,
    "fixed-decimal": _decimal,
    "int-date": _date,
    "int-time-millis": partial(_time, "ms"),
    "long-time-micros": partial(_time, "us"),
    "long-timestamp-millis": partial(_timestamp, "ms"),
    "long-timestamp-micros": partial(_timestamp, "us"),
    "long-local-timestamp-millis": partial(_local_timestamp, "ms"),
    "long-local-timestamp-micros": partial(_local_timestamp, "us"),
    "string-uuid": _as_it_is,
}
LOGICAL_READERS.update(READERS)
