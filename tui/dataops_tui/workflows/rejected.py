"""Rejected records: find the rejects table of a stage, and query it in the SQL screen."""

from __future__ import annotations

from collections.abc import Callable

from dataops_core.config import StageSettings
from dataops_core.health.paths import downstream
from dataops_core.sql.scan import relation
from dataops_core.systems.registry import registry
from dataops_tui.console import Console

REJECTED = 500
"""Number of newest rejected records that are shown."""


def show_rejected(console: Console, which: Callable[[str, StageSettings], bool]) -> None:
    """Show the newest rejected records of the stages, or of downstream stages, in the SQL screen."""
    for name, pipeline in console.settings.pipelines.items():
        here = {stage.name for stage in pipeline.stages if which(name, stage)}
        here.update(*(downstream(pipeline.stages, stage) for stage in here))
        for stage in pipeline.stages if pipeline.context == console.context_name else ():
            rejects = registry().rejects_of(stage) if stage.name in here else None
            if rejects is not None:
                table = relation(*rejects)
                # works for any table: Trino's hidden column holds the time at which a row's file was written
                console.open_sql(f'SELECT * FROM {table} ORDER BY "$file_modified_time" DESC LIMIT {REJECTED}')
                return
    console.notify("no rejects table: set `rejects` of a stage in the settings", severity="warning")
