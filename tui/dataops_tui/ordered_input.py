"""Ordered dispatch of keys, pastes and clicks: each acts on the state that the previous one has left.

Textual runs a priority binding while earlier characters still wait in the editor's queue. It also sends a key to the
current screen although the previous key is about to open another one. This module dispatches an event only after the
previous event has passed through every queue that it can reach.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import ExitStack

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget

from dataops_tui.keys import ACTING, is_typed

SETTLES_WITHIN = 30.0
"""Seconds after which the next event is dispatched even if the previous one is still being handled."""
MAX_PASSES = 10
"""Maximum rounds through the queues, so that a busy stream of other messages does not delay the keys."""
CALM = 1.0
"""Seconds after a screen change in which a letter starts no action, as it was meant for the previous screen."""

FRAME = 0.1
"""Seconds after which a frame is drawn even if more events wait."""

ORDERED = (events.InputEvent, events.Paste)
"""All user input. It includes mouse moves, so that a drag does not overtake its own click."""
SETTLING = (events.Key, events.Paste, events.MouseUp)
"""Events that may change the state."""


class OrderedInput(App[None]):
    """Dispatch events one at a time; ignore letters that start an action right after a screen change."""

    def __init__(self) -> None:
        super().__init__()
        self._later: deque[events.Event] = deque()
        self._released: events.Event | None = None
        self._settling: asyncio.Task[None] | None = None
        self._typed_into: Widget | None = None
        self._dispatched = 0
        self._passes = 0
        self._drawing = ExitStack()
        self._held_since: float | None = None
        self._changed_at = time.monotonic()

    def on_mount(self) -> None:
        """Subscribe to screen changes."""
        self.screen_change_signal.subscribe(self, self._screen_changed, immediate=True)

    async def on_event(self, event: events.Event) -> None:
        """Dispatch an event, or hold it until the previous one has been handled."""
        if isinstance(event, ORDERED) and not self.screen_stack:
            return  # the console is shutting down
        if not isinstance(event, ORDERED) or event.is_forwarded:
            await super().on_event(event)
            return
        if event is self._released:
            self._released = None
        elif self._later or self._released is not None or not self._follows(event):
            self._later.append(event)
            return
        if isinstance(event, events.Key) and self._comes_too_soon(event):
            self._release_next()
            return
        self._dispatched += 1
        self._passes = 0
        self._typed_into = self.focused if self._is_text(event) else None
        try:
            await super().on_event(event)
        finally:
            if isinstance(event, SETTLING) and self._settling is None:
                self._settling = asyncio.create_task(self._settle())
            self._release_next()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """Treat the end of typing as a screen change, because the rest of the text may still arrive."""
        if event.widget.check_consume_key("a", "a"):
            self._changed_at = time.monotonic()

    def _screen_changed(self, screen: Screen[object]) -> None:
        self._mark_change()
        screen.call_after_refresh(self._mark_change)  # the user sees the screen only after it is drawn

    def _mark_change(self) -> None:
        self._changed_at = time.monotonic()

    def _comes_too_soon(self, event: events.Key) -> bool:
        if not event.is_printable or event.time - self._changed_at >= CALM:
            return False
        if self._is_text(event):
            return False
        active = self.screen.active_bindings.get(event.key)
        if active is None or not active.enabled or active.binding.id not in ACTING:
            return False
        key = self.get_key_display(active.binding)
        self.notify(f"{key} was pressed right after the screen changed: press it again to {_verb(active.binding)}")
        return True

    def _follows(self, event: events.Event) -> bool:
        """Return whether an event may be dispatched now; letters typed into one widget stay in order anyway."""
        if self._settling is None:
            return True
        return self._typed_into is not None and self._typed_into is self.focused and self._is_text(event)

    def _is_text(self, event: events.Event) -> bool:
        if not isinstance(event, events.Key) or event.character is None:
            return False
        return is_typed(self.focused, event.key, event.character)

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(SETTLES_WITHIN):
                before = None
                self._passes = 0
                while self._passes < MAX_PASSES:
                    self._passes += 1
                    began = self._standing()
                    for pump in self._queues():
                        await _passed(pump)
                    if began == before == self._standing() and not began[1]:
                        break
                    before = began
        except TimeoutError:
            pass
        finally:
            self._settling = None
            self._release_next()

    def _release_next(self) -> None:
        self._hold_drawing()
        if self._later and self._released is None and self._follows(self._later[0]):
            self._released = self._later.popleft()
            self.post_message(self._released)

    def _hold_drawing(self) -> None:
        """Batch the drawing while events wait, with a frame every `FRAME` seconds; a frame per event would be slow."""
        if not self.screen_stack:
            return
        now = time.monotonic()
        if self._held_since is None and self._later:
            self._held_since = now
            self._drawing.enter_context(self.batch_update())
        elif self._held_since is not None and (not self._later or now - self._held_since > FRAME):
            self._held_since = None
            self._drawing.close()
            self.screen.check_idle()

    def _standing(self) -> tuple[int, int, list[MessagePump]]:
        """Return a state that no longer changes between two rounds once all events have been handled."""
        queues = self._queues()
        return self._dispatched, sum(pump.message_queue_size for pump in queues), queues

    def _queues(self) -> list[MessagePump]:
        """Return the queues that an event passes: the focused widget, its ancestors, the screen and the app."""
        if not self.screen_stack:
            return [self]
        return list((self.focused or self.screen).ancestors_with_self)


async def _passed(pump: MessagePump) -> None:
    """Wait until all messages that are in a queue now have been handled."""
    reached = asyncio.Event()
    if pump.call_later(reached.set):
        await reached.wait()


def _verb(binding: object) -> str:
    return str(getattr(binding, "description", "")).lower()
