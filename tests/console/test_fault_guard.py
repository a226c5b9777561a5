"""An unexpected error in any callback of the console is shown and logged, and the console goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests import screen
from tests.console.conftest import Console
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding
from textual.events import Timer as TimerEvent
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Label, Static
from textual.widgets._toast import Toast

from dataops_core.error_log import catch_unexpected, error_log_path
from dataops_core.errors import ClientError
from dataops_tui.app import DataopsApp

pytestmark = pytest.mark.faults


class Boom(Exception):
    """An error that no code of the console expects."""


def boom(*_: object) -> Any:
    raise Boom("text of the \x1b[31merror")


class Ask(Message):
    pass


class Breaking(Widget):
    """A widget that fails where its test says."""

    DEFAULT_CSS = "Breaking { width: auto; height: 3; }"
    BINDINGS: ClassVar[list[Binding]] = [Binding("f9", "fail", "Fail")]
    can_focus = True
    watched: reactive[int] = reactive(0)
    async_watched: reactive[int] = reactive(0)
    source: reactive[int] = reactive(0)
    computed: reactive[int] = reactive(0)

    def __init__(self, fails: str) -> None:
        super().__init__()
        self.fails = fails
        self.answered = 0

    def _fail(self, where: str) -> None:
        if self.fails == where:
            boom()

    def compose(self) -> ComposeResult:
        if self.fails == "compose":
            yield Label("first")
            boom()
        yield from ()

    def on_mount(self) -> None:
        self._fail("mount")

    def on_unmount(self) -> None:
        self._fail("unmount")

    def render(self) -> RenderResult:
        self._fail("render")
        return "drawn" if self.fails != "markup" else "[/not markup"

    def render_line(self, y: int) -> Strip:
        self._fail("render_line")
        return super().render_line(y)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        self._fail("measure")
        return super().get_content_width(container, viewport)

    def watch_watched(self) -> None:
        self._fail("watcher")

    async def watch_async_watched(self) -> None:
        self._fail("async watcher")

    def compute_computed(self) -> int:
        self._fail("compute")
        return self.source

    def on_ask(self) -> None:
        self.answered += 1
        self._fail("handler")

    def on_timer(self, _: TimerEvent) -> None:
        self._fail("timer event")

    def on_idle(self) -> None:
        self._fail("idle")

    def on_key(self) -> None:
        self._fail("key")

    def on_resize(self) -> None:
        self._fail("resize")

    def action_fail(self) -> None:
        self._fail("action")


def _timer(app: DataopsApp, widget: Breaking) -> None:
    widget.set_interval(0.01, boom)


def _worker(app: DataopsApp, widget: Breaking) -> None:
    async def work() -> None:
        boom()

    widget.run_worker(work())


def _thread_worker(app: DataopsApp, widget: Breaking) -> None:
    widget.run_worker(boom, thread=True)


def _task(app: DataopsApp, widget: Breaking) -> None:
    async def work() -> None:
        boom()

    asyncio.get_running_loop().create_task(work())


def _set(name: str) -> Callable[[DataopsApp, Breaking], None]:
    return lambda _, widget: widget.call_later(setattr, widget, name, 1)


TRIGGERS: dict[str, Callable[[DataopsApp, Breaking], object]] = {
    "timer": _timer,
    "timer event": lambda _, widget: widget.set_interval(0.01),
    "worker": _worker,
    "thread worker": _thread_worker,
    "task": _task,
    "handler": lambda _, widget: widget.post_message(Ask()),
    "watcher": _set("watched"),
    "async watcher": _set("async_watched"),
    "compute": _set("source"),
    "call_later": lambda _, widget: widget.call_later(boom),
    "call_next": lambda _, widget: widget.call_next(boom),
    "call_after_refresh": lambda _, widget: widget.call_after_refresh(boom),
    "app's timer": lambda app, _: app.set_timer(0.01, boom),
    "app's callback": lambda app, _: app.call_later(boom),
    "loop's callback": lambda *_: asyncio.get_running_loop().call_soon(boom),
    "unmount": lambda _, widget: widget.remove(),
    # these fail by themselves
    **dict.fromkeys(
        ("compose", "mount", "render", "render_line", "markup", "measure", "idle", "resize"), lambda *_: None
    ),
}


async def shown(app: DataopsApp) -> str:
    """Return what the messages on the screen say, as soon as there is one."""
    for _ in range(200):
        toasts = [str(toast.render()) for toast in app.screen.query(Toast)]
        if toasts:
            return "\n".join(toasts)
        await asyncio.sleep(0.02)
    return ""


async def assert_alive(app: DataopsApp, pilot: Any) -> None:
    """The console takes keys, draws, and moves between its screens."""
    assert app.is_running
    app.clear_notifications()
    await pilot.press("question_mark")
    await pilot.pause()
    assert type(app.screen).__name__ == "HelpScreen"
    await pilot.press("escape")
    await pilot.pause()
    app.go("events")
    await pilot.pause()
    assert type(app.screen).__name__ == "EventsScreen"
    app.go("pipelines")
    await pilot.pause()
    assert app.screen.is_current


def log() -> str:
    return error_log_path().read_text(encoding="utf-8")


async def test_an_unexpected_error_is_shown_and_logged_and_the_console_goes_on(console: Console) -> None:
    app = console.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        for fails, trigger in TRIGGERS.items():
            widget = Breaking(fails)
            await app.screen.mount(widget)
            trigger(app, widget)
            await pilot.pause()
            message = await shown(app)
            assert "internal error" in message, f"{fails}: {message}"
            assert "Please report it" in message.replace("\n", " "), fails
            assert app.is_running, fails
            if fails != "unmount":
                widget.fails = ""
                before = widget.answered
                widget.post_message(Ask())  # it still handles its messages
                for _ in range(100):
                    await pilot.pause()
                    if widget.answered:
                        break
                assert widget.answered == before + 1, fails
                await widget.remove()
            app.clear_notifications()
            await pilot.pause()
            app.faults.clear()
        await assert_alive(app, pilot)
    text = log()
    assert "Traceback" in text
    assert "Boom: text of the ␛[31merror" in text
    assert error_log_path().stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("fails", ["action", "key"])
async def test_a_failing_key_leaves_the_console_alive(console: Console, fails: str) -> None:
    app = console.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        widget = Breaking(fails)
        await app.screen.mount(widget)
        widget.focus()
        await pilot.pause()
        await pilot.press("f9")
        await pilot.pause()
        assert "Boom" in await shown(app)
        widget.fails = ""
        await assert_alive(app, pilot)


async def test_an_action_of_the_app_and_a_handler_of_the_app_may_fail(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = console.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        with monkeypatch.context() as broken:
            broken.setattr(app, "action_refresh", boom)
            await pilot.press("ctrl+r")
            await pilot.pause()
        assert "Boom" in await shown(app)
        with monkeypatch.context() as broken:
            broken.setattr(type(app), "action_command", boom)
            await pilot.press("colon")
            await pilot.pause()
        await assert_alive(app, pilot)


@pytest.mark.parametrize("kind", [Screen, ModalScreen])
async def test_a_screen_that_fails_can_be_left(console: Console, kind: type[Screen[None]]) -> None:
    app = console.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        for method in ("compose", "on_mount", "render", "on_screen_resume"):
            broken = type("Broken", (kind,), {method: boom})
            app.push_screen(broken())
            await pilot.pause()
            assert "Boom" in await shown(app), method
            app.pop_screen()
            app.clear_notifications()
            await pilot.pause()
            app.faults.clear()
        await assert_alive(app, pilot)


async def test_the_part_that_cannot_be_drawn_says_so_and_the_rest_is_drawn(console: Console) -> None:
    app = console.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        await app.screen.mount(Breaking("render"), Static("all is well here"))
        await pilot.pause()
        text = screen.shown(app)
        assert "this widget cannot be drawn" in text
        assert "all is well here" in text


async def test_the_callbacks_after_a_failing_one_are_called(console: Console) -> None:
    app = console.app
    called: list[int] = []
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        widget = Static("x")
        await app.screen.mount(widget)
        widget.call_next(boom)
        widget.call_next(called.append, 1)
        await pilot.pause()
        await pilot.pause()
    assert called == [1]


async def test_a_known_error_that_escapes_is_shown_as_it_is_and_not_logged(console: Console) -> None:
    app = console.app

    def fail() -> None:
        raise ClientError("kafka: no response")

    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        app.call_later(fail)
        await pilot.pause()
        assert "kafka: no response" in await shown(app)
    assert not error_log_path().exists()


async def test_the_same_error_many_times_is_shown_once_and_logged_once(console: Console) -> None:
    app = console.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        for _ in range(50):
            app.call_later(boom)
        await pilot.pause()
        await shown(app)
        assert len(app.faults) == 1
        assert len(app.screen.query(Toast)) == 1
    assert log().count("Boom: ") == 1


async def test_a_thread_that_fails_is_shown_in_the_console(console: Console) -> None:
    app = console.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        with catch_unexpected(lambda line: app.call_later(app.show_fault, line)):
            thread = threading.Thread(target=boom, name="monitor")
            thread.start()
            thread.join()
        assert "thread monitor" in await shown(app)


async def test_a_log_that_cannot_be_written_does_not_end_the_console(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    app = console.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        app.call_later(boom)
        await pilot.pause()
        assert "cannot be written" in (await shown(app)).replace("\n", " ")
        await assert_alive(app, pilot)


async def test_a_screen_that_is_asked_for_after_the_end_is_no_fault(console: Console) -> None:
    """As seen with `:sql` and ctrl+q in one burst of keys: Textual has forgotten the modes by then."""
    async with console.app.run_test():
        await console.app._shutdown()
        console.app.exit()
        console.app.open_sql("SELECT 1")
        await console.app._flush_next_callbacks()
    assert not console.app.faults
