"""Settings of Trino: the coordinator, its thresholds, and the relations that it serves."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, LocalPath, Secret, Section, StageSettings, TlsSettings


class TrinoSettings(ComponentSettings):
    """A Trino coordinator."""

    component: ClassVar[str] = "trino"
    url: str
    """Base URL of the coordinator."""
    user: str = "dataops"
    """The user that statements run as."""
    password: Secret | None = Field(default=None, repr=False)
    """Password for `user` (needs HTTPS)."""
    token: Secret | None = Field(default=None, repr=False)
    """A JSON web token, instead of a password (needs HTTPS)."""
    tls: TlsSettings | None = None
    """Certificates, for an `https://` address."""
    catalog: str | None = None
    """Default catalog of the SQL editor."""
    db_schema: str | None = Field(default=None, alias="schema")
    """Default schema of the SQL editor."""
    saved_queries: tuple[LocalPath, ...] = ()
    """Folders whose `*.sql` files the SQL screen offers beside the saved queries of your own; they are only read."""
    reading_table_functions: tuple[str, ...] = ()
    """Table functions that count as reading although they pass text to another database, e.g. `pg.system.query`."""


class TrinoThresholds(Section):
    """From when on something is wrong with Trino."""

    trino_queued_max: float = Field(default=30.0, gt=0)
    """Seconds that a query may wait in Trino's queue, or for resources."""
    trino_planning_max: float = Field(default=30.0, gt=0)
    """Seconds that Trino may plan a query."""
    trino_conflicts_max: int = Field(default=2, ge=0)
    """Writes that may be given up within five minutes because another one had changed the same files."""
    trino_failed_max: int = Field(default=3, ge=0)
    """Queries that may fail within five minutes for another reason than the user's own statement."""


class TrinoViewStage(StageSettings):
    """What a Trino query sees: a table or view."""

    kind: Literal["trino_view"]
    """Always `trino_view`."""
    relation: str
    """`catalog.schema.name` of the table or view."""
    every: float = Field(default=60.0, gt=0)
    """Seconds between two queries, as asking costs Trino real work; a view that has failed is asked at each look."""
