"""Checks of Iceberg tables."""

from __future__ import annotations

import shlex
from datetime import timedelta

from dataops_core.health.checks.base import Check, Found, Look, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock, count, duration, size
from dataops_core.sql.scan import relation
from dataops_core.systems.iceberg.settings import IcebergTableStage

WRITER_CHANGE_FOR = timedelta(days=1)
"""How long a lost checkpoint is said: whoever is on call next must still see it."""
COMMIT_UNKNOWN_AFTER = timedelta(seconds=30)
"""How long a batch may be in the table before the checkpoint says so: Spark writes that right after."""
EXPIRY_SLACK = 2.0
"""How many times the age that expiry is told to leave a snapshot may have before expiry counts as not running."""
REJECTS_FROM = 20
"""Rejected records from which a share of them is told; below it is chance."""


def _missing_files(stage: IcebergTableStage, look: Look) -> Found | None:
    missing = look.figure("missing_files")
    if not missing:
        return None
    return Found(
        f"{numbered(missing, 'file')} not in the store that its current snapshot needs: {look.seen.fact('missing')}",
        evidence=(
            f"looked for {count(look.figure('files_checked'))} of {count(look.figure('data_files'))} data files",
        ),
    )


def _checkpoint_lost(stage: IcebergTableStage, look: Look) -> Found | None:
    change = look.seen.writer_change
    if change is None or look.now - change.at > WRITER_CHANGE_FOR:
        return None
    return Found(
        f"a new streaming query writes to it since {clock(change.at, look.now)} ({change.new[:8]}, before"
        f" {change.old[:8]}): the checkpoint was lost or replaced",
        since=change.at,
    )


def _commit_unknown(stage: IcebergTableStage, look: Look) -> Found | None:
    epoch, committed = look.seen.figure("epoch"), look.time("epoch_committed_at")
    for query in look.upstream:
        writer = query.observation
        if writer is None or epoch is None or committed is None:
            continue
        known = writer.figure("batch_committed")
        same = writer.fact("query_id") == look.seen.fact("query_id")
        age = writer.observed_at - committed
        if same and known is not None and epoch > known and age > COMMIT_UNKNOWN_AFTER:
            return Found(
                f"batch {epoch:.0f} is in the table since {clock(committed, look.now)}, and the checkpoint of"
                f" {query.name} ends with batch {known:.0f}",
                since=committed,
            )
    return None


def _rejects(stage: IcebergTableStage, look: Look) -> Found | None:
    rejected, landed = look.figure("records_rejected_recent"), look.figure("records_added_recent")
    if rejected < REJECTS_FROM or rejected <= stage.rejects_max * (rejected + landed):
        return None
    share = rejected / (rejected + landed)
    return Found(
        f"{count(rejected)} of {count(rejected + landed)} records of the last hour could not be read ({share:.0%}):"
        f" they are in {stage.rejects}",
        command=_sql(f"SELECT * FROM {_relation(stage, stage.rejects or '')} LIMIT 20"),
    )


def _compaction(stage: IcebergTableStage, look: Look, *, runs: bool) -> Found | None:
    small = look.figure("small_files")
    if small <= stage.small_files_max:
        return None
    compacted = look.time("compacted")
    began = look.time("oldest_snapshot")
    last = max((t for t in (compacted, began) if t is not None), default=look.now)
    running = (look.now - last).total_seconds() <= stage.compaction_after
    if running is not runs:
        return None
    files = numbered(look.figure("data_files"), "data file")
    sentence = f"{count(small)} of {files} are smaller than {size(stage.small_file_bytes)}"
    if not runs:
        sentence += f", and none were compacted for {duration((look.now - last).total_seconds())}"
    return Found(
        sentence,
        evidence=(
            f"a data file has {size(look.figure('data_file_bytes') / max(1.0, look.figure('data_files')))} on average",
            "last compaction: " + (clock(compacted, look.now) if compacted else "none in the snapshots that are kept"),
        ),
        command=_sql(f"ALTER TABLE {_relation(stage)} EXECUTE optimize"),
    )


def _expiry(stage: IcebergTableStage, look: Look) -> Found | None:
    number, oldest = look.figure("snapshots"), look.time("oldest_unneeded_snapshot")
    allowed = stage.snapshot_age_max or EXPIRY_SLACK * look.figure("snapshot_age_setting")
    age = (look.now - oldest).total_seconds() if oldest else 0.0
    if number <= stage.snapshots_max and not (allowed and age > allowed):
        return None
    since = f"; the oldest that nothing needs is {duration(age)} old" if oldest else ""
    return Found(
        f"it keeps {numbered(number, 'snapshot')}{since}: expiry does not run",
        evidence=(f"metadata file: {size(look.figure('metadata_bytes'))}",),
        command=_sql(f"ALTER TABLE {_relation(stage)} EXECUTE expire_snapshots(retention_threshold => '7d')"),
    )


def _delete_files(stage: IcebergTableStage, look: Look) -> Found | None:
    number = look.figure("delete_files")
    if number <= stage.delete_files_max:
        return None
    files = numbered(look.figure("data_files"), "data file")
    return Found(
        f"{numbered(number, 'delete file')} beside {files}: every query merges them",
        command=_sql(f"ALTER TABLE {_relation(stage)} EXECUTE optimize"),
    )


def _metadata_large(stage: IcebergTableStage, look: Look) -> Found | None:
    held = look.figure("metadata_bytes")
    if held <= stage.metadata_bytes_max or _expiry(stage, look) is not None:  # the snapshots are what is in it
        return None
    return Found(
        f"its metadata file has {size(held)}: each commit and each query reads it",
        evidence=(f"snapshots: {count(look.figure('snapshots'))}",),
        command=_sql(f"ALTER TABLE {_relation(stage)} EXECUTE expire_snapshots(retention_threshold => '7d')"),
    )


def _relation(stage: IcebergTableStage, table: str | None = None) -> str:
    return relation(stage.catalog, *(table or stage.table).split("."))


def _sql(statement: str) -> str:
    return f"dataops sql {shlex.quote(statement)}"


CHECKS = (
    Check(
        "missing-files",
        ("iceberg_table",),
        Severity.CRITICAL,
        "Data files that the current snapshot needs are not in the store: queries that touch them fail.",
        "Restore the files from the store's versions or a backup, or roll back to a snapshot that is whole; find who"
        " deleted them (a lifecycle rule, removal of orphans with too short an age).",
        _missing_files,
    ),
    Check(
        "checkpoint-lost",
        ("iceberg_table",),
        Severity.WARNING,
        "Another streaming query writes to the table than before: its checkpoint was lost or replaced, and what the old"
        " one had written may have been written again (said for a day).",
        "Compare the table's count of (partition, offset) with its count of distinct ones: more means that records were"
        " written twice. Keep checkpoints where they are not lost.",
        _checkpoint_lost,
    ),
    Check(
        "commit-state-unknown",
        ("iceberg_table",),
        Severity.WARNING,
        "A batch is committed in the table and not in the checkpoint of the query that writes it: the query ended"
        " between the two commits, and will run the batch again.",
        "Start the query again with the same checkpoint. A sink that knows the batch by its number skips it; of others,"
        " count (partition, offset) against distinct ones.",
        _commit_unknown,
    ),
    Check(
        "poison-records",
        ("iceberg_table",),
        Severity.WARNING,
        "More of the last hour's records than allowed could not be read, and went to the table of rejects.",
        "Look at the reasons in the table of rejects, mend the producer or the reader, then replay them.",
        _rejects,
    ),
    Check(
        "expiry-not-running",
        ("iceberg_table",),
        Severity.ADVICE,
        "The table keeps more, or older, snapshots than it should: old data is never deleted, and metadata grows.",
        "Expire snapshots, and schedule it.",
        _expiry,
    ),
    Check(
        "compaction-not-running",
        ("iceberg_table",),
        Severity.ADVICE,
        "The table has too many small data files, and no compaction was committed for long.",
        "Compact the table, and look why its upkeep does not run, or loses its commits to conflicts.",
        lambda stage, look: _compaction(stage, look, runs=False),
    ),
    Check(
        "small-files",
        ("iceberg_table",),
        Severity.ADVICE,
        "The table has too many small data files although it is compacted: queries open too many files.",
        "Compact more often, or commit less often.",
        lambda stage, look: _compaction(stage, look, runs=True),
    ),
    Check(
        "delete-files",
        ("iceberg_table",),
        Severity.ADVICE,
        "The table has too many delete files: each query reads them beside the data.",
        "Compact the table.",
        _delete_files,
    ),
    Check(
        "metadata-large",
        ("iceberg_table",),
        Severity.ADVICE,
        "The table's metadata file is too large, although snapshots are expired.",
        "Keep fewer snapshots; look for a large schema history or many statistics.",
        _metadata_large,
    ),
)
