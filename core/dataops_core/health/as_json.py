"""Convert a health snapshot to the JSON of `dataops probe -o json`, which docs/cli.md describes."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from dataops_core.health.model import SCHEMA_VERSION, HealthSnapshot
from dataops_core.version import version


def snapshot_to_dict(snapshot: HealthSnapshot) -> dict[str, Any]:
    """Return the snapshot with each dataclass as a dict of its fields.

    Times are ISO 8601 in UTC, durations are in seconds, states are lower-case words, and unknown values are `None`.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "version": version(),
        "status": snapshot.status.value,
        **{field.name: plain(getattr(snapshot, field.name)) for field in fields(snapshot)},
    }


def plain(value: object) -> object:
    """Return a value of the model as JSON-ready data."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no infinity and no NaN
    if is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name)) for field in fields(value) if field.metadata.get("json", True)
        }
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
