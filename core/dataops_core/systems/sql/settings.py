"""Settings of databases, and of stages whose progress a query returns."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, Secret
from dataops_core.systems.measured.settings import MeasuredStage


class DatabaseSettings(ComponentSettings):
    """A database with a SQLAlchemy dialect."""

    component: ClassVar[str] = "database"
    url: Secret = Field(repr=False)
    """SQLAlchemy URL, such as `postgresql+psycopg://dataops:${PASSWORD}@db:5432/shop`; its driver must be installed."""


class SqlQueryStage(MeasuredStage):
    """A stage whose progress is the row of a query."""

    kind: Literal["sql_query"]
    """Always `sql_query`."""
    query: str
    """One read-only statement that returns one row. Columns named `progress_time`, `data_age`, `pending_since`,
    `lag_records`, `position` or `status` are values of the stage; any other column is a label."""
    every: float = Field(default=60.0, gt=0)
    """Seconds between two queries."""
