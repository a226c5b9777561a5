"""Execution of Trino statements in jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
import trino

from dataops_pipeline.settings import CATALOG, JobError, JobSettings

REQUEST_SECONDS = 30
"""Timeout of each HTTP request in seconds; a statement may take longer."""
PAUSES = (1, 2, 4, 8)
"""Pauses in seconds before a statement is run again after a commit conflict."""
CONFLICTS = (
    "ICEBERG_COMMIT_ERROR",  # Trino's error name
    "TRANSACTION_CONFLICT",
    "Cannot commit",
    "CommitFailed",
    "conflicting",
    "Failed to commit",
    "Requirement failed",
    "ValidationExc",
)
"""Parts of the messages of Iceberg and the catalog that identify a commit conflict."""

Row = tuple[Any, ...]
Execute = Callable[[str], list[Row]]
"""Runs one statement and returns its rows; raises StatementFailed, or JobError if Trino is unavailable."""


class StatementFailed(JobError):
    """Trino rejected a statement, or it failed.

    Attributes:
        conflict: Whether a commit conflict is the cause, so that the same statement may succeed now.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.conflict = any(words in message for words in CONFLICTS)


def connect(settings: JobSettings, timeout: float = 600) -> Execute:
    """Return the function that runs statements in the catalog `lake`.

    Args:
        settings: Address of Trino.
        timeout: Maximum run time of a statement in seconds, which Trino enforces.
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
    """Run a statement, and repeat it after commit conflicts; return its rows and the number of conflicts.

    Raises:
        StatementFailed: The statement failed for another reason, or every attempt met a conflict.
    """
    for conflicts, pause in enumerate(PAUSES):
        try:
            return execute(statement), conflicts
        except StatementFailed as error:
            if not error.conflict:
                raise
        sleep(pause)
    return execute(statement), len(PAUSES)
