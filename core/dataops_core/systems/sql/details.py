"""Details of observations of databases."""

from __future__ import annotations

from dataclasses import dataclass

from dataops_core.health.details import ComponentDetails, value


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseDetails(ComponentDetails):
    """A database.

    Attributes:
        dialect: Name of its dialect in SQLAlchemy.
    """

    dialect: str | None = value()
    server_version: str | None = value()
