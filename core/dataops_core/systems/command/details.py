"""What probes observe of a stage that is observed by a program."""

from __future__ import annotations

from dataclasses import dataclass

from dataops_core.health.details import value
from dataops_core.systems.measured.details import MeasuredDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDetails(MeasuredDetails):
    """A stage that is observed by a program.

    Attributes:
        exit_code: Exit code of the program.
        plugin_state: `OK`, `WARNING` or `CRITICAL`, as a Nagios plug-in reports it.
        plugin_text: The first line that it reports.
        run_duration: For how long the program ran.
    """

    exit_code: int | None = value()
    plugin_state: str | None = value()
    plugin_text: str | None = value()
    run_duration: float | None = value("s")
