"""Control characters of outside text: shown, and never in effect."""

from __future__ import annotations

import csv
import json
import logging
import sys
import unicodedata
from io import StringIO

import pytest
from rich.segment import Segment
from rich.style import Style
from tests.hostile.escapes import ESCAPES, takes_effect
from textual.color import Color

from dataops_core.cli import printing, terminal
from dataops_core.config.toml import toml_key, toml_value
from dataops_core.narration import guard_stderr, narrate, show_progress
from dataops_core.plain import escaped, visible, visible_lines
from dataops_core.rows import writer
from dataops_tui.themes import NoControls

PRINTED = "".join(map(chr, range(0x20, 0x7F)))


def test_no_character_of_unicode_takes_effect() -> None:
    odd = [c for c in map(chr, range(sys.maxunicode + 1)) if not c.isprintable() and unicodedata.category(c) != "Cn"]
    odd += map(chr, (0x378, 0xFFFF, 0x1FFFE, 0x10FFFF))  # some of those that are not assigned
    odd = [c for c in odd if unicodedata.category(c) != "Co"] + ["\ue000", "\uf8ff", "\U000f0000", "\U0010fffd"]
    assert not takes_effect("".join(map(visible, odd)))
    assert not takes_effect("".join(map(visible_lines, odd)), "\n\t")
    assert not takes_effect("".join(map(escaped, odd)), "\n\t")


def test_what_is_printable_stays_as_it_is() -> None:
    for text in (
        PRINTED,
        "Zürich ●◐✖ 数据 data",
        "e\u0301",
        "🚚",
        "a\u00a0b",
        "数\u3000据",
        "👩\u200d🚒",
        "\u0645\u06cc\u200c\u062e\u0648",
    ):
        assert visible(text) == visible_lines(text) == escaped(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[31m", "␛[31m"), ("a\nb\tc\r", "a␊b␉c␍"), ("\x7f", "␡"), ("\x9b", "\\x9b"), ("\u202e", "\\u202e")],
)
def test_a_control_character_is_shown_as_its_symbol(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.programs
def test_json_that_is_escaped_has_the_same_value() -> None:
    for code in range(0, sys.maxunicode + 1, 7):
        text = json.dumps({"key": chr(code)}, ensure_ascii=False, indent=2)
        assert json.loads(escaped(text)) == {"key": chr(code)}


@pytest.mark.parametrize("text", ESCAPES, ids=ascii)
def test_every_border_keeps_a_text_from_the_terminal(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.write(text)
    terminal.say(text)
    narrate(text)
    printing.show([printing.safe(text), f"[bold]{printing.safe(text)}[/]"])
    rows = printing.table("A", "WHY")
    rows.add_row(printing.safe(text), printing.safe(text))
    printing.show([rows])
    out, err = capsys.readouterr()
    assert not takes_effect(out, "\n\t")
    assert not takes_effect(err, "\n")
    assert err.count("\n") == 2, "one line each: no line can be forged"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    terminal.write_exact(text)
    terminal.write_json({text: text})
    assert not takes_effect(capsys.readouterr().out, "\n\t")


@pytest.mark.parametrize("text", ESCAPES, ids=ascii)
def test_machine_formats_are_exact_in_a_pipe(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.write_json({text: text})
    assert json.loads(capsys.readouterr().out) == {text: text}
    terminal.write_exact(text)
    assert capsys.readouterr().out == text.encode(errors="backslashreplace").decode(), "UTF-8 has no half of a pair"


def test_rich_s_own_styles_reach_a_terminal_and_those_of_a_text_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    text = printing.rendered(["[red]ours[/]\x1b[32mtheirs", "a\x9bb"])
    assert "\x1b[31mours\x1b[0m␛[32mtheirs" in text
    assert "a\\x9bb" in text


def test_all_that_a_library_writes_on_standard_error_passes_the_border(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    guard_stderr()
    guard_stderr()
    for text in ESCAPES:
        sys.stderr.write(f"{text}\n")
        handler = logging.StreamHandler()
        handler.emit(logging.LogRecord("lib", logging.WARNING, "f", 1, "%s", (text,), None))
        narrate(text)
    assert not takes_effect(screen.getvalue(), "\n\t")
    screen.truncate(0)
    show_progress("a\x1bb")
    assert screen.getvalue().lstrip("\0") == "\r\x1b[Ka␛b", "only our own sequence"


@pytest.mark.parametrize("text", ESCAPES, ids=ascii)
def test_the_console_s_last_filter_lets_nothing_through_and_keeps_a_line_s_length(text: str) -> None:
    link = Style(link="http://a/\x1b\\") if text == "\x1b" else Style(bold=True)
    line = [Segment("before "), Segment(text, link), Segment(text), Segment(" after " * 4)]
    drawn = NoControls().apply(line, Color(0, 0, 0))
    assert not takes_effect("".join(segment.text for segment in drawn))
    assert sum(s.cell_length for s in drawn) == sum(s.cell_length for s in line)
    assert all(segment.style is None or segment.style.link is None for segment in drawn)


@pytest.mark.parametrize("text", [*ESCAPES, PRINTED, "数据", "\U0001f69a"], ids=ascii)
def test_toml_of_any_text_is_valid_and_takes_no_effect(text: str) -> None:
    import tomllib

    line = f"{toml_key(text)} = {toml_value(text)}"
    assert not takes_effect(line)
    scalar = "".join("\ufffd" if unicodedata.category(c) == "Cs" else c for c in text)
    assert tomllib.loads(line) == {scalar: scalar}


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", '"=1', "\uff1d1", "|x", "%x"],
)
def test_csv_safe_has_no_formula_and_csv_is_exact(text: str) -> None:
    found: dict[str, list[list[str]]] = {}
    for output in ("csv", "csv-safe"):
        written: list[str] = []
        out = writer(output, written.append)
        out.rows([(text, "varchar"), ("n", "bigint")], [(text, -5), ("plain", None)])
        found[output] = list(csv.reader(StringIO("".join(written), newline="")))
    assert found["csv"] == [[text, "n"], [text, "-5"], ["plain", ""]]
    assert found["csv-safe"] == [[f"'{text}", "n"], [f"'{text}", "-5"], ["plain", ""]]
