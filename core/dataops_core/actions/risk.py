"""How dangerous a statement is."""

from __future__ import annotations

from enum import StrEnum


class SqlRisk(StrEnum):
    """What a statement may do."""

    READ = "read"
    WRITE = "write"
    """Changes data, or runs a procedure."""
    DDL = "ddl"
    """Changes tables, views, roles or grants."""
    UNKNOWN = "unknown"
    """Not understood, so taken for the worst."""
