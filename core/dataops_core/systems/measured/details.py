"""Details of observations by values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dataops_core.health.details import Attribute, Details, Measurement, value


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredDetails(Details):
    """A stage that is observed by values.

    Attributes:
        progress_ahead: Distance of the progress time from now, if it is in the future.
        labels: Additional texts and numbers by name.
    """

    status: str | None = value()
    progress_ahead: float | None = value("s")
    labels: tuple[tuple[str, str | float], ...] | None = value()

    def measurements(self) -> Iterator[Measurement]:
        """Yield the known numbers, labels last."""
        yield from Details.measurements(self)
        yield from (Measurement(name, result) for name, result in self.labels or () if not isinstance(result, str))

    def attributes(self) -> Iterator[Attribute]:
        """Yield the known texts, labels last."""
        yield from Details.attributes(self)
        yield from (Attribute(name, result) for name, result in self.labels or () if isinstance(result, str))
