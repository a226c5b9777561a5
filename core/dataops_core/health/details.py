"""Details of observations: the values of one kind of stage or component, as a frozen dataclass for each kind.

Each check takes the type of its kind, so that the type checker finds a missing or misspelt value. The display, the JSON
and the exporter's metrics are derived from the fields and their metadata.
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
    """One text of an observation, for detail views.

    Attributes:
        name: Snake case, unique within the observation, e.g. `topic_id`.
        text: The value, in one line.
    """

    name: str
    text: str


def value(unit: str = "", name: str | None = None) -> Any:  # noqa: ANN401 - the field's own type
    """Return a dataclass field that is unknown by default.

    Args:
        unit: As in `Measurement`; times need none.
        name: Name in the JSON and the metrics; the field's name by default.
    """
    return field(default=None, metadata={"unit": unit, "name": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Base of the details of each kind. `None` always means *unknown*, never zero.

    Numbers and times are measurements; texts and set flags are attributes.
    """

    def measurements(self) -> Iterator[Measurement]:
        """Yield the known numbers and times."""
        for each in fields(self):
            result, name = getattr(self, each.name), each.metadata.get("name") or each.name
            if isinstance(result, datetime):
                yield Measurement(name, result.timestamp(), "timestamp")
            elif isinstance(result, int | float) and not isinstance(result, bool):
                yield Measurement(name, result, each.metadata.get("unit", ""))

    def attributes(self) -> Iterator[Attribute]:
        """Yield the known texts, and the flags that are set."""
        for each in fields(self):
            result, name = getattr(self, each.name), each.metadata.get("name") or each.name
            if isinstance(result, str) and result:
                yield Attribute(name, result)
            elif result is True:
                yield Attribute(name, "yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentDetails(Details):
    """Details of all components.

    Attributes:
        credential: Name of the credential that expires first.
        credentials_end: When it expires.
        credentials_due: When it should have been renewed.
    """

    credential: str | None = value(name="credentials_end")
    credentials_end: datetime | None = value()
    credentials_due: datetime | None = value()


@runtime_checkable
class StreamWriterDetails(Protocol):
    """Details of a streaming query that numbers its batches, for checks of the table that it writes."""

    @property
    def query_id(self) -> str | None:
        """The query id in the commits of the table."""

    @property
    def batch_committed(self) -> int | None:
        """Number of the newest batch that the query has committed; -1 if none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDetails(Details):
    """Details from a recording, independent of the kind."""

    recorded_measurements: tuple[Measurement, ...] = ()
    recorded_attributes: tuple[Attribute, ...] = ()

    def measurements(self) -> Iterator[Measurement]:
        """Yield the recorded numbers and times."""
        yield from self.recorded_measurements

    def attributes(self) -> Iterator[Attribute]:
        """Yield the recorded texts."""
        yield from self.recorded_attributes


NO_DETAILS = Details()
