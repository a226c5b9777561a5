"""Batch job: maintain the pipeline's tables through Trino: small files, manifests, old snapshots, orphan files.

A stream that commits every 5 seconds adds 17,000 files, manifests and snapshots a day to each of its tables. This job
computes which snapshots must not expire, because Trino does not consider them: jobs store their position in the
properties of commits. A dry run reports the planned work from Trino's metadata tables.

Environment variables: `BOREAL_PARAM_TABLES` (`bronze.readings gold.shipment_exposure`; empty for all),
`BOREAL_PARAM_DRY_RUN` (`true`, `false`), `BOREAL_PARAM_RETENTION_HOURS`, `BOREAL_PARAM_FILE_SIZE_THRESHOLD` (`64MB`).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from dataops_pipeline.catalog import SOURCE_SNAPSHOT
from dataops_pipeline.jobs.runner import log, run
from dataops_pipeline.settings import JobError, JobSettings, NotYet, flag
from dataops_pipeline.trino_sql import Execute, again_after_conflicts, connect

NAMESPACES = ("bronze", "silver", "gold")
STAMPS = "dataops."
"""Prefix of the commit properties that jobs read. For each of them, the newest snapshot that has it never expires."""
PUBLISHED_WITHIN = timedelta(hours=1)
"""Maximum age of a branch that may still be published; publishing fails if `main` changes meanwhile."""
ORPHAN_HOURS = 1.0
"""Minimum age of the orphan files to remove, whatever the retention: a running job's uncommitted files are orphans,
too, and no job takes that long."""
MARGIN = timedelta(minutes=1)
"""Distance of the expiry from the oldest required snapshot, as Trino's clock and ours may differ."""
SIZE_UNITS = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3}

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB)")
_TABLE = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")


@dataclass(frozen=True)
class Options:
    """Options of the job.

    Attributes:
        tables: `namespace.table`; empty for all.
        dry_run: Only report the planned work.
        retention_hours: Minimum age of the snapshots to expire.
        file_size_threshold: Smaller data files are compacted; in Trino's notation.
    """

    tables: tuple[str, ...] = ()
    dry_run: bool = False
    retention_hours: float = 2.0
    file_size_threshold: str = "64MB"

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the options from environment variables; raises JobError for an invalid one."""
        tables = tuple(env.get("BOREAL_PARAM_TABLES", "").replace(",", " ").split())
        for table in tables:
            if not _TABLE.fullmatch(table):
                raise JobError(f"BOREAL_PARAM_TABLES: {table!r} is not namespace.table")
        hours = env.get("BOREAL_PARAM_RETENTION_HOURS") or str(cls.retention_hours)
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", hours):
            raise JobError(f"BOREAL_PARAM_RETENTION_HOURS: {hours!r} is not a number of hours")
        threshold = env.get("BOREAL_PARAM_FILE_SIZE_THRESHOLD") or cls.file_size_threshold
        if not _SIZE.fullmatch(threshold):
            raise JobError(f"BOREAL_PARAM_FILE_SIZE_THRESHOLD: {threshold!r} is not a size such as 64MB")
        return cls(tables, flag(env, "BOREAL_PARAM_DRY_RUN"), float(hours), threshold.replace(" ", ""))

    @property
    def threshold_bytes(self) -> float:
        """`file_size_threshold` in bytes."""
        number, unit = _SIZE.fullmatch(self.file_size_threshold).groups()  # type: ignore[union-attr] # checked above
        return float(number) * SIZE_UNITS[unit]


@dataclass(frozen=True)
class Snapshot:
    """A row of `$snapshots`, with the commit properties that start with `STAMPS`."""

    snapshot_id: int
    parent_id: int | None
    committed_at: datetime
    stamps: Mapping[str, str]


@dataclass(frozen=True)
class State:
    """The state of a table, from its metadata.

    Attributes:
        table: `namespace.table`.
        data_files: Number of data files.
        small_files: Number of data files below the threshold that share their folder with another one.
        small_bytes: Total size of the small files.
        delete_files: Number of Iceberg delete files.
        manifests: Number of manifests.
        current: Current snapshot; `None` if the table was never written.
        snapshots: All snapshots by id.
        refs: Snapshots of tags, and of branches other than main, by name.
        branches: Names in `refs` that are branches.
    """

    table: str
    data_files: int
    small_files: int
    small_bytes: int
    delete_files: int
    manifests: int
    current: int | None
    snapshots: Mapping[int, Snapshot]
    refs: Mapping[str, int]
    branches: frozenset[str] = frozenset()

    def unpublished(self, now: datetime) -> str | None:
        """Return a branch that may still be published; `None` if there is none."""
        young = (n for n in sorted(self.branches) if self.snapshots[self.refs[n]].committed_at > now - PUBLISHED_WITHIN)
        return next(young, None)


@dataclass(frozen=True)
class Expiry:
    """The planned expiry of a table's snapshots.

    Attributes:
        before: Older snapshots expire, except those of tags and branches.
        expired: Snapshots that expire.
        tagged: Names of the tags and branches that keep an older snapshot.
        held_by: The stamp that moved `before` to an earlier time than the retention.
    """

    before: datetime
    expired: tuple[int, ...]
    tagged: tuple[str, ...]
    held_by: str | None


def needed(states: Iterable[State]) -> frozenset[int]:
    """Return the source snapshots of downstream tables, from the newest stamp of each table."""
    results = (_newest(state, SOURCE_SNAPSHOT) for state in states)
    return frozenset(
        int(snapshot.stamps[SOURCE_SNAPSHOT])
        for snapshot in results
        if snapshot is not None and snapshot.stamps[SOURCE_SNAPSHOT].isdecimal()
    )


def plan_expiry(state: State, sources: frozenset[int], now: datetime, retention: timedelta) -> Expiry:
    """Return the snapshots of a table that may expire.

    Snapshots that carry a stamp, or that silver was built from, must stay. All later snapshots must stay as well,
    because jobs walk from the newest one back to them, and read the rows that were appended in between. The plan
    therefore moves the expiry time instead of keeping single snapshots.

    Args:
        state: The table.
        sources: Source snapshots of downstream tables.
        now: The time.
        retention: Minimum age of a snapshot to expire.
    """
    before, held_by = now - retention, None
    stamps = sorted({stamp for snapshot in state.snapshots.values() for stamp in snapshot.stamps})
    keep = [(stamp, snapshot) for stamp in stamps if (snapshot := _newest(state, stamp)) is not None]
    keep += [("made-from", snapshot) for one, snapshot in state.snapshots.items() if one in sources]
    for stamp, snapshot in keep:
        if snapshot.committed_at - MARGIN < before:
            before, held_by = snapshot.committed_at - MARGIN, stamp
    named = set(state.refs.values())
    old = [one for one, snapshot in state.snapshots.items() if snapshot.committed_at < before and one != state.current]
    return Expiry(
        before=before,
        expired=tuple(one for one in old if one not in named),
        tagged=tuple(sorted(name for name, one in state.refs.items() if one in old)),
        held_by=held_by,
    )


def _why_kept(expiry: Expiry) -> str:
    named = f", kept by a tag or branch: {' '.join(expiry.tagged)}" if expiry.tagged else ""
    held = f", none after {expiry.before:%Y-%m-%dT%H:%M:%SZ}, for {expiry.held_by}" if expiry.held_by else ""
    return named + held


def summary_line(state: State, expiry: Expiry) -> str:
    """Return one line with the state of a table and its planned maintenance."""
    return (
        f"{state.table}: {state.small_files} of {state.data_files} data files are small"
        f" ({state.small_bytes / 1e6:.1f} MB), {state.delete_files} delete files, {state.manifests} manifests,"
        f" {len(expiry.expired)} of {len(state.snapshots)} snapshots can expire{_why_kept(expiry)}"
    )


def read_state(execute: Execute, table: str, threshold_bytes: float) -> State:
    """Return the state of a table from Trino's metadata tables; raises JobError."""
    namespace, name = table.split(".")

    def of(kind: str) -> str:
        return f'"{namespace}"."{name}${kind}"'

    # Trino compacts the files of one partition. `$files` does not name the partition, but its folder does.
    ((*files, manifests),) = execute(
        "SELECT coalesce(sum(files), 0), coalesce(sum(IF(small > 1, small)), 0),"
        " coalesce(sum(IF(small > 1, bytes)), 0), coalesce(sum(deletes), 0),"
        f" (SELECT count(*) FROM {of('manifests')})"
        " FROM (SELECT regexp_replace(file_path, '/[^/]*$') AS folder, count_if(content = 0) AS files,"
        f" count_if(content = 0 AND file_size_in_bytes < {threshold_bytes:.0f}) AS small,"
        f" sum(IF(content = 0 AND file_size_in_bytes < {threshold_bytes:.0f}, file_size_in_bytes)) AS bytes,"
        f" count_if(content <> 0) AS deletes FROM {of('files')} GROUP BY 1)"
    )
    rows = execute(
        "SELECT s.snapshot_id, s.parent_id, to_unixtime(s.committed_at),"
        f" map_filter(s.summary, (k, v) -> starts_with(k, '{STAMPS}')), r.names, r.types"
        f" FROM {of('snapshots')} AS s LEFT JOIN (SELECT snapshot_id, array_agg(name) AS names,"
        f" array_agg(type) AS types FROM {of('refs')} GROUP BY 1) AS r ON r.snapshot_id = s.snapshot_id"
    )
    snapshots: dict[int, Snapshot] = {}
    refs: dict[str, int] = {}
    branches: set[str] = set()
    for number, parent, at, stamps, names, types in rows:
        snapshots[int(number)] = Snapshot(int(number), parent, datetime.fromtimestamp(at, UTC), dict(stamps or {}))
        refs.update({str(ref): int(number) for ref in names or ()})
        branches.update(str(ref) for ref, kind in zip(names or (), types or (), strict=True) if kind == "BRANCH")
    current = refs.pop("main", None)
    data_files, small_files, small_bytes, delete_files = (int(value) for value in files)
    counts = (data_files, small_files, small_bytes, delete_files, int(manifests))
    return State(table, *counts, current, snapshots, refs, frozenset(branches - {"main"}))


def maintain_table(execute: Execute, state: State, options: Options, sources: frozenset[int]) -> str:
    """Maintain a table; return a summary line.

    Raises:
        JobError: A statement failed permanently; earlier statements have taken effect.
    """
    if state.current is None:
        return f"{state.table}: no data was ever written"
    quoted = ".".join(f'"{part}"' for part in state.table.split("."))
    conflicts = 0

    def alter(what: str) -> None:
        nonlocal conflicts
        _, met = again_after_conflicts(execute, f"ALTER TABLE {quoted} EXECUTE {what}")
        conflicts += met

    unpublished = state.unpublished(datetime.now(UTC))
    if not unpublished:
        if state.small_files or state.delete_files:
            alter(f"optimize(file_size_threshold => '{options.file_size_threshold}')")
        if state.manifests > 1:
            alter("optimize_manifests")
    # Read again, because the statements above took time and created snapshots.
    state_now = read_state(execute, state.table, options.threshold_bytes)
    retention = timedelta(hours=options.retention_hours)
    expiry = plan_expiry(state_now, sources, datetime.now(UTC), retention)
    if expiry.expired:
        age = math.ceil((datetime.now(UTC) - expiry.before).total_seconds())
        alter(f"expire_snapshots(retention_threshold => '{age}s')")
    orphans = max(options.retention_hours, ORPHAN_HOURS)
    alter(f"remove_orphan_files(retention_threshold => '{orphans * 3600:.0f}s')")
    after = read_state(execute, state.table, options.threshold_bytes)
    expired = len(state_now.snapshots.keys() - after.snapshots.keys())
    left = f", files left alone for branch {unpublished}" if unpublished else ""
    met = f", {conflicts} conflicts with other commits" if conflicts else ""
    return (
        f"{state.table}: data files {state.data_files} -> {after.data_files}, delete files {state.delete_files} ->"
        f" {after.delete_files}, manifests {state.manifests} -> {after.manifests}, {expired} snapshots expired"
        f" of {len(state_now.snapshots)}{_why_kept(expiry)}{left}{met}"
    )


def maintain(settings: JobSettings) -> str:
    """Maintain the requested tables; raises JobError at the end if one of them failed."""
    return maintain_all(connect(settings), Options.from_env())


def maintain_all(execute: Execute, options: Options) -> str:
    """Maintain the tables one by one; see `maintain`."""
    listed = ", ".join(f"'{name}'" for name in NAMESPACES)
    existing = [
        f"{schema}.{name}"
        for schema, name in execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            f" WHERE table_schema IN ({listed}) AND table_type = 'BASE TABLE' ORDER BY 1, 2"
        )
    ]
    missing = [table for table in options.tables if table not in existing]
    if missing:
        raise NotYet(f"not created yet: {', '.join(missing)}")
    if not existing:
        raise NotYet("there is no table yet")
    # Read all tables, because a table's stamps name the snapshots of other tables that must stay.
    states, failed = _read_states(execute, existing, options)
    sources = needed(states.values())
    requested = [table for table in existing if not options.tables or table in options.tables]
    for table in requested:
        if table in failed:
            continue
        try:
            if options.dry_run:
                retention = timedelta(hours=options.retention_hours)
                line = summary_line(states[table], plan_expiry(states[table], sources, datetime.now(UTC), retention))
            elif any(other in failed for other in existing):
                # A table that cannot be read may need any snapshot of any other table.
                line = maintain_table(execute, states[table], replace(options, retention_hours=24 * 365), sources)
            else:
                line = maintain_table(execute, states[table], options, sources)
            log.info("%s", line)
        except JobError as error:
            failed[table] = str(error)
    for table, why in failed.items():
        log.error("%s: FAILED: %s", table, why)
    if failed:
        raise JobError(f"{len(failed)} of {len(requested)} tables failed: {', '.join(failed)}")
    return f"{'inspected' if options.dry_run else 'maintained'} {len(requested)} tables"


def _read_states(execute: Execute, tables: Sequence[str], options: Options) -> tuple[dict[str, State], dict[str, str]]:
    states, failed = {}, {}
    for table in tables:
        try:
            states[table] = read_state(execute, table, options.threshold_bytes)
        except JobError as error:
            failed[table] = str(error)
    return states, failed


def _newest(state: State, stamp: str) -> Snapshot | None:
    """Return the newest snapshot of main that carries a stamp, from parent to parent, as jobs search for it."""
    snapshot = state.snapshots.get(state.current) if state.current is not None else None
    while snapshot is not None and stamp not in snapshot.stamps:
        snapshot = state.snapshots.get(snapshot.parent_id) if snapshot.parent_id is not None else None
    return snapshot


if __name__ == "__main__":
    run(maintain)
