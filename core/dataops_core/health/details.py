"""What a probe saw beyond what all observations have: a frozen dataclass for each kind of stage and component.

Checks take their own type, so that a value that is missing or misspelt is an error of the type checker and never a 0.
The display, the JSON and the exporter's metrics are derived from the fields and their metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number of an observation, for detail views and metrics.

    Attributes:
        name: Snake case, unique within the observation, e.g. `data_files`.
        value: The number.
        unit: `""` for a count, `"s"`, `"bytes"`, `"records"`, `"rows"`, `"1/s"` or `"timestamp"` (seconds since the
            epoch).
    """

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something that a probe saw in words: what a `Measurement` cannot hold.

    Attributes:
        name: Snake case, unique within the observation, e.g. `topic_id`.
        text: The words, in one line.
    """

    name: str
    text: str


def value(unit: str = "", name: str | None = None) -> Any:  # noqa: ANN401 - the field's own type
    """Return a field that is unknown by default.

    Args:
        unit: As in `Measurement`; a time needs none.
        name: Name in the JSON and the metrics, where that is not the field's own.
    """
    return field(default=None, metadata={"unit": unit, "name": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a kind adds to an observation. `None` always means *unknown*, never zero.

    Numbers and times are measurements; texts and set flags are attributes.
    """

    def measurements(self) -> Iterator[Measurement]:
        """Yield the numbers and times that are known."""
        for each in fields(self):
            found, name = getattr(self, each.name), each.metadata.get("name") or each.name
            if isinstance(found, datetime):
                yield Measurement(name, found.timestamp(), "timestamp")
            elif isinstance(found, int | float) and not isinstance(found, bool):
                yield Measurement(name, found, each.metadata.get("unit", ""))

    def attributes(self) -> Iterator[Attribute]:
        """Yield the texts that are known, and the flags that are set."""
        for each in fields(self):
            found, name = getattr(self, each.name), each.metadata.get("name") or each.name
            if isinstance(found, str) and found:
                yield Attribute(name, found)
            elif found is True:
                yield Attribute(name, "yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentDetails(Details):
    """What all components have.

    Attributes:
        credential: The credential that is to be renewed first, in words.
        credentials_end: When it ends.
        credentials_due: From when on it ought to have been renewed.
    """

    credential: str | None = value(name="credentials_end")
    credentials_end: datetime | None = value()
    credentials_due: datetime | None = value()


@runtime_checkable
class StreamWriterDetails(Protocol):
    """Details of a streaming query of any engine that numbers its batches, for checks of what it writes to."""

    @property
    def query_id(self) -> str | None:
        """The id that the query leaves in the commits of a table."""

    @property
    def batch_committed(self) -> int | None:
        """Number of the newest batch that the query has committed; -1 where none is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDetails(Details):
    """What a recording holds of an observation's details, whatever its kind is."""

    recorded_measurements: tuple[Measurement, ...] = ()
    recorded_attributes: tuple[Attribute, ...] = ()

    def measurements(self) -> Iterator[Measurement]:
        """Yield the numbers and times that were recorded."""
        yield from self.recorded_measurements

    def attributes(self) -> Iterator[Attribute]:
        """Yield the texts that were recorded."""
        yield from self.recorded_attributes


NO_DETAILS = Details()
