"""The risk of a SQL statement."""

from __future__ import annotations

from enum import StrEnum


class SqlRisk(StrEnum):
    """The most that a statement may do."""

    READ = "read"
    WRITE = "write"
    """Changes data, or runs a procedure."""
    DDL = "ddl"
    """Changes tables, views, roles or grants."""
    UNKNOWN = "unknown"
    """Not understood, so treated as the highest risk."""
