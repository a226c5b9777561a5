"""The console's last line of defence: show and log an unexpected error in any callback, and keep the console running.

Textual ends the app in `App._handle_exception`, which timers, workers and callbacks reach directly. A message pump also
ends its own loop after an error in a handler, and a failing `render` leaves the whole screen undrawn. The guard
therefore replaces `_handle_exception`, and the methods `GUARDED` of each widget that the app registers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

from rich.segment import Segment
from textual._callback import invoke
from textual.app import App, ComposeResult, ModeError, ScreenError
from textual.box_model import BoxModel
from textual.content import Content
from textual.dom import DOMNode
from textual.geometry import Region, Size, Spacing
from textual.message import Message
from textual.message_pump import MessagePump
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import WorkerFailed

from dataops_core.error_log import INTERNAL_ERROR, log_error
from dataops_core.errors import DataopsError

BROKEN = "internal error: this widget cannot be drawn"
SHOW_AGAIN_AFTER = 10.0
"""Seconds after which the same error is shown again, because a timer may fail every second."""


class FaultGuard(App[None]):
    """An app that keeps running after unexpected errors."""

    def __init__(self, *args: Any, **keywords: Any) -> None:  # noqa: ANN401 - what App takes
        super().__init__(*args, **keywords)
        self.faults: dict[str, float] = {}
        """Time at which each error was last shown (monotonic), by its line."""

    def report_fault(self, error: BaseException, where: str = "the console") -> None:
        """Log an unexpected error, and show it if possible."""
        if self._exit and isinstance(error, ModeError | ScreenError):
            return  # a pending callback wanted to show a screen after Textual had closed all of them
        if isinstance(error, WorkerFailed):
            error = error.error
        self.show_fault(str(error) if isinstance(error, DataopsError) else log_error(error, where))

    def show_fault(self, line: str) -> None:
        """Show an error line, at most once per `SHOW_AGAIN_AFTER`."""
        now = time.monotonic()
        last = self.faults.get(line)
        if last is not None and now - last < SHOW_AGAIN_AFTER:
            return
        self.faults[line] = now
        with contextlib.suppress(Exception):  # it is in the log already
            self.notify(line, severity="error", timeout=15, markup=False)

    def _handle_exception(self, error: Exception) -> None:
        self.report_fault(error)
        if not self._running:  # the app failed to start
            self._return_code = INTERNAL_ERROR

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)  # includes keys and their actions
        except Exception as error:  # noqa: BLE001 - it would end the app
            self.report_fault(error)

    async def _flush_next_callbacks(self) -> None:
        await _flush_each(self, self)

    async def _ready(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._task_failed)
        await super()._ready()

    def _task_failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            self.report_fault(error, "a task")

    def _register_child(self, parent: DOMNode, child: Widget, before: int | None, after: int | None) -> None:
        guard(self, child)
        super()._register_child(parent, child, before, after)

    def _start_widget(self, parent: Widget, widget: Widget) -> None:
        guard(self, widget)
        super()._start_widget(parent, widget)


def guard(app: FaultGuard, widget: Widget) -> None:
    """Guard the methods of a widget that Textual calls."""
    if "_dispatch_message" not in widget.__dict__:
        guarded = WidgetGuard(app, widget)
        for name in GUARDED:
            setattr(widget, name, getattr(guarded, name))


GUARDED = (
    "_dispatch_message",
    "_flush_next_callbacks",
    "_post_mount",
    "compose",
    "_render",
    "render_lines",
    "_get_box_model",
)
"""Methods of `WidgetGuard` that replace those of a widget."""


class WidgetGuard:
    """Guarded methods of a widget: messages, callbacks, composition, measurement and drawing."""

    def __init__(self, app: FaultGuard, widget: Widget) -> None:
        self._app = app
        self._widget = widget
        self._originals: dict[str, Callable[..., Any]] = {name: getattr(widget, name) for name in GUARDED}

    def _report(self, error: Exception) -> None:
        self._app.report_fault(error, type(self._widget).__name__)

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await self._originals["_dispatch_message"](message)
        except Exception as error:  # noqa: BLE001 - the widget would handle no further message
            self._report(error)

    async def _flush_next_callbacks(self) -> None:
        await _flush_each(self._app, self._widget)

    def _post_mount(self) -> None:
        try:
            self._originals["_post_mount"]()
        except Exception as error:  # noqa: BLE001 - the widget would handle no message
            self._report(error)

    def compose(self) -> ComposeResult:
        """Yield the widget's children, and a notice if one of them fails."""
        try:
            yield from self._originals["compose"]()
        except Exception as error:  # noqa: BLE001 - an empty screen could not show the error
            self._report(error)
            yield Static(BROKEN, markup=False)

    def _render(self) -> Visual:
        try:
            return cast("Visual", self._originals["_render"]())
        except Exception as error:  # noqa: BLE001 - Textual also measures the widget with it
            self._report(error)
            return Content(BROKEN)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of the widget, or a notice if they cannot be drawn."""
        try:
            return cast("list[Strip]", self._originals["render_lines"](crop))
        except Exception as error:  # noqa: BLE001 - the whole screen, with the error message, would stay undrawn
            self._report(error)
            first = Strip([Segment(BROKEN)]).adjust_cell_length(crop.width)
            return [first, *[Strip.blank(crop.width)] * (crop.height - 1)][: crop.height]

    def _get_box_model(self, container: Size, *args: Any, **keywords: Any) -> BoxModel:  # noqa: ANN401
        try:
            return cast("BoxModel", self._originals["_get_box_model"](container, *args, **keywords))
        except Exception as error:  # noqa: BLE001 - the whole screen would have no layout
            self._report(error)
            return BoxModel(Fraction(container.width), Fraction(1), Spacing())


async def _flush_each(app: FaultGuard, pump: MessagePump) -> None:
    """Invoke each pending callback; Textual drops those that follow a failing one."""
    pending = pump._next_callbacks.copy()  # noqa: SLF001 - as MessagePump does
    pump._next_callbacks.clear()  # noqa: SLF001
    for callback in pending:
        try:
            with pump.prevent(*callback._prevent):  # noqa: SLF001
                await invoke(callback.callback)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            app.report_fault(error, type(pump).__name__)
