"""The editor of the SQL screen: syntax highlighting and completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea

from dataops_core.plain import visible
from dataops_core.sql.completion import Candidate, Completion
from dataops_core.sql.scan import KEYWORDS, Kind, Statement, scan, statement_at

COLOURED = 30_000
"""Maximum characters of a text for highlighting and completion, which would slow down each key in a longer text."""
OFFERED = 8
"""Maximum number of candidates that are shown."""
NOTE_WIDTH, NOTE_LINES = 54, 4
"""Width in characters and maximum lines of the note below the candidates."""
_STYLES = {
    Kind.COMMENT: Style(dim=True, italic=True),
    Kind.STRING: Style(color="green"),
    Kind.NUMBER: Style(color="magenta"),
    Kind.QUOTED: Style(color="yellow"),
}
_KEYWORD = Style(color="cyan", bold=True)
_KIND_GLYPHS = {
    "column": "c",
    "alias": "a",
    "table": "t",
    "schema": "s",
    "catalog": "C",
    "function": "f",
    "keyword": "k",
}


class Completions(Widget):
    """The list of candidates, over the text; it has no focus, and the editor handles its keys."""

    can_focus = False

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self.completion = Completion(0, (), ())
        self.chosen = 0
        self.moved = False
        """Whether the user has moved the selection; Enter then inserts it."""
        self._note: list[str] = []

    @property
    def candidate(self) -> Candidate | None:
        """The selected candidate."""
        candidates = self.completion.candidates
        return candidates[self.chosen] if self.chosen < len(candidates) else None

    def offer(self, completion: Completion, note: str) -> None:
        """Show candidates; `note` is their age, or what is missing."""
        marked = self.candidate.text if self.candidate and self.moved and self.display else None
        texts = [candidate.text for candidate in completion.candidates]
        self.completion, self._note = completion, wrap(visible(note), NOTE_WIDTH, max_lines=NOTE_LINES)
        self.moved = marked in texts
        self.chosen = texts.index(marked) if marked in texts else 0
        self.display = bool(completion.candidates or note)
        self.styles.height = min(OFFERED, len(completion.candidates)) + len(self._note)
        self.refresh(layout=True)

    def close(self) -> None:
        """Hide the list."""
        self.display, self.moved = False, False

    def move(self, by: int) -> None:
        """Select the next or the previous candidate."""
        self.moved = True
        self.chosen = (self.chosen + by) % max(1, len(self.completion.candidates))
        self.refresh()

    def render(self) -> Text:
        """Return the candidates around the selected one, and the note."""
        width = self.size.width
        candidates: Sequence[Candidate] = self.completion.candidates
        first = max(0, min(self.chosen - OFFERED // 2, len(candidates) - OFFERED))
        lines = []
        for at, candidate in enumerate(candidates[first : first + OFFERED], first):
            line = Text(f"{_KIND_GLYPHS[candidate.kind]} ", "dim", no_wrap=True, overflow="ellipsis", end="")
            line.append(visible(candidate.text), "bold" if at == self.chosen else "")
            line.append(f"  {visible(candidate.about) or candidate.kind}", "dim")
            line.truncate(width, overflow="ellipsis", pad=True)
            if at == self.chosen:
                line.stylize("reverse")
            lines.append(line)
        lines += [Text(line, "italic dim") for line in self._note]
        return Text("\n", no_wrap=True).join(lines)


class SqlEditor(TextArea):
    """An editor of a text with any number of statements."""

    BINDINGS = [
        Binding(
            "ctrl+@,ctrl+space",
            "complete",
            "Complete",
            id="editor.complete",
            show=False,
            key_display="^space",
            tooltip="Show completions; Tab inserts the selected one",
        ),
    ]

    @dataclass
    class CompletionRequested(Message):
        """Completion was requested; `typed` if typing has triggered it."""

        editor: SqlEditor
        typed: bool

    def __init__(self, completions: Completions) -> None:
        super().__init__(
            "",
            placeholder=Content("a statement, e.g. SHOW TABLES; F5 runs the one under the cursor, F1 shows all keys"),
            tab_behavior="focus",
            soft_wrap=False,
            compact=True,
            show_line_numbers=False,
        )
        self._completions = completions
        self._coloured: tuple[str, dict[int, list[tuple[int, int, Style]]]] = ("", {})
        self._by_hand = False

    @property
    def offset_of_cursor(self) -> int:
        """Offset of the cursor in the text."""
        return self.offset_at(self.cursor_location)

    def offset_at(self, location: tuple[int, int]) -> int:
        """Return the offset of a line and column in the text."""
        row, column = location
        newline = len(self.document.newline)
        return sum(len(self.document.get_line(line)) + newline for line in range(row)) + column

    def location_at(self, offset: int) -> tuple[int, int]:
        """Return the line and column of an offset in the text."""
        before = self.text[:offset]
        newline = self.document.newline
        return before.count(newline), len(before) - (before.rfind(newline) + len(newline) if newline in before else 0)

    def to_run(self) -> Statement | None:
        """Return the selection, or the statement under the cursor; `None` if there is none."""
        if selected := self.selected_text.strip():
            start = min(self.offset_at(self.selection.start), self.offset_at(self.selection.end))
            return Statement(selected, start, start + len(selected))
        return statement_at(self.text, self.offset_of_cursor)

    def get_line(self, line_index: int) -> Text:
        """Return a line with its highlighting."""
        line = super().get_line(line_index)
        for start, end, style in self._colours().get(line_index, ()):
            line.stylize(style, start, end)
        return line

    def _colours(self) -> dict[int, list[tuple[int, int, Style]]]:
        text = self.text
        if self._coloured[0] != text:
            self._coloured = (text, _colours(text, self.document.newline) if len(text) <= COLOURED else {})
        return self._coloured[1]

    def on_text_area_changed(self) -> None:
        """Redraw the highlighting, which may change on other lines too, and request a completion."""
        self.refresh()
        by_hand, self._by_hand = self._by_hand, False
        if by_hand and self.has_focus and len(self.text) <= COLOURED:
            self.post_message(self.CompletionRequested(self, typed=True))

    def close_completions(self) -> None:
        """Close the list until the user types again."""
        self._by_hand = False
        self._completions.close()

    def on_blur(self) -> None:
        """Close the list when the editor loses the focus."""
        self._completions.close()

    def on_key(self, event: events.Key) -> None:
        """Handle the keys of the list of candidates while it is shown."""
        offered = self._completions
        self._by_hand = True  # a text that the console inserts requests no completion
        if not offered.display:
            return
        match event.key:
            case "down" | "up" if offered.candidate:
                offered.move(1 if event.key == "down" else -1)
            case "escape":
                offered.close()
            case "tab" | "enter" if offered.candidate and (event.key == "tab" or offered.moved):
                self._take(offered.candidate)
            case "left" | "right" | "home" | "end" | "up" | "down" | "pageup" | "pagedown":
                offered.close()
                return
            case _:
                return
        event.stop()
        event.prevent_default()

    def _take(self, candidate: Candidate) -> None:
        start = self.location_at(self._completions.completion.start)
        call = "(" if candidate.kind == "function" else ""
        self.replace(candidate.text + call, start, self.cursor_location, maintain_selection_offset=False)
        self._completions.close()

    def action_complete(self) -> None:
        """Show the candidates at the cursor."""
        self.post_message(self.CompletionRequested(self, typed=False))


def _colours(text: str, newline: str) -> dict[int, list[tuple[int, int, Style]]]:
    """Return the styles of a text by line."""
    starts = [0]
    while (at := text.find(newline, starts[-1])) >= 0:
        starts.append(at + len(newline))
    results: dict[int, list[tuple[int, int, Style]]] = {}
    line = 0
    for token in scan(text):
        style = _STYLES.get(token.kind)
        if style is None and token.kind is Kind.WORD and token.text.upper() in KEYWORDS:
            style = _KEYWORD
        if style is None:
            continue
        while line + 1 < len(starts) and starts[line + 1] <= token.start:
            line += 1
        last = line
        while last + 1 < len(starts) and starts[last + 1] < token.end:
            last += 1
        for row in range(line, last + 1):
            start = max(0, token.start - starts[row])
            results.setdefault(row, []).append((start, token.end - starts[row], style))
    return results
