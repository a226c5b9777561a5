"""Settings of Trino: the coordinator, its thresholds, and the relations that it serves."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import (
    ComponentSettings,
    KerberosSettings,
    LocalPath,
    OauthSettings,
    Secret,
    Section,
    StageSettings,
    TlsSettings,
)


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
    """JSON Web Token instead of a password (needs HTTPS)."""
    oauth: OauthSettings | None = None
    """OAuth 2 client credentials instead of a password or a token (needs HTTPS)."""
    kerberos: KerberosSettings | None = None
    """Kerberos instead of a password or a token (needs HTTPS)."""
    tls: TlsSettings | None = None
    """Certificates, for an `https://` address."""
    catalog: str | None = None
    """Default catalog of the SQL editor."""
    db_schema: str | None = Field(default=None, alias="schema")
    """Default schema of the SQL editor."""
    saved_queries: tuple[LocalPath, ...] = ()
    """Folders whose `*.sql` files the SQL screen offers in addition to your saved queries; they are only read."""
    reading_table_functions: tuple[str, ...] = ()
    """Table functions that count as read-only although they pass text to another database, such as
    `pg.system.query`."""


class TrinoThresholds(Section):
    """Thresholds of the checks of Trino."""

    trino_queued_max: float = Field(default=30.0, gt=0)
    """Maximum time of a query in Trino's queue or waiting for resources, in seconds."""
    trino_planning_max: float = Field(default=30.0, gt=0)
    """Maximum planning time of a query, in seconds."""
    trino_conflicts_max: int = Field(default=2, ge=0)
    """Maximum number of writes aborted within 5 minutes because of conflicts."""
    trino_failed_max: int = Field(default=3, ge=0)
    """Maximum number of queries that fail within 5 minutes for reasons other than the statement."""


class TrinoViewStage(StageSettings):
    """A table or view in Trino."""

    kind: Literal["trino_view"]
    """Always `trino_view`."""
    relation: str
    """`catalog.schema.name` of the table or view."""
    progress_column: str | None = None
    """Column with the time of each row (`date` or `timestamp`; UTC without a time zone). Its highest value up to now is
    the progress time of a view, or of a table whose commits have no stamp. Each probe scans this column."""
    every: float = Field(default=60.0, gt=0)
    """Seconds between two probes, which run a query in Trino. A failed view is probed at every refresh."""
