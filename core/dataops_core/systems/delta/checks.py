"""Checks of Delta Lake tables."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock
from dataops_core.systems.delta.details import DeltaTableDetails
from dataops_core.systems.delta.settings import DeltaTableStage
from dataops_core.units import count, duration, size

AHEAD_MAX = 60.0
"""Seconds that the clocks of the writer and of this machine may differ."""


def _ahead(_: DeltaTableStage, given: CheckInput[DeltaTableDetails]) -> Problem | None:
    newest = max((at for at in (given.details.committed_at, given.details.data_committed_at) if at), default=None)
    if newest is None:
        return None
    ahead = (newest - given.observation.observed_at).total_seconds()
    if ahead <= AHEAD_MAX:
        return None
    return Problem(
        f"its newest commit is {duration(ahead)} in the future",
        evidence=(f"engine of the newest version: {given.details.engine}",) if given.details.engine else (),
    )


def _uncheckpointed(stage: DeltaTableStage, given: CheckInput[DeltaTableDetails]) -> Problem | None:
    details, number = given.details, given.details.versions_uncheckpointed
    allowed = max(stage.versions_uncheckpointed_max, 2 * (details.checkpoint_interval or 0))
    if number is None or number <= allowed:
        return None
    newest = details.checkpoint_version
    after = f"after its newest checkpoint (version {newest})" if newest is not None else "and no checkpoint"
    return Problem(f"its log has {numbered(number, 'version')} {after}: each reader opens all of them")


def _small_files(stage: DeltaTableStage, given: CheckInput[DeltaTableDetails]) -> Problem | None:
    details, small = given.details, given.details.small_files
    if small is None or small <= stage.small_files_max:
        return None
    files = numbered(details.data_files, "data file") if details.data_files is not None else "its data files"
    optimized = clock(details.optimized, given.now) if details.optimized is not None else "none in the versions read"
    return Problem(
        f"{count(small)} of {files} are smaller than {size(stage.small_file_bytes)}",
        evidence=(f"last OPTIMIZE: {optimized}",),
    )


CHECKS = (
    Check(
        "commit-in-future",
        Severity.WARNING,
        "The newest commit has a time in the future, so the lag of the table is too small.",
        "Correct the clock of the writer.",
        _ahead,
    ),
    Check(
        "checkpoint-overdue",
        Severity.ADVICE,
        "The log has too many versions after its newest checkpoint: opening the table takes one request for each.",
        "Create a checkpoint, and check why the writer creates none (`delta.checkpointInterval`).",
        _uncheckpointed,
    ),
    Check(
        "small-files",
        Severity.ADVICE,
        "The table has too many small data files: queries open many files.",
        "Run OPTIMIZE regularly, or commit less often.",
        _small_files,
    ),
)
