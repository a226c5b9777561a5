"""Usual durations of the steps of a start: from this stack's last starts, or as measured on two cores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median

KEPT = 5
"""Number of starts that are kept."""
TYPICAL = {
    "kafka": 4.0,
    "store": 2.0,
    "trino": 12.0,
    "topics": 1.0,
    "simulator": 1.0,
    "land_readings": 25.0,
    "first record through trino": 5.0,
    "reference files": 15.0,
    "detect_excursions": 3.0,
    "airflow database": 12.0,
    "airflow pools": 8.0,
    "airflow-api": 15.0,
    "airflow-scheduler": 3.0,
    "airflow-dag-processor": 3.0,
    "airflow-triggerer": 3.0,
    "airflow": 15.0,
    "exporter": 3.0,
    "prometheus": 1.0,
}
"""Durations on two cores in seconds."""


class StepDurations:
    """The durations of each step at the last starts, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._took = _read(path)

    def seconds(self, step: str) -> float | None:
        """Return the usual duration of a step in seconds; `None` if it is unknown."""
        took = self._took.get(step)
        return median(took) if took else TYPICAL.get(step)

    def remember(self, took: Mapping[str, float]) -> None:
        """Add the durations of one start."""
        for step, seconds in took.items():
            self._took[step] = [*self._took.get(step, []), round(seconds, 1)][-KEPT:]
        self._path.write_text(json.dumps(self._took))


def _read(path: Path) -> dict[str, list[float]]:
    try:
        result = json.loads(path.read_text())
        return {str(step): [float(seconds) for seconds in took] for step, took in result.items()}
    except (OSError, ValueError, AttributeError, TypeError):  # the first start, or a truncated file
        return {}
