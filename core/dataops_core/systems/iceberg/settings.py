"""Settings of Iceberg: catalogs and tables."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, Secret, StageSettings, TlsSettings


class CatalogSettings(ComponentSettings):
    """An Iceberg catalog, in PyIceberg's configuration."""

    component: ClassVar[str] = "iceberg"
    properties: dict[str, Secret] = Field(repr=False)
    """PyIceberg's catalog properties: `type`, `uri`, `warehouse`, `credential`, `s3.endpoint` …"""
    tls: TlsSettings | None = None
    """Certificates, for a REST catalog with an `https://` address."""


class IcebergTableStage(StageSettings):
    """An Iceberg table."""

    kind: Literal["iceberg_table"]
    """Always `iceberg_table`."""
    catalog: str
    """Name of the catalog in the context."""
    table: str
    """`namespace.table`."""
    progress_column: str | None = None
    """Timestamp column whose upper bound is the progress time of commits without a stamp."""
    rejects: str | None = None
    """Rejects table: `namespace.table` of the same catalog with the records that could not be read."""
    rejects_max: float = Field(default=0.05, ge=0, le=1)
    """Maximum share of rejected records in the last hour."""
    small_file_bytes: float = Field(default=16 * 2.0**20, gt=0)
    """Bytes below which a data file is small."""
    small_files_max: int = Field(default=5000, ge=0)
    """Maximum number of small data files."""
    compaction_after: float = Field(default=86400.0, gt=0)
    """Seconds without compaction after which too many small files mean that it is not running."""
    snapshots_max: int = Field(default=20_000, ge=1)
    """Maximum number of snapshots."""
    snapshot_age_max: float | None = Field(default=None, gt=0)
    """Maximum age in seconds of snapshots that no branch or tag references. Default: twice the table's
    `history.expire.max-snapshot-age-ms`."""
    delete_files_max: int = Field(default=1000, ge=0)
    """Maximum number of delete files."""
    metadata_bytes_max: float = Field(default=64 * 2.0**20, gt=0)
    """Maximum size of the table's metadata file, in bytes."""
    files_checked: int = Field(default=8, ge=0)
    """Number of data files that each refresh checks in the object store, in rotation; 0 to check none."""
