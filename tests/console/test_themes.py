"""Themes, plain ASCII, no colour, other keys, the command palette, and the web mode's door."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.console.conftest import SIZES, Console, looking, well
from tests.orders import stuck
from tests.screen import shown, until_shown
from textual.command import CommandList

from dataops_core.errors import ConfigError
from dataops_tui.__main__ import main
from dataops_tui.dialogs.confirm import TriggerDialog
from dataops_tui.dialogs.help import HelpScreen
from dataops_tui.keys import bindings, check_keys
from dataops_tui.themes import THEMES
from dataops_tui.web import is_ours, public_origin, server


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_each_theme_says_the_same(tmp_path: Path, theme: str) -> None:
    console = looking(tmp_path, theme=theme)
    async with console.app.run_test(size=(120, 30), notifications=True):
        console.monitor.push(stuck())
        await until_shown(console.app, lambda text: "■ stuck" in text, "the state in words")
        background = console.app.screen.styles.background
        assert background.hex.lower() == console.app.get_theme(theme).background  # type: ignore[union-attr]
        assert (background.brightness < 0.5) == console.app.get_theme(theme).dark  # type: ignore[union-attr]


async def test_another_theme_by_command(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("colon", *"theme", "space", *"light", "enter")
        await pilot.pause()
        assert console.app.theme == "light"
        await pilot.press("colon", *"theme", "space", *"mauve", "enter")
        await until_shown(console.app, lambda text: "available: dark, light" in text, "which there are")


async def test_the_style_sheet_is_parsed_once_for_each_theme(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        rules = []
        for destination in ("kafka", "tables"):  # two screens of the same widgets
            await pilot.press("colon", *destination, "enter")
            await pilot.pause()
            assert console.app.current_mode == destination
            rules.append(list(console.app.stylesheet.rules))
        assert [id(rule) for rule in rules[0]] == [id(rule) for rule in rules[1]]
        await pilot.press("colon", *"theme", "space", *"light", "enter")
        await pilot.pause()
        assert not {id(rule) for rule in rules[0]} & {id(rule) for rule in console.app.stylesheet.rules}


async def test_without_colour_nothing_is_told_by_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = looking(tmp_path)
    async with console.app.run_test(size=(120, 30), notifications=True):
        console.monitor.push(stuck())
        await until_shown(console.app, lambda text: "■ stuck" in text, "the state")
        found = set()
        for filter_ in console.app.get_line_filters():
            found.add(type(filter_).__name__)
        assert found & {"Monochrome", "NoColor"}


@pytest.mark.parametrize("size", SIZES)
async def test_plain_ascii_has_no_other_character(tmp_path: Path, size: tuple[int, int]) -> None:
    console = looking(tmp_path, ascii=True)
    async with console.app.run_test(size=size, notifications=True) as pilot:
        console.monitor.push(stuck())
        text = await until_shown(console.app, lambda text: "# stuck" in text, "the state")
        assert [c for c in text if not c.isascii() and c not in KEY_NAMES] == []
        await pilot.press("question_mark")
        text = await until_shown(console.app, lambda text: "Active keys" in text, "the help")
        assert [c for c in text if not c.isascii() and c not in KEY_NAMES] == []


KEY_NAMES = "⏎↓↑←→"
"""How Textual names some keys."""


async def test_another_key_from_the_settings(tmp_path: Path) -> None:
    console = looking(tmp_path, keys={"home.trigger": "f6,ctrl+g", "app.help": "f12"})
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        await pilot.press("j", "j", "j", "t", "question_mark")
        assert not isinstance(console.app.screen, TriggerDialog | HelpScreen)
        await pilot.press("ctrl+g")
        assert isinstance(console.app.screen, TriggerDialog)
        await pilot.press("escape", "f12")
        assert "f6" in shown(console.app)


def test_a_key_for_no_binding_is_refused_with_the_nearest() -> None:
    check_keys({"home.trigger": "f6"})
    with pytest.raises(ConfigError, match=r'no binding "home.triger": did you mean "home.trigger"'):
        check_keys({"home.triger": "f6"})
    with pytest.raises(ConfigError, match=r"app.help: there is no key"):
        check_keys({"app.help": " "})


def test_each_binding_has_an_id_of_its_own_and_says_what_it_does() -> None:
    found = [binding for _, binding in bindings()]
    assert all(binding.id and binding.tooltip for binding in found)
    ids = [binding.id for binding in found]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("key", ["pageup", "pagedown", "home", "end", "down", "up"])
async def test_the_palette_takes_any_key_where_its_list_has_no_room(console: Console, key: str) -> None:
    async with console.app.run_test(size=(30, 3)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause(0.3)
        listed = console.app.screen.query_one(CommandList)
        assert listed.option_count, "else the key does nothing"
        assert not listed.scrollable_content_region
        await pilot.press(key, "escape")
    assert not console.app.faults


async def test_the_palette_finds_a_command_by_a_few_letters(console: Console) -> None:
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("ctrl+p", *"xry")
        await until_shown(console.app, lambda text: "stages and their inputs" in text, "the command")
        await pilot.press("down", "enter")
        for _ in range(100):
            if console.app.current_mode == "xray":
                break
            await pilot.pause(0.05)
        assert console.app.current_mode == "xray"


@pytest.mark.parametrize(
    ("host", "origin", "good"),
    [
        ("127.0.0.1:8000", None, True),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("localhost:8000", "http://localhost:8000", True),
        ("127.0.0.1:8000", "http://evil.example", False),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", False),
        ("127.0.0.1:8000", "null", False),
        ("evil.example:8000", None, False),
        ("evil.example:8000", "http://evil.example:8000", False),
    ],
)
def test_only_our_own_page_comes_in(host: str, origin: str | None, good: bool) -> None:
    assert is_ours(host, origin, 8000) is good


@pytest.mark.parametrize(
    ("host", "origin", "good"),
    [
        ("console.example.com", "https://console.example.com", True),
        ("Console.Example.com", "https://console.example.com", True),
        ("console.example.com", None, True),
        ("127.0.0.1:8000", None, True),
        ("console.example.com", "http://console.example.com", False),
        ("console.example.com", "https://evil.example", False),
        ("console.example.com", "null", False),
        ("evil.example", "https://evil.example", False),
        ("127.0.0.1:8000", "https://console.example.com", False),
    ],
)
def test_a_proxy_in_front_is_one_more_page(host: str, origin: str | None, good: bool) -> None:
    assert is_ours(host, origin, 8000, public_origin("https://console.example.com/")) is good


@pytest.mark.parametrize(
    "url",
    ["console.example.com", "https://u:p@c", "https://c/path", "ftp://c", "https://", "https://c:x", "https://[c"],
)
def test_an_address_of_a_proxy_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--public-url"):
        public_origin(url)


async def test_every_response_of_the_web_mode_forbids_frames() -> None:
    app = await server("true", 0)._make_app()
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        for host, path, status in (
            ("127.0.0.1:0", "/", 200),
            ("127.0.0.1:0", "/static/js/textual.js", 200),
            ("127.0.0.1:0", "/nope", 404),
            ("evil.example", "/", 403),
            ("evil.example", "/ws", 403),
        ):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status == status
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        refused = await client.get("/ws", headers={"Host": "127.0.0.1:0", "Origin": "http://evil.example"})
        assert refused.status == 403


def test_the_web_mode_without_its_library_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "textual_serve.server", None)
    config = tmp_path / "dataops.toml"
    config.write_text('[contexts.dev]\nkafka = { bootstrap_servers = "kafka:1" }\n')
    assert main(["--config", str(config), "--web"]) == 2
    assert "pip install '.[web]' in a clone" in capsys.readouterr().err
