"""Details of observations of a service."""

from __future__ import annotations

from dataclasses import dataclass

from dataops_core.health.details import ComponentDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDetails(ComponentDetails):
    """A service that responds."""
