"""Completion in the SQL editor: find the candidates at the cursor, and load missing names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from textual.widget import Widget

from dataops_core.health.text import ago
from dataops_core.sql.completion import Completion, Listing, ObjectPath, complete
from dataops_core.sql.names import Names
from dataops_core.sql.scan import Statement, statement_at
from dataops_tui.background import in_background
from dataops_tui.query_messages import NamesLoaded
from dataops_tui.widgets.sql_editor import Completions, SqlEditor

if TYPE_CHECKING:
    from dataops_core.systems.trino.client import TrinoClient
    from dataops_core.systems.trino.settings import TrinoSettings


class Completer:
    """The completion of an editor.

    Args:
        owner: The widget that contains the editor; it receives `NamesLoaded` or `WorkFailed`.
        editor: The editor.
        completions: The list of candidates.
    """

    def __init__(self, owner: Widget, editor: SqlEditor, completions: Completions) -> None:
        self._owner = owner
        self._editor = editor
        self._completions = completions
        self._offered_at = -1

    @property
    def is_open(self) -> bool:
        """Whether the list is shown."""
        return self._completions.display

    @property
    def wants_names(self) -> bool:
        """Whether names that arrive are offered: the cursor has not moved since they were requested."""
        return self._editor.has_focus and self._editor.offset_of_cursor == self._offered_at

    def close(self) -> None:
        """Close the list until the user types again, even if requested names arrive."""
        self._offered_at = -1
        self._editor.close_completions()

    def complete(
        self, names: Names, trino_settings: TrinoSettings | None, trino: TrinoClient | None, *, typed: bool
    ) -> None:
        """Offer the candidates at the cursor; `typed` if typing has triggered it."""
        editor = self._editor
        at = editor.offset_of_cursor
        text = editor.text
        before = text[max(0, at - 1) : at]
        if trino_settings is None or (typed and not (before.isalnum() or before in ("_", ".", '"'))):
            self._completions.close()
            return
        here = statement_at(text, at) or Statement(text, 0, len(text))
        if not here.start <= at <= here.end:
            here = Statement("", at, at)
        known = names.known
        offered = complete(here.text, at - here.start, known, trino_settings.catalog, trino_settings.db_schema)
        offered = Completion(offered.start + here.start, offered.candidates, offered.needs)
        if trino is not None:
            self._load(names, trino, offered)
        note = _note(offered, known, datetime.now(UTC))
        self._offered_at = at
        if typed and not offered.candidates:
            self._completions.close()
            return
        self._place()
        self._completions.offer(offered, note)

    def _load(self, names: Names, trino: TrinoClient, offered: Completion) -> None:
        for path in names.claim(offered.needs, datetime.now(UTC)):

            def work(path: ObjectPath = path) -> None:
                names.load(trino, path)
                self._owner.post_message(NamesLoaded())

            in_background(self._owner, "loading names", work)

    def _place(self) -> None:
        """Place the list below the cursor, or above it if there is no room."""
        cursor, origin = self._editor.cursor_screen_offset, self._owner.region.offset
        self._completions.styles.offset = (max(0, cursor.x - origin.x - 2), cursor.y - origin.y + 1)


def _note(offered: Completion, known: Mapping[ObjectPath, Listing], now: datetime) -> str:
    """Return the note below the candidates: missing names, an error, or the age of the names."""
    missing = [".".join(path) or "catalogs" for path in offered.needs if path not in known]
    if missing:
        return f"loading {', '.join(missing)} …"
    listings = [known[path] for path in offered.needs]
    for listing in listings:
        if listing.error:
            return listing.error
    oldest = min((listing.at for listing in listings), default=None)
    return f"names loaded {ago(oldest, now)}" if oldest and offered.candidates else ""
