"""What all screens of the console have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.screen import Screen

from dataops_core.health.model import HealthSnapshot
from dataops_tui.keys import is_typed
from dataops_tui.widgets.context_bar import ContextBar
from dataops_tui.widgets.key_hints import KeyHints
from dataops_tui.widgets.time_line import TimeLine

if TYPE_CHECKING:
    from dataops_tui.console import Console

CRUMBS = " / "
ON = " on "
CRUMBS_FROM = 100
"""Columns from which on the whole way is shown, and not only where it ends."""
TICK = 1.0
"""Seconds between two polls of the clock: ages grow even if no snapshot arrives."""


class ConsoleScreen(Screen[None]):
    """A screen with the context on top and the keys at the bottom; it draws what the app knows."""

    CRUMB = ""
    """Where the user is."""
    COMPONENT = ""
    """Kind of the one component that it shows; empty where it shows others, too."""
    FOLLOWS_TIME = True
    """Whether it shows the past when that is looked at; else it always shows what is now."""

    @property
    def console(self) -> Console:
        """The app."""
        return cast("Console", self.app)

    @property
    def snapshot(self) -> HealthSnapshot | None:
        """The health snapshot to show: the newest one, or that of the past that is looked at."""
        past = self.console.shown_past
        return past.snapshot if past is not None and self.FOLLOWS_TIME else self.console.snapshot

    @property
    def moment(self) -> datetime:
        """The time that is shown: now, or that of the past that is looked at."""
        past = self.console.shown_past
        return past.snapshot.taken_at if past is not None and self.FOLLOWS_TIME else datetime.now(UTC)

    def compose(self) -> ComposeResult:
        """Lay out."""
        yield ContextBar()
        yield from self.compose_body()
        yield TimeLine()
        yield KeyHints()

    def compose_body(self) -> ComposeResult:
        """Lay out what is between the first line and the last."""
        yield from ()

    def on_mount(self) -> None:
        """Draw at each snapshot, and at each tick of the clock."""
        self.watch(self.app, "snapshot", self._redraw)
        self.watch(self.app, "past", self._redraw)
        self.set_interval(TICK, self._redraw)

    def on_screen_resume(self) -> None:
        """Draw what came while another screen was shown."""
        self._redraw()

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._redraw()

    def draw(self, now: datetime) -> None:
        """Show what the app knows at `now`."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the slash to whoever types a text."""
        if action == "filter" and is_typed(self.focused, "slash", "/"):
            return False
        return super().check_action(action, parameters)

    def key_of(self, binding_id: str) -> str:
        """Return the key of a binding as the user has it; empty where it is not active now."""
        found = (active.binding for active in self.active_bindings.values() if active.binding.id == binding_id)
        return next((self.app.get_key_display(binding) for binding in found), "")

    def crumb(self) -> str:
        """Return where the user is."""
        return self.CRUMB

    def _redraw(self) -> None:
        if not self.is_current:
            return
        now = datetime.now(UTC)
        app = self.console
        past = app.shown_past
        places = [screen.crumb() for screen in app.screen_stack if isinstance(screen, ConsoleScreen)]
        clients = app.clients
        at = [f"{ON}{clients.name(self.COMPONENT)}"] if self.COMPONENT in clients.choices() else []
        self.query_one(ContextBar).show(
            app.context_name,
            app.context_settings,
            self.snapshot,
            now,
            app.settings.refresh,
            "".join([CRUMBS.join(places if self.size.width >= CRUMBS_FROM else places[-1:]), *at]),
            past=past,
            follows=self.FOLLOWS_TIME,
        )
        self.query_one(TimeLine).show(past)
        self.draw(self.moment)
