"""What Trino serves."""

from __future__ import annotations

from datetime import UTC, datetime

from dataops_core.clients.trino import TrinoClient
from dataops_core.config import TrinoViewStage
from dataops_core.errors import NotFound, QueryFailed
from dataops_core.health.model import Observation, ProgressSource

WITHIN = 8.0
"""Seconds that a probing query may take."""
NOT_THERE = ("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "CATALOG_NOT_FOUND", "NOT_FOUND", "COLUMN_NOT_FOUND")


def observe_view(stage: TrinoViewStage, client: TrinoClient) -> Observation:
    """Observe a table or view through Trino: that it answers, and the stamp of the snapshot that Trino serves."""
    now = datetime.now(UTC)
    try:
        client.fetch(f"SELECT 1 FROM {_quoted(stage.relation)} LIMIT 1", WITHIN)
    except QueryFailed as error:
        if str(error).startswith(NOT_THERE):
            raise NotFound(str(error)) from error
        return Observation(stage=stage.name, observed_at=now, failure=str(error))
    *prefix, name = stage.relation.split(".")
    snapshots, history = (_quoted(".".join([*prefix, f"{name}${kind}"])) for kind in ("snapshots", "history"))
    try:
        rows = client.fetch(
            f"SELECT committed_at, element_at(summary, 'dataops.progress-time') FROM {snapshots}"
            # A branch has snapshots too, which a query on the table does not see: what waits for its audit.
            f" WHERE snapshot_id IN (SELECT snapshot_id FROM {history} WHERE is_current_ancestor)"
            " ORDER BY committed_at DESC LIMIT 20",
            WITHIN,
        )
    except QueryFailed as error:
        if not str(error).startswith(NOT_THERE):
            raise
        return Observation(stage=stage.name, observed_at=now, notes=("a view: how fresh its data is, is not told",))
    stamped = next(((at, stamp) for at, stamp in rows if stamp), None)
    if stamped is None:
        if not rows:
            return Observation(stage=stage.name, observed_at=now, position=0, notes=("the table has no snapshot yet",))
        return Observation(stage=stage.name, observed_at=now, notes=("no commit carries a stamp",))
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=datetime.fromisoformat(stamped[1]),
        progress_source=ProgressSource.STAMPED,
        advanced_at=stamped[0].astimezone(UTC),
    )


def _quoted(relation: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in relation.split("."))


def report(client: TrinoClient) -> tuple[str, str | None]:
    """Return one line about the coordinator."""
    info = client.info()
    detail = f"version {info.version}, up {info.uptime}"
    return detail, "it has not finished to start" if info.starting else None
