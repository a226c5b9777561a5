"""Settings of Iceberg: catalogs and tables."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, Secret, StageSettings, TlsSettings


class CatalogSettings(ComponentSettings):
    """An Iceberg catalog, as PyIceberg reads it."""

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
    """Timestamp column whose upper bound is the progress time, where commits carry no stamp."""
    rejects: str | None = None
    """`namespace.table` of the same catalog into which records go that could not be read."""
    rejects_max: float = Field(default=0.05, ge=0, le=1)
    """Share of the last hour's records that may be rejected."""
    small_file_bytes: float = Field(default=16 * 2.0**20, gt=0)
    """Bytes below which a data file is small."""
    small_files_max: int = Field(default=5000, ge=0)
    """Small data files that the table may have."""
    compaction_after: float = Field(default=86400.0, gt=0)
    """Seconds after which too many small files mean that compaction does not run."""
    snapshots_max: int = Field(default=20_000, ge=1)
    """Snapshots that the table may keep."""
    snapshot_age_max: float | None = Field(default=None, gt=0)
    """Seconds that a snapshot may be kept which no branch or tag needs; twice the table's
    `history.expire.max-snapshot-age-ms` where not given."""
    delete_files_max: int = Field(default=1000, ge=0)
    """Delete files that the table may have."""
    metadata_bytes_max: float = Field(default=64 * 2.0**20, gt=0)
    """Bytes that the table's metadata file may have."""
    files_checked: int = Field(default=8, ge=0)
    """Data files that each look asks the store for, going round; 0 for none."""
