"""Text that no terminal and no clipboard holds, in the console: shown with escapes, and it ends nothing."""

from __future__ import annotations

import pytest
from tests.console.conftest import Console
from tests.console.test_kafka import FakeKafka, command, kafka, record
from tests.screen import until_shown

from dataops_core.systems.kafka.records import Record
from dataops_tui.themes import AsciiOnly

__all__ = ["kafka"]
ODD = [
    b'{"user":"bob \\ud83d", "price": 12345678901234567.89, "rate": 1.10, "far": 1e400}',
    "数\u3000据 no\u00a0break 👩\u200d🚒 \x1b[31mred".encode(),
    b"\0\0\0\x2a",
]


def records() -> list[Record]:
    return [record(offset, value) for offset, value in enumerate(ODD)]


async def test_half_a_surrogate_pair_is_shown_and_copied(
    console: Console, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.console.test_kafka.RECORDS", records()[:1])
    async with console.app.run_test(size=(160, 48)) as pilot:
        await command(pilot, "peek orders")
        text = await until_shown(console.app, lambda text: "12345678901234567.89" in text, "the record")
        for digits in ("1.10", "1e400", "\\ud83d"):
            assert digits in text
        await pilot.press("y")
        await until_shown(console.app, lambda text: '"price": 12345678901234567.89' in text, "the raw view")
        await pilot.press("c")
        await pilot.pause()
        assert console.app.is_running
        assert "bob \\ud83d" in console.app.clipboard
        console.app.copy_to_clipboard("half \ud83d")
        assert console.app.clipboard == "half \\ud83d"
    assert not console.app.return_code


async def test_text_is_drawn_as_text_and_bytes_as_hex(
    console: Console, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.console.test_kafka.RECORDS", records()[1:])
    async with console.app.run_test(size=(160, 48)) as pilot:
        await command(pilot, "peek orders")
        text = await until_shown(console.app, lambda text: "00 00 00 2a" in text, "the records")
        assert "␛[31mred" in text
        assert "数\u3000据" in text


def test_a_terminal_without_utf8_gets_ascii_alone() -> None:
    from rich.segment import Segment
    from textual.color import Color

    strict, loose = AsciiOnly(enabled=False, strict=True), AsciiOnly(enabled=True)
    line = [Segment("● ok ▁▂ 数 é")]
    assert strict.enabled
    assert strict.apply(line, Color(0, 0, 0))[0].text == "* ok __ ?? ?"
    assert loose.apply(line, Color(0, 0, 0))[0].text == "* ok __ 数 é"
