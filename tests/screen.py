"""What the console shows, as a test reads it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual._context import visible_screen_stack
from textual.app import App
from textual.events import Key
from textual.strip import Strip


def strips(app: App[Any]) -> list[Strip]:
    """Return what is on the screen, one strip for each row."""
    # Without these, a dialog that a test reads before it was drawn has nothing below it, and keeps that.
    visible_screen_stack.set(app._background_screens)
    return app.screen._compositor.render_strips()


def shown(app: App[Any]) -> str:
    """Return the text on the screen, one line for each row."""
    return "\n".join(strip.text.rstrip() for strip in strips(app))


async def until_shown(app: App[Any], good: Callable[[str], bool], what: str, within: float = 60) -> str:
    """Wait until the screen shows something; fails with the last look."""
    deadline = time.monotonic() + within
    while not good(text := shown(app)):
        if time.monotonic() > deadline:
            pytest.fail(f"not on the screen within {within:.0f} s: {what}\n{text}")
        await asyncio.sleep(0.05)
    return text


FREEZE = 15.0
"""Seconds between two beats that count as a freeze: half of what a component that hangs here takes to answer."""


@asynccontextmanager
async def heartbeat() -> AsyncIterator[list[float]]:
    """Beat in the event loop; yields the seconds between two beats, which grow when something holds the loop up."""
    gaps: list[float] = [0.0]

    async def beat() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.05)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    task = asyncio.create_task(beat())
    try:
        yield gaps
    finally:
        task.cancel()


def type_at_once(app: App[Any], *keys: str) -> None:
    """Send keys without a pause between them, as a fast hand or a macro does."""
    assert app._driver is not None
    for key in keys:
        event = Key({":": "colon", "/": "slash"}.get(key, key), key if len(key) == 1 else None)
        event.set_sender(app)
        app._driver.send_message(event)
