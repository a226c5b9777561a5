"""Derive the progress time of views, and of tables without stamps, from the highest time in a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dataops_core.bounded import Malformed
from dataops_core.errors import BadAnswer, NotFound, QueryFailed
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.sql.scan import relation
from dataops_core.systems.measured.observe import LastChange
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.times import known, moment
from dataops_core.transport.fields import as_number

AHEAD_MAX = timedelta(minutes=1)
"""Maximum clock difference."""


def with_column_progress(
    observation: Observation, table: str, column: str, client: TrinoClient, change: LastChange, within: float
) -> Observation:
    """Return an observation with the highest time in a column up to now as its progress time.

    Args:
        observation: The observation without the column.
        table: `catalog.schema.name` of the table or view.
        column: A column of type `date` or `timestamp`.
        client: Trino.
        change: Time of the last change of that value; kept between probes.
        within: Deadline of the query in seconds.

    Raises:
        NotFound: There is no such column.
        BadAnswer: The column does not hold times.
        ClientError: The query fails.
    """
    where, seconds = f"trino {client.target}: progress_column {column}", f"to_unixtime({relation(column)})"
    now = datetime.now(UTC)  # rows written since the start of the probe are not in the future
    statement = (
        f"SELECT max({seconds}), max({seconds}) FILTER (WHERE {seconds} <= {now.timestamp():f})"
        f" FROM {relation(*table.split('.'))}"
    )
    try:
        highest, progress = _times(client.fetch(statement, within))
    except QueryFailed as error:
        if str(error).startswith("COLUMN_NOT_FOUND"):
            raise NotFound(f"{where}: {table} has no such column") from error
        if str(error).startswith(("FUNCTION_NOT_FOUND", "TYPE_MISMATCH")):
            raise BadAnswer(f"{where} is not a date or a timestamp", hint="cast it in a view") from error
        raise
    except Malformed as error:
        raise BadAnswer(f"{where}: the response {error}") from error
    if progress is None:
        note = f"no row has a time in {column}" if highest is None else f"all rows have a future {column}"
        return replace(observation, notes=(note,))
    ahead = highest is not None and highest - now > AHEAD_MAX
    return replace(
        observation,
        progress_time=min(progress, observation.observed_at),
        progress_source=ProgressSource.DERIVED,
        advanced_at=change.observe(progress, observation.observed_at)[0],
        notes=(f"rows have a future {column}, up to {highest:%Y-%m-%d %H:%M:%SZ}",) if ahead else (),
    )


def _times(rows: Sequence[Sequence[object]]) -> list[datetime | None]:
    """Return the two times of the only row, from seconds since 1970; raise Malformed."""
    if len(rows) != 1 or len(rows[0]) != 2:
        raise Malformed("is not one row of two times")
    return [None if value is None else _time(value) for value in rows[0]]


def _time(value: object) -> datetime:
    number = as_number(value)
    at = known(moment(number, "s")) if number is not None else None
    if at is None:
        raise Malformed("has an invalid time")
    return at
