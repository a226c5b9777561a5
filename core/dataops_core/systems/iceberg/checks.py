"""Checks of Iceberg tables."""

from __future__ import annotations

import shlex
from datetime import timedelta

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.details import StreamWriterDetails
from dataops_core.health.model import Severity
from dataops_core.health.text import clock
from dataops_core.sql.scan import relation
from dataops_core.systems.iceberg.details import TableDetails
from dataops_core.systems.iceberg.settings import IcebergTableStage
from dataops_core.units import UNKNOWN, count, duration, size

WRITER_CHANGE_FOR = timedelta(days=1)
"""How long a lost checkpoint is reported, so that the next person on call still sees it."""
COMMIT_UNKNOWN_AFTER = timedelta(seconds=30)
"""Maximum time between the commit of a batch to the table and its commit to the checkpoint."""
EXPIRY_SLACK = 2.0
"""Multiple of the configured snapshot age from which expiry counts as not running."""
REJECTS_FROM = 20
"""Minimum number of rejected records for a finding; fewer are not significant."""


def _missing_files(stage: IcebergTableStage, given: CheckInput[TableDetails]) -> Problem | None:
    details, missing = given.details, given.details.missing_files
    if not missing:
        return None
    return Problem(
        f"{numbered(missing, 'file')} of its current snapshot missing in the store: {details.missing}",
        evidence=(f"checked {_count(details.files_checked)} of {_count(details.data_files)} data files",),
    )


def _checkpoint_lost(stage: IcebergTableStage, given: CheckInput[TableDetails]) -> Problem | None:
    change = given.observation.writer_change
    if change is None or given.now - change.at > WRITER_CHANGE_FOR:
        return None
    return Problem(
        f"a new streaming query has been writing to it since {clock(change.at, given.now)} ({change.new[:8]},"
        f" previously {change.old[:8]}): the checkpoint was lost or replaced",
        since=change.at,
    )


def _commit_unknown(stage: IcebergTableStage, given: CheckInput[TableDetails]) -> Problem | None:
    epoch, committed = given.details.epoch, given.details.epoch_committed_at
    for query in given.upstream:
        writer = query.observation
        if writer is None or epoch is None or committed is None or not isinstance(writer.details, StreamWriterDetails):
            continue
        known = writer.details.batch_committed
        same = writer.details.query_id == given.details.query_id
        age = writer.observed_at - committed
        if same and known is not None and epoch > known and age > COMMIT_UNKNOWN_AFTER:
            return Problem(
                f"batch {epoch} was committed to the table at {clock(committed, given.now)}, but the checkpoint of"
                f" {query.name} ends with batch {known}",
                since=committed,
            )
    return None


def _rejects(stage: IcebergTableStage, given: CheckInput[TableDetails]) -> Problem | None:
    rejected, landed = given.details.records_rejected_recent, given.details.records_added_recent
    if (
        rejected is None
        or landed is None
        or rejected < REJECTS_FROM
        or rejected <= stage.rejects_max * (rejected + landed)
    ):
        return None
    share = rejected / (rejected + landed)
    return Problem(
        f"{count(rejected)} of {count(rejected + landed)} records of the last hour could not be read ({share:.0%}):"
        f" see {stage.rejects}",
        command=_sql(f"SELECT * FROM {_relation(stage, stage.rejects or '')} LIMIT 20"),
    )


def _compaction(stage: IcebergTableStage, given: CheckInput[TableDetails], *, runs: bool) -> Problem | None:
    details, small = given.details, given.details.small_files
    if small is None or small <= stage.small_files_max:
        return None
    compacted = details.compacted
    began = details.oldest_snapshot
    last = max((t for t in (compacted, began) if t is not None), default=given.now)
    running = (given.now - last).total_seconds() <= stage.compaction_after
    if running is not runs:
        return None
    files = _files(details.data_files)
    sentence = f"{count(small)} of {files} are smaller than {size(stage.small_file_bytes)}"
    if not runs:
        sentence += f", and the table has not been compacted for {duration((given.now - last).total_seconds())}"
    return Problem(
        sentence,
        evidence=(
            *_average(details),
            "last compaction: " + (clock(compacted, given.now) if compacted else "none in the retained snapshots"),
        ),
        command=_sql(f"ALTER TABLE {_relation(stage)} EXECUTE optimize"),
    )


def _expiry(stage: IcebergTableStage, given: CheckInput[TableDetails]) -> Problem | None:
    details = given.details
    number, oldest = details.snapshots, details.oldest_unneeded_snapshot
    if number is None:
        return None
    allowed = stage.snapshot_age_max or EXPIRY_SLACK * (details.snapshot_age_setting or 0.0)
    age = (given.now - oldest).total_seconds() if oldest else 0.0
    if number <= stage.snapshots_max and not (allowed and age > allowed):
        return None
    since = f"; the oldest unreferenced one is {duration(age)} old" if oldest else ""
    return Problem(
        f"it retains {numbered(number, 'snapshot')}{since}: snapshot expiry is not running",
        evidence=(f"metadata file: {size(details.metadata_bytes)}",) if details.metadata_bytes is not None else (),
        command=_sql(f"ALTER TABLE {_relation(stage)} EXECUTE expire_snapshots(retention_threshold => '7d')"),
    )


def _delete_files(stage: IcebergTableStage, given: CheckInput[TableDetails]) -> Problem | None:
    number = given.details.delete_files
    if number is None or number <= stage.delete_files_max:
        return None
    files = _files(given.details.data_files)
    return Problem(
        f"{numbered(number, 'delete file')} for {files}: every query merges them",
        command=_sql(f"ALTER TABLE {_relation(stage)} EXECUTE optimize"),
    )


def _metadata_large(stage: IcebergTableStage, given: CheckInput[TableDetails]) -> Problem | None:
    held = given.details.metadata_bytes
    if (
        held is None or held <= stage.metadata_bytes_max or _expiry(stage, given) is not None
    ):  # the snapshots make up its size
        return None
    return Problem(
        f"its metadata file has {size(held)}, and every commit and every query reads it",
        evidence=(f"snapshots: {_count(given.details.snapshots)}",),
        command=_sql(f"ALTER TABLE {_relation(stage)} EXECUTE expire_snapshots(retention_threshold => '7d')"),
    )


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else count(number)


def _files(number: int | None) -> str:
    return "its data files" if number is None else numbered(number, "data file")


def _average(details: TableDetails) -> tuple[str, ...]:
    held, number = details.data_file_bytes, details.data_files
    return (f"a data file has {size(held / number)} on average",) if held is not None and number else ()


def _relation(stage: IcebergTableStage, table: str | None = None) -> str:
    return relation(stage.catalog, *(table or stage.table).split("."))


def _sql(statement: str) -> str:
    return f"dataops sql {shlex.quote(statement)}"


CHECKS = (
    Check(
        "missing-files",
        Severity.CRITICAL,
        "Data files of the current snapshot are missing in the store, so queries that read them fail.",
        "Restore the files from object versions or a backup, or roll back to a complete snapshot. Find out which"
        " process deleted them (a lifecycle rule, orphan file removal with a short retention).",
        _missing_files,
    ),
    Check(
        "checkpoint-lost",
        Severity.WARNING,
        "A different streaming query writes to the table. The checkpoint of the previous one was lost or replaced,"
        " and its records may have been written twice (reported for 1 day).",
        "Compare the table's count of (partition, offset) with its count of distinct pairs. A difference means"
        " duplicates. Store checkpoints on durable storage.",
        _checkpoint_lost,
    ),
    Check(
        "commit-state-unknown",
        Severity.WARNING,
        "A batch is committed to the table but not to the checkpoint of its query. The query stopped between the two"
        " commits, and will run the batch again.",
        "Restart the query with the same checkpoint. An idempotent sink skips the batch. For other sinks, compare"
        " the count of (partition, offset) with the count of distinct pairs.",
        _commit_unknown,
    ),
    Check(
        "poison-records",
        Severity.WARNING,
        "In the last hour, more records than allowed could not be read and went to the rejects table.",
        "Read the reasons in the rejects table, fix the producer or the reader, then replay the records.",
        _rejects,
    ),
    Check(
        "expiry-not-running",
        Severity.ADVICE,
        "The table retains too many or too old snapshots, so old data is not deleted and metadata grows.",
        "Expire snapshots, and schedule the expiry.",
        _expiry,
    ),
    Check(
        "compaction-not-running",
        Severity.ADVICE,
        "The table has too many small data files and has not been compacted for too long.",
        "Compact the table. Check why its maintenance job does not run, or why conflicts abort its commits.",
        lambda stage, given: _compaction(stage, given, runs=False),
    ),
    Check(
        "small-files",
        Severity.ADVICE,
        "The table has too many small data files although it is compacted, so queries open many files.",
        "Compact more often, or commit less often.",
        lambda stage, given: _compaction(stage, given, runs=True),
    ),
    Check(
        "delete-files",
        Severity.ADVICE,
        "The table has too many delete files, and every query reads them in addition to the data.",
        "Compact the table.",
        _delete_files,
    ),
    Check(
        "metadata-large",
        Severity.ADVICE,
        "The table's metadata file is too large although snapshots expire.",
        "Retain fewer snapshots. Check for a long schema history or many statistics files.",
        _metadata_large,
    ),
)
