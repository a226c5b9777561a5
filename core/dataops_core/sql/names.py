"""Cache the names of Trino's catalogs, schemas, tables, columns and functions for completion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from dataops_core.errors import ClientError
from dataops_core.sql.completion import FUNCTIONS, Listing, Name, ObjectPath
from dataops_core.sql.scan import relation

if TYPE_CHECKING:
    from dataops_core.systems.trino.client import TrinoClient

KEPT = timedelta(minutes=5)
"""Age from which names are fetched again."""
FAILED_KEPT = timedelta(seconds=15)
"""Time from which a failed fetch is repeated."""
WITHIN = 10.0
"""Timeout in seconds of a list of names, whose query is then cancelled in the server."""
MOST = 20_000
"""Maximum number of names of one parent."""


class Names:
    """A cache of names by parent; safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[ObjectPath, Listing] = {}
        self._loading: set[ObjectPath] = set()
        self._lock = Lock()

    @property
    def known(self) -> Mapping[ObjectPath, Listing]:
        """A copy of the currently known names."""
        with self._lock:
            return dict(self._known)

    def claim(self, parents: Iterable[ObjectPath], now: datetime) -> tuple[ObjectPath, ...]:
        """Return the parents whose names the caller must fetch; other callers do not get them meanwhile."""
        with self._lock:
            wanted = tuple(p for p in parents if p not in self._loading and self._is_old(p, now))
            self._loading.update(wanted)
        return wanted

    def load(self, client: TrinoClient, parent: ObjectPath) -> Listing:
        """Fetch the names of a claimed parent; after a failure, keep the previous names with the error."""
        try:
            rows = client.fetch(_statement(parent), WITHIN)
            listing = Listing(tuple(_names(parent, rows)), datetime.now(UTC))
        except ClientError as error:
            before = self._known.get(parent)
            listing = Listing(before.names if before else (), datetime.now(UTC), str(error))
        finally:
            with self._lock:
                self._loading.discard(parent)
        with self._lock:
            self._known[parent] = listing
        return listing

    def forget(self) -> None:
        """Clear the cache, e.g. after a statement that changes tables."""
        with self._lock:
            self._known.clear()

    def _is_old(self, parent: ObjectPath, now: datetime) -> bool:
        listing = self._known.get(parent)
        return listing is None or now - listing.at > (FAILED_KEPT if listing.error else KEPT)


def _statement(parent: ObjectPath) -> str:
    if parent == FUNCTIONS:
        return "SHOW FUNCTIONS"
    kinds = ("CATALOGS", "SCHEMAS FROM", "TABLES FROM", "COLUMNS FROM")
    return f"SHOW {kinds[len(parent)]} {relation(*parent)}".rstrip()


def _names(parent: ObjectPath, rows: list[tuple[object, ...]]) -> Iterable[Name]:
    if parent == FUNCTIONS:
        overloads: dict[str, tuple[str, int]] = {}
        for name, returns, arguments, *_ in rows:
            shown, more = overloads.get(str(name), (f"({arguments}) {returns}", -1))
            overloads[str(name)] = (shown, more + 1)
        return [Name(n, about + (f" +{more}" if more else "")) for n, (about, more) in overloads.items()][:MOST]
    # SHOW COLUMNS: column, type, extra, comment
    return [Name(str(row[0]), str(row[1]) if len(parent) == 3 else "") for row in rows[:MOST]]
