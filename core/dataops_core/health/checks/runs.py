"""Limits of the duration of a run, for checks of stages that are observed through their runs."""

from __future__ import annotations

RUN_FACTOR = 3.0
"""Default limit of a run's duration, as a multiple of the median of the last successful runs."""
SLOW_FACTOR = 1.5
"""Multiple of the median from which a run's duration explains a stage that is stuck or behind."""
RUN_MIN = 300.0
"""Default limit of a run's duration, in seconds, if the median is smaller."""


def longest_run(run_max: float | None, usual: float | None) -> float | None:
    """Return the longest duration of a run in seconds; `None` if there is no limit.

    Args:
        run_max: The limit of the settings.
        usual: Median duration of the last runs in seconds.
    """
    return run_max or (max(RUN_MIN, RUN_FACTOR * usual) if usual is not None else None)


def is_slow(seconds: float, run_max: float | None, usual: float) -> bool:
    """Return whether a run takes longer than usual, but is still within its limit.

    Args:
        seconds: Its duration so far.
        run_max: As in `longest_run`.
        usual: As in `longest_run`.
    """
    allowed = longest_run(run_max, usual)
    return SLOW_FACTOR * usual < seconds and allowed is not None and seconds <= allowed
