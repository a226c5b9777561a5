"""Background work, outside the event loop."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol

from textual._context import active_app
from textual.app import App
from textual.message import Message

from dataops_core.error_log import log_error
from dataops_core.errors import DataopsError
from dataops_tui.messages import WorkFailed


class Owner(Protocol):
    """Receiver of the messages of background work: the app, a screen or a widget."""

    @property
    def app(self) -> App[Any]:
        """The app."""

    def post_message(self, message: Message) -> bool:
        """Send a message, from any thread."""


def in_background(owner: Owner, what: str, work: Callable[[], None]) -> None:
    """Run work in a daemon thread; post a failure to the owner as `WorkFailed`.

    It is not a Textual worker: Textual joins workers when the app ends, and a server that hangs must not block that.
    """
    app = owner.app

    def run() -> None:
        active_app.set(app)  # a screen that was closed meanwhile still finds its app
        try:
            work()
        except DataopsError as error:
            owner.post_message(WorkFailed(what, str(error)))
        except Exception as error:  # noqa: BLE001 - a bug here must be shown, not end the console
            owner.post_message(WorkFailed(what, log_error(error, f"{what} (background thread)")))

    Thread(target=run, name=what, daemon=True).start()
