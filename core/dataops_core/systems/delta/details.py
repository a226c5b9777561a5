"""What probes observe of Delta Lake tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, Details, value


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaDetails(ComponentDetails):
    """A location with tables.

    Attributes:
        deltalake_version: Version of the package that reads the tables.
    """

    deltalake_version: str | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaTableDetails(Details):
    """A table.

    Attributes:
        table: Its path below the location.
        version: The newest version.
        committed_at: When it was committed.
        operation: What it did, such as `WRITE` or `OPTIMIZE`.
        engine: What wrote it.
        data_version: The newest version that added data, as far back as the log was read.
        data_committed_at: When that one was committed.
        data_operation: What that one did.
        data_files: Data files of the newest version.
        small_files: Data files below the stage's `small_file_bytes`.
        file_rows: Rows of the data files by their statistics; those that deletion vectors hide are counted.
        newest_value: Newest value of `progress_column` in the statistics.
        checkpoint_version: Version of the newest checkpoint.
        versions_uncheckpointed: Versions after it, which each reader opens one by one; all where there is none.
        checkpoint_interval: The table's own `delta.checkpointInterval`.
        optimized: When the table was compacted last, as far back as the log was read.
        reader_version: Version of the protocol that a reader needs.
        reader_features: Features that a reader needs.
    """

    table: str | None = value()
    operation: str | None = value()
    engine: str | None = value()
    data_operation: str | None = value()
    reader_features: str | None = value()
    version: int | None = value()
    data_version: int | None = value()
    data_files: int | None = value()
    data_file_bytes: int | None = value("bytes")
    small_files: int | None = value()
    file_rows: int | None = value("rows")
    checkpoint_version: int | None = value()
    versions_uncheckpointed: int | None = value()
    checkpoint_interval: int | None = value()
    reader_version: int | None = value()
    committed_at: datetime | None = value()
    data_committed_at: datetime | None = value()
    newest_value: datetime | None = value()
    optimized: datetime | None = value()
