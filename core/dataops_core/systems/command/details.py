"""Details of observations by a program."""

from __future__ import annotations

from dataclasses import dataclass

from dataops_core.health.details import value
from dataops_core.systems.measured.details import MeasuredDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDetails(MeasuredDetails):
    """A stage that a program observes.

    Attributes:
        plugin_state: State of a Nagios plug-in: `OK`, `WARNING` or `CRITICAL`.
        plugin_text: First line of its output.
        run_duration: Duration of the program.
    """

    exit_code: int | None = value()
    plugin_state: str | None = value()
    plugin_text: str | None = value()
    run_duration: float | None = value("s")
