"""The part of the app that screens, widgets and workflows use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from textual.app import App
from textual.message import Message
from textual.screen import Screen

if TYPE_CHECKING:
    from dataops_core.actions import ActionPolicy
    from dataops_core.config import ContextSettings, Settings
    from dataops_core.health.events import Event
    from dataops_core.health.model import HealthSnapshot
    from dataops_tui.time_travel import Past
    from dataops_tui.watching import ConnectedClients

T = TypeVar("T")


class Console(Protocol):
    """State, navigation and notifications; implemented by `DataopsApp`."""

    settings: Settings
    context_name: str
    context_settings: ContextSettings
    events: deque[Event]
    """State changes since the console was started, oldest first."""

    @property
    def app(self) -> App[Any]:
        """The Textual app."""

    @property
    def screen(self) -> Screen[Any]:
        """The current screen."""

    @property
    def screen_stack(self) -> Sequence[Screen[Any]]:
        """The screens of the current mode, the first one at the bottom."""

    @property
    def snapshot(self) -> HealthSnapshot | None:
        """The newest health snapshot; `None` before the first one."""

    @property
    def shown_past(self) -> Past | None:
        """The selected moment of the past; `None` while the console is live."""

    @property
    def clients(self) -> ConnectedClients:
        """The clients of the context."""

    @property
    def policy(self) -> ActionPolicy:
        """The policy that allows or refuses actions."""

    def go(self, typed: str) -> bool:
        """Go to a destination by its name; return whether it exists."""

    def drill(self, typed: str, screen: Screen[None]) -> None:
        """Open a screen from the current one; `typed` is the command that opens it directly."""

    def action_home(self) -> None:
        """Go to the pipelines."""

    def open_stage(self, pipeline: str, stage: str) -> None:
        """Show a stage."""

    def open_sql(self, statement: str, *, run: bool = True) -> None:
        """Open a statement in a tab of the SQL screen, and run it."""

    def browse(self, url: str | None) -> None:
        """Open a page in the web browser, or show its address."""

    def learn(self, kind: str, names: Iterable[str]) -> None:
        """Remember names to complete commands with."""

    def is_listed(self, kind: str, name: str) -> bool:
        """Return whether a list has shown that name."""

    def reload(self) -> None:
        """Refresh the health snapshot and the current list."""

    def notify(
        self,
        message: str,
        *,
        severity: Literal["information", "warning", "error"] = "information",
        markup: bool = True,
    ) -> None:
        """Show a message for some seconds."""

    def push_screen(self, screen: Screen[T], callback: Callable[[T | None], None] | None = None) -> object:
        """Show a screen or a dialog; the callback receives its return value."""

    def post_message(self, message: Message) -> bool:
        """Send a message to the app, from any thread."""
