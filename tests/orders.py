"""A small pipeline, and what its probes see; for tests of the model and of what shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.settings import RULES, THRESHOLDS, PipelineSettings

from dataops_core.health.details import RecordedDetails
from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.observation import Observation, ProbeResult

T0 = datetime(2026, 1, 5, 3, 0, 0, tzinfo=UTC)

CHAIN = PipelineSettings.model_validate(
    {
        "context": "test",
        "title": "orders",
        "stages": [
            {"name": "orders", "kind": "topic", "topic": "orders"},
            {"name": "land", "kind": "spark_query", "checkpoint": "/c", "reads": ["orders"], "remedy": "start land"},
            {"name": "bronze", "kind": "iceberg_table", "catalog": "lake", "table": "b.o", "reads": ["land"]},
            {
                "name": "conform",
                "kind": "dag",
                "dag_id": "conform",
                "reads": ["bronze"],
                "lag_ok": 300,
                "stall_after": 600,
            },
            {
                "name": "silver",
                "kind": "iceberg_table",
                "catalog": "lake",
                "table": "s.o",
                "reads": ["conform"],
                "stall_after": 600,
            },
            {"name": "view", "kind": "trino_view", "relation": "lake.s.o", "reads": ["silver"], "every": 10},
        ],
    }
)
COMPONENT = {
    "orders": "kafka",
    "land": "spark",
    "bronze": "lake",
    "conform": "airflow",
    "silver": "lake",
    "view": "trino",
}


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


def healthy(now: datetime) -> dict[str, Observation]:
    """What the probes see when all is well: land 2 s behind, a conform run 100 s ago."""
    landed, run = now - seconds(2), now - seconds(100)
    return {
        "orders": Observation("orders", now, progress_time=now, position=1000, advanced_at=now),
        "land": Observation(
            "land",
            now,
            progress_time=landed,
            position=990,
            lag_records=10,
            pending_since=landed,
            advanced_at=now - seconds(1),
        ),
        "bronze": Observation("bronze", now, progress_time=landed, position=990, advanced_at=now - seconds(1)),
        "conform": Observation("conform", now, progress_time=run, advanced_at=run + seconds(30)),
        "silver": Observation("silver", now, progress_time=run - seconds(3), advanced_at=run + seconds(30)),
        "view": Observation("view", now, progress_time=run - seconds(3), advanced_at=run + seconds(30)),
    }


SYSTEMS = {"kafka": "kafka", "spark": "spark", "lake": "iceberg", "airflow": "airflow", "trino": "trino"}
NEEDS = {"spark": ("kafka",), "lake": ("lake", "lake store")}
"""Components that a stage needs, by the one that answers for it, where that is not the one alone."""


def typed(name: str, seen: Observation) -> Observation:
    """Return an observation with the details of its kind, where it has none."""
    kind = next((stage.kind for stage in CHAIN.stages if stage.name == name), "trino_view")
    return replace(seen, details=RULES.stage(kind).details()) if isinstance(seen.details, RecordedDetails) else seen


def results(seen: dict[str, Observation | str], now: datetime, down: dict[str, str] | None = None) -> list[ProbeResult]:
    """Wrap observations, or an error in place of one, as probe results; `down` names components that do not answer."""
    found = []
    for name, what in seen.items():
        failed, component = isinstance(what, str), COMPONENT.get(name, "trino")
        found.append(
            ProbeResult(
                probe="stage",
                target=f"p/{name}",
                component=component,
                started_at=now,
                duration=0.1,
                success=not failed,
                pipeline="p",
                stage=name,
                system=SYSTEMS[component],
                needs=NEEDS.get(component, (component,)),
                error=what if isinstance(what, str) else None,
                observation=typed(name, what) if isinstance(what, Observation) else None,
            )
        )
    for component in ("kafka", "lake", "airflow", "trino"):
        error = (down or {}).get(component)
        found.append(
            ProbeResult(
                probe=component,
                target=f"{component}:1",
                component=component,
                started_at=now,
                duration=0.1,
                success=error is None,
                error=error,
            )
        )
    return found


def see(
    seen: dict[str, Observation | str],
    now: datetime = T0,
    previous: HealthSnapshot | None = None,
    down: dict[str, str] | None = None,
    chain: PipelineSettings = CHAIN,
) -> HealthSnapshot:
    return evaluate(previous, results(seen, now, down), {"p": chain}, now, "test", RULES, THRESHOLDS)


def now() -> datetime:
    return datetime.now(UTC)


def stuck(previous: HealthSnapshot | None = None) -> HealthSnapshot:
    """Return a snapshot in which `land` is stuck for two minutes."""
    at = now()
    since = at - seconds(120)
    seen: dict[str, Observation | str] = {**healthy(at)}
    seen["land"] = Observation(
        "land", at, progress_time=since, position=500, lag_records=12_345, pending_since=since, advanced_at=since
    )
    seen["bronze"] = Observation("bronze", at, progress_time=since, position=500, advanced_at=since)
    return see(seen, at, previous)
