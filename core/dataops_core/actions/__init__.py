"""What changes the world goes through one gate: policy, confirmation, audit."""

from dataops_core.actions.audit import AuditLog, AuditReport, default_audit_path
from dataops_core.actions.backfill import Again, Backfill
from dataops_core.actions.policy import Gate, parse_conf
from dataops_core.actions.risk import SqlRisk

__all__ = ["Again", "AuditLog", "AuditReport", "Backfill", "Gate", "SqlRisk", "default_audit_path", "parse_conf"]
