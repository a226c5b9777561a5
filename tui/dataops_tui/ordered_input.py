"""Keys, pastes and clicks in the order in which they came: each acts on the state after everything before it.

Textual runs a priority binding while the characters typed before it still wait in the queue of the editor, and it gives
a key to the screen of that moment although the key before opens another one. Here the next event is dispatched once the
one before has gone through every queue that it can reach.
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
"""Seconds after which the next event is dispatched although the one before may still be at work."""
MAX_PASSES = 10
"""Rounds through the queues; a busy stream of other messages must not hold up the keys."""
CALM = 1.0
"""Seconds after a change of the screen in which a letter starts no action: it was meant for the screen before."""

FRAME = 0.1
"""Seconds after which a frame is drawn although more events wait."""

ORDERED = (events.InputEvent, events.Paste)
"""Everything that a person does; moves of the mouse too, else a drag would overtake its own click."""
SETTLING = (events.Key, events.Paste, events.MouseUp)
"""Events after which the state may be another one."""


class OrderedInput(App[None]):
    """Dispatches one event after the other, and ignores letters that start an action right after a screen change."""

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
        """Note each change of the screen."""
        self.screen_change_signal.subscribe(self, self._screen_changed, immediate=True)

    async def on_event(self, event: events.Event) -> None:
        """Dispatch an event, or keep it until the one before it is through."""
        if isinstance(event, ORDERED) and not self.screen_stack:
            return  # the console is being left: there is nothing that a key could act on
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
        """Take the end of typing for a change of the screen: the rest of the text may still come."""
        if event.widget.check_consume_key("a", "a"):
            self._changed_at = time.monotonic()

    def _screen_changed(self, screen: Screen[object]) -> None:
        self._mark_change()
        screen.call_after_refresh(self._mark_change)  # nobody can have read it before it is drawn

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
        """Return whether an event can go where the one before it went: the letters of one text stay in order anyway."""
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
        """Draw nothing between events that wait already, but for some frames: else each would wait for its own."""
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
        """Return what stays the same from one round to the next once everything is through."""
        queues = self._queues()
        return self._dispatched, sum(pump.message_queue_size for pump in queues), queues

    def _queues(self) -> list[MessagePump]:
        """Return what an event goes through: what has the focus, what holds that, the screen, and the console."""
        if not self.screen_stack:
            return [self]
        return list((self.focused or self.screen).ancestors_with_self)


async def _passed(pump: MessagePump) -> None:
    """Wait until everything that waits in a queue now has been handled."""
    reached = asyncio.Event()
    if pump.call_later(reached.set):
        await reached.wait()


def _verb(binding: object) -> str:
    return str(getattr(binding, "description", "")).lower()
