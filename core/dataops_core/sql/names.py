"""The names that Trino knows, fetched when they are first needed and kept with their age."""

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
"""Age after which names are fetched again; until then the old ones are offered with their age."""
FAILED_KEPT = timedelta(seconds=15)
"""Time after which a place that could not be read is tried again."""
WITHIN = 10.0
"""Seconds after which a list of names is given up; the query is then cancelled in the server."""
MOST = 20_000
"""Names of one place that are kept."""


class Names:
    """A cache by place; safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[ObjectPath, Listing] = {}
        self._loading: set[ObjectPath] = set()
        self._lock = Lock()

    @property
    def known(self) -> Mapping[ObjectPath, Listing]:
        """What is known now; it does not change any more."""
        with self._lock:
            return dict(self._known)

    def claim(self, places: Iterable[ObjectPath], now: datetime) -> tuple[ObjectPath, ...]:
        """Return the places that the caller must fetch; other callers get none of them meanwhile."""
        with self._lock:
            wanted = tuple(p for p in places if p not in self._loading and self._is_old(p, now))
            self._loading.update(wanted)
        return wanted

    def load(self, client: TrinoClient, place: ObjectPath) -> Listing:
        """Fetch the names of a place that was claimed; a failure is kept as such, beside the names known before."""
        try:
            rows = client.fetch(_statement(place), WITHIN)
            listing = Listing(tuple(_names(place, rows)), datetime.now(UTC))
        except ClientError as error:
            before = self._known.get(place)
            listing = Listing(before.names if before else (), datetime.now(UTC), str(error))
        finally:
            with self._lock:
                self._loading.discard(place)
        with self._lock:
            self._known[place] = listing
        return listing

    def forget(self) -> None:
        """Fetch everything again, as after a statement that changes tables."""
        with self._lock:
            self._known.clear()

    def _is_old(self, place: ObjectPath, now: datetime) -> bool:
        listing = self._known.get(place)
        return listing is None or now - listing.at > (FAILED_KEPT if listing.error else KEPT)


def _statement(place: ObjectPath) -> str:
    if place == FUNCTIONS:
        return "SHOW FUNCTIONS"
    kinds = ("CATALOGS", "SCHEMAS FROM", "TABLES FROM", "COLUMNS FROM")
    return f"SHOW {kinds[len(place)]} {relation(*place)}".rstrip()


def _names(place: ObjectPath, rows: list[tuple[object, ...]]) -> Iterable[Name]:
    if place == FUNCTIONS:
        overloads: dict[str, tuple[str, int]] = {}
        for name, returns, arguments, *_ in rows:
            shown, more = overloads.get(str(name), (f"({arguments}) {returns}", -1))
            overloads[str(name)] = (shown, more + 1)
        return [Name(n, about + (f" +{more}" if more else "")) for n, (about, more) in overloads.items()][:MOST]
    # SHOW COLUMNS: column, type, extra, comment
    return [Name(str(row[0]), str(row[1]) if len(place) == 3 else "") for row in rows[:MOST]]
