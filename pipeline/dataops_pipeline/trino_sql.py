"""Statements for Trino, from jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
import trino

from dataops_pipeline.settings import CATALOG, JobError, JobSettings

REQUEST_SECONDS = 30
"""Deadline of each HTTP request; a statement may take longer."""
PAUSES = (1, 2, 4, 8)
"""Seconds before a statement that met another commit is run again."""
CONFLICTS = (
    "ICEBERG_COMMIT_ERROR",  # Trino's own word for it
    "TRANSACTION_CONFLICT",
    "Cannot commit",
    "CommitFailed",
    "conflicting",
    "Failed to commit",
    "Requirement failed",
    "ValidationExc",
)
"""What Iceberg's and the catalog's words have in common when another commit came first."""

Row = tuple[Any, ...]
Execute = Callable[[str], list[Row]]
"""Runs one statement and returns its rows; raises StatementFailed, or JobError where Trino does not answer."""


class StatementFailed(JobError):
    """Trino refused or failed a statement.

    Attributes:
        conflict: Whether another commit came first, so that the same statement may succeed now.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.conflict = any(words in message for words in CONFLICTS)


def connect(settings: JobSettings, timeout: float = 600) -> Execute:
    """Return what runs statements in the catalog `lake`.

    Args:
        settings: Where Trino is.
        timeout: Seconds after which Trino itself ends a statement.
    """
    url = urlsplit(settings.trino)

    def execute(statement: str) -> list[Row]:
        connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
            host=url.hostname or "",
            port=url.port or (443 if url.scheme == "https" else 8080),
            http_scheme=url.scheme,
            user="boreal-bridge",
            source="boreal-bridge",
            catalog=CATALOG,
            request_timeout=REQUEST_SECONDS,
            session_properties={"query_max_run_time": f"{timeout:.0f}s"},
        )
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()]
        except trino.exceptions.TrinoQueryError as error:
            raise StatementFailed(" ".join(f"{error.error_name}: {error.message}".split())[:400]) from error
        except (trino.exceptions.Error, requests.exceptions.RequestException) as error:
            raise JobError(f"trino {settings.trino}: {' '.join(str(error).split())[:200]}") from error
        finally:
            connection.close()

    return execute


def again_after_conflicts(
    execute: Execute, statement: str, sleep: Callable[[float], object] = time.sleep
) -> tuple[list[Row], int]:
    """Run a statement, and run it again while another commit came first; return its rows and the number of conflicts.

    Raises:
        StatementFailed: Something else is wrong, or other commits came first each time.
    """
    for conflicts, pause in enumerate(PAUSES):
        try:
            return execute(statement), conflicts
        except StatementFailed as error:
            if not error.conflict:
                raise
        sleep(pause)
    return execute(statement), len(PAUSES)
