"""All checks: the one list that findings, docs and tests go by. Pure functions of an observation and its thresholds."""

from __future__ import annotations

from dataops_core.health.checks import credentials
from dataops_core.health.checks.base import Check, Look, findings
from dataops_core.health.checks.unreachable import FAILURES, UNKNOWN, Failure, failure_of
from dataops_core.health.model import Finding
from dataops_core.systems.airflow import checks as airflow
from dataops_core.systems.iceberg import checks as iceberg
from dataops_core.systems.kafka import checks as kafka
from dataops_core.systems.prometheus import checks as alerts
from dataops_core.systems.spark import checks as spark
from dataops_core.systems.trino import checks as trino

CHECKS: tuple[Check, ...] = (
    *kafka.CHECKS,
    *spark.CHECKS,
    *iceberg.CHECKS,
    *airflow.CHECKS,
    *trino.CHECKS,
    *alerts.CHECKS,
    *credentials.CHECKS,
)

__all__ = ["CHECKS", "FAILURES", "UNKNOWN", "Check", "Failure", "Look", "failure_of", "find"]


def find(kind: str, settings: object, look: Look) -> tuple[Finding, ...]:
    """Return what is wrong with a stage or component, the worst first.

    Args:
        kind: Kind of the stage or component.
        settings: The stage's settings, or the context's thresholds for a component.
        look: What was seen.
    """
    return findings(CHECKS, kind, settings, look)
