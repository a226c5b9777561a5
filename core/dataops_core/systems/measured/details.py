"""What probes observe of stages that are observed by values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dataops_core.health.details import Attribute, Details, Measurement, value


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredDetails(Details):
    """A stage that is observed by values.

    Attributes:
        status: The status that the system reports.
        progress_ahead: How far the progress time lies in the future.
        labels: Further texts and numbers by name.
    """

    status: str | None = value()
    progress_ahead: float | None = value("s")
    labels: tuple[tuple[str, str | float], ...] | None = value()

    def measurements(self) -> Iterator[Measurement]:
        """Yield the numbers that are known, those among the labels last."""
        yield from Details.measurements(self)
        yield from (Measurement(name, found) for name, found in self.labels or () if not isinstance(found, str))

    def attributes(self) -> Iterator[Attribute]:
        """Yield the texts that are known, those among the labels last."""
        yield from Details.attributes(self)
        yield from (Attribute(name, found) for name, found in self.labels or () if isinstance(found, str))
