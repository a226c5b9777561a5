"""Actions that change something: policy, confirmation and audit."""

from dataops_core.actions.audit import AuditLog, AuditReport, default_audit_path
from dataops_core.actions.backfill import Again, Backfill
from dataops_core.actions.policy import ActionPolicy, parse_conf
from dataops_core.actions.risk import SqlRisk

__all__ = [
    "ActionPolicy",
    "Again",
    "AuditLog",
    "AuditReport",
    "Backfill",
    "SqlRisk",
    "default_audit_path",
    "parse_conf",
]
