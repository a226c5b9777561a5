"""Writes that change the same rows of a real table at the same time: Trino gives some up, and it is said."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trino.dbapi
from tests.e2e.conftest import PORT_BASE, Stack, until
from trino.exceptions import TrinoQueryError

from dataops_local.layout import Layout

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

TABLE = "lake.conflicts.counters"
WRITERS = 6


@pytest.fixture
def connection(stack: Stack) -> Iterator[trino.dbapi.Connection]:
    """A connection to a Trino that has a table of counters."""
    port = Layout(stack.state, PORT_BASE).port("trino")
    with trino.dbapi.connect(host="127.0.0.1", port=port, user="ann") as connection:
        run(connection, "CREATE SCHEMA IF NOT EXISTS lake.conflicts")
        run(connection, f"CREATE TABLE {TABLE} AS SELECT n, 0 AS total FROM UNNEST(sequence(1, 1000)) AS t (n)")
        yield connection
        run(connection, f"DROP TABLE {TABLE}")
        run(connection, "DROP SCHEMA lake.conflicts")


def run(connection: trino.dbapi.Connection, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.fetchall()


def add(connection: trino.dbapi.Connection) -> str:
    """Write, and return Trino's name of the error; nothing if it was written."""
    try:
        run(connection, f"UPDATE {TABLE} SET total = total + 1")
    except TrinoQueryError as error:
        return str(error.error_name)
    return ""


def test_writes_that_are_given_up_are_told_with_the_statement(stack: Stack, connection: trino.dbapi.Connection) -> None:
    errors: list[str] = []

    def conflict() -> int:
        with ThreadPoolExecutor(WRITERS) as writers:
            errors.extend(writers.map(add, [connection] * WRITERS))
        return len([error for error in errors if error])

    until("some writes are given up", conflict, lambda lost: lost > 2, within=120)
    assert set(errors) == {"", "ICEBERG_COMMIT_ERROR"}, "one of each round is written"

    def found() -> list[dict[str, Any]]:
        return [
            each for each in stack.probe()["components"]["trino"]["findings"] if each["check"] == "commit-conflicts"
        ]

    (finding,) = until("it is said", found, bool, within=60)
    assert "because of conflicts with other writes" in finding["sentence"]
    assert f"of ann: UPDATE {TABLE} SET total" in finding["sentence"]
