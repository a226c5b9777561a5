"""The replication slot of a Debezium source, in its PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dataops_core.errors import ClientError

if TYPE_CHECKING:
    from dataops_core.systems.sql.client import DatabaseClient

_QUERY = """
SELECT slot.slot_name AS slot_name, slot.active AS active, slot.wal_status AS wal_status,
       pg_wal_lsn_diff(pg_current_wal_lsn(), slot.confirmed_flush_lsn) AS lag,
       pg_wal_lsn_diff(pg_current_wal_lsn(), slot.restart_lsn) AS kept
FROM (SELECT 1) AS always LEFT JOIN pg_replication_slots AS slot ON slot.slot_name = '{name}'
"""
_HOLDER = """
SELECT slot.slot_name AS slot_name, slot.database = current_database() AS of_this_database
FROM (SELECT 1) AS always LEFT JOIN pg_replication_slots AS slot ON slot.slot_name = '{name}'
"""
STATUSES = ("reserved", "extended", "unreserved", "lost")
"""Values of `wal_status` in PostgreSQL."""


def slot_details(name: str, client: DatabaseClient) -> dict[str, Any]:
    """Return the fields of `ConnectorDetails` for a slot, with the reason if it could not be read."""
    try:
        row = client.row(_query(_QUERY, name))
    except ClientError as error:  # the connector's state is known without the slot
        return {"slot": name, "slot_unknown": str(error)}
    if row.get("slot_name") is None:
        return {"slot": name, "slot_missing": True}
    status, active = row.get("wal_status"), row.get("active")
    return {
        "slot": name,
        "slot_missing": False,
        "slot_active": active if isinstance(active, bool) else None,
        "slot_status": status if status in STATUSES else None,
        "slot_lag": _bytes(row.get("lag")),
        "slot_kept": _bytes(row.get("kept")),
    }


def databases_with_slot(name: str, clients: Mapping[str, DatabaseClient]) -> tuple[str, ...]:
    """Return the names of the PostgreSQL databases with a slot; raises ClientError.

    All databases of a server list its slots. If one of them is the database that the slot reads, only that is returned.
    """
    rows = {key: each.row(_query(_HOLDER, name)) for key, each in clients.items() if each.ping()[0] == "postgresql"}
    found = {key: row for key, row in rows.items() if row.get("slot_name") is not None}
    return tuple(key for key, row in found.items() if row.get("of_this_database")) or tuple(found)


def _query(text: str, name: str) -> str:
    return text.format(name=name.replace("'", "''"))


def _bytes(answer: object) -> int | None:
    """Return a difference of log positions, at least 0: a slot may be ahead of the flushed position."""
    return max(0, int(answer)) if isinstance(answer, int | Decimal) else None
