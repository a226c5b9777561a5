"""The base class of all screens of the console."""

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
"""Minimum width, in columns, for the full path; a narrower screen shows only its last part."""
TICK = 1.0
"""Seconds between two redraws, so that ages grow even if no snapshot arrives."""


class ConsoleScreen(Screen[None]):
    """A screen with the context bar on top and the key hints at the bottom."""

    CRUMB = ""
    """The screen's part of the path in the context bar."""
    COMPONENT = ""
    """Kind of the component that the screen shows; empty if it shows several kinds."""
    FOLLOWS_TIME = True
    """Whether the screen shows the selected moment of the past; otherwise it is always live."""

    @property
    def console(self) -> Console:
        """The app."""
        return cast("Console", self.app)

    @property
    def snapshot(self) -> HealthSnapshot | None:
        """The health snapshot to show: the newest one, or the selected one of the past."""
        past = self.console.shown_past
        return past.snapshot if past is not None and self.FOLLOWS_TIME else self.console.snapshot

    @property
    def moment(self) -> datetime:
        """The time to show: now, or the selected moment of the past."""
        past = self.console.shown_past
        return past.snapshot.taken_at if past is not None and self.FOLLOWS_TIME else datetime.now(UTC)

    def compose(self) -> ComposeResult:
        """Compose the screen."""
        yield ContextBar()
        yield from self.compose_body()
        yield TimeLine()
        yield KeyHints()

    def compose_body(self) -> ComposeResult:
        """Compose the widgets between the context bar and the time line."""
        yield from ()

    def on_mount(self) -> None:
        """Redraw with every snapshot, and every `TICK` seconds."""
        self.watch(self.app, "snapshot", self._redraw)
        self.watch(self.app, "past", self._redraw)
        self.set_interval(TICK, self._redraw)

    def on_screen_resume(self) -> None:
        """Redraw with the changes that came while another screen was shown."""
        self._redraw()

    def on_resize(self) -> None:
        """Redraw for the new width."""
        self._redraw()

    def draw(self, now: datetime) -> None:
        """Draw the screen's content for the time `now`."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the `/` binding while the user types text."""
        if action == "filter" and is_typed(self.focused, "slash", "/"):
            return False
        return super().check_action(action, parameters)

    def key_of(self, binding_id: str) -> str:
        """Return the configured key of a binding; empty if the binding is not active now."""
        results = (active.binding for active in self.active_bindings.values() if active.binding.id == binding_id)
        return next((self.app.get_key_display(binding) for binding in results), "")

    def crumb(self) -> str:
        """Return the screen's part of the path in the context bar."""
        return self.CRUMB

    def _redraw(self) -> None:
        if not self.is_current:
            return
        now = datetime.now(UTC)
        app = self.console
        past = app.shown_past
        crumbs = [screen.crumb() for screen in app.screen_stack if isinstance(screen, ConsoleScreen)]
        clients = app.clients
        at = [f"{ON}{clients.name(self.COMPONENT)}"] if self.COMPONENT in clients.choices() else []
        self.query_one(ContextBar).show(
            app.context_name,
            app.context_settings,
            self.snapshot,
            now,
            app.settings.refresh,
            "".join([CRUMBS.join(crumbs if self.size.width >= CRUMBS_FROM else crumbs[-1:]), *at]),
            past=past,
            follows=self.FOLLOWS_TIME,
        )
        self.query_one(TimeLine).show(past)
        self.draw(self.moment)
