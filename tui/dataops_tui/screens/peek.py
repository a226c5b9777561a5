"""The peek screen: a live view of a topic's records, from any start, with a filter; it commits no offsets."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf
from threading import Event
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Input

from dataops_core.json_text import indented
from dataops_core.plain import lines_of
from dataops_core.systems.base import StageObject
from dataops_core.systems.registry import registry
from dataops_core.times import seconds as epoch
from dataops_core.units import count
from dataops_tui import styled
from dataops_tui.background import in_background
from dataops_tui.messages import RecordsArrived, WorkFailed
from dataops_tui.resource import Row, TableScreen
from dataops_tui.widgets.filter_line import FilterLine
from dataops_tui.widgets.words import Words
from dataops_tui.workflows.rejected import show_rejected

if TYPE_CHECKING:
    from dataops_core.systems.kafka.records import Record, Start
    from dataops_core.systems.kafka.schema_registry import Decoded

KEPT = 500
"""Maximum number of matching records in memory; under 10 MB, as at most 16 KiB of each value are kept."""
MAX_CELL = 300
"""Maximum characters of a value in the table; the pane below shows more."""
PEEKING = "reading the records"
FORMS = ("auto", "text", "hex")


class StartInput(Input):
    """The input line for the start of reading."""

    BINDINGS = [Binding("escape", "close", "Cancel", id="place.close", tooltip="Close without a change")]

    def __init__(self) -> None:
        super().__init__(
            id="start", placeholder="tail 50, beginning, end, offset 120, 15m (ago), or an ISO time", compact=True
        )
        self.display = False

    def action_close(self) -> None:
        """Go back to the records."""
        self.display = False
        self.screen.query_one("#rows").focus()


class PeekScreen(TableScreen["deque[Record]"]):
    """The records, newest first; the selected one is shown in full below."""

    COMPONENT = "kafka"
    FOLLOWS_TIME = False

    BINDINGS = [
        Binding("f", "start", "From", id="peek.from", tooltip="Set the start: tail, offset or time"),
        Binding("p", "pause", "Pause", id="peek.pause", tooltip="Pause or resume"),
        Binding("e", "form", "Format", id="peek.form", tooltip="Switch the format: JSON or text, text, hex"),
        Binding("x", "rejected", "Rejected", id="peek.rejected", tooltip="Show rejected records with their reasons"),
    ]

    def __init__(self, topic: str, start: str = "tail", partition: int | None = None) -> None:
        super().__init__()
        self._topic = topic
        self._start = start
        self._partition = partition
        self._records: deque[Record] = deque(maxlen=KEPT)
        self._read = 0
        self._filled = -1
        self._number = 0
        self._stop = Event()
        self._form = FORMS[0]
        self._paused = False
        self._failed: str | None = None

    def crumb(self) -> str:
        """Return the topic, and the partition if only one is read."""
        return f"{self._topic} records" if self._partition is None else f"{self._topic}-{self._partition} records"

    def compose_more(self) -> ComposeResult:
        """Compose the selected record and the input line for the start."""
        with VerticalScroll(id="record", can_focus=False):
            yield Words(id="about")
        yield StartInput()

    @property
    def result(self) -> deque[Record]:
        """The records in memory."""
        return self._records

    def on_mount(self) -> None:
        """Start reading."""
        self.begin()

    def on_unmount(self) -> None:
        """Stop reading."""
        self._stop.set()

    def begin(self) -> None:
        """Restart reading, from the selected start."""
        self._stop.set()
        self._stop, self._failed, self._paused = Event(), None, False
        self._number += 1
        self._read = 0
        self._records.clear()
        self.fill()
        number, stop, name, partition = self._number, self._stop, self._topic, self._partition
        keep = self.query_one(FilterLine).keep  # the reader filters, so that a rare match is not pushed out of memory

        def work() -> None:
            from dataops_core.systems.kafka.records import parse_start, peek  # noqa: PLC0415 - a slow import

            begin: Start = parse_start(self._start, datetime.now(UTC))

            def matches(record: Record) -> bool:
                return keep([_searched(record)])[0]

            clients = self.console.clients
            result = peek(clients.kafka, name, begin, stop, matches, clients.schema_registry, partition=partition)
            for records, read in result:
                if read:  # the call waits for the event loop, so that a busy topic does not flood a slow terminal
                    self.app.call_from_thread(self._take, RecordsArrived(number, tuple(records), read))

        in_background(self, PEEKING, work)

    def _take(self, message: RecordsArrived) -> None:
        if message.peek == self._number:
            self._records.extend(message.records)
            self._read += message.read

    @on(WorkFailed)
    def _complain(self, message: WorkFailed) -> None:
        if message.what == PEEKING:
            message.stop()
            self._failed = message.error
            self._redraw()

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("TIME", "PART", "OFFSET", "KEY", "VALUE")

    def rows(self, result: deque[Record], now: datetime) -> Mapping[str, Row]:
        """Return the records, newest first."""
        newest_first = sorted(result, key=lambda r: (epoch(r.time) if r.time else -inf, r.offset), reverse=True)
        return {
            f"{r.partition}-{r.offset}": Row(
                self._record(r, now), partial(_about, r), bool(r.unreadable), unreadable=r.unreadable is not None
            )
            for r in newest_first
        }

    def _record(self, record: Record, now: datetime) -> list[Text]:
        if record.unreadable is not None:
            value = styled.unreadable(record.unreadable)
        elif record.value is None:
            value = Text("(tombstone)", "dim")
        else:
            value = styled.plain(self._text(record.value, record.decoded)[:MAX_CELL])
        return [
            styled.at(record.time, now, "dim"),
            styled.number(record.partition),
            styled.number(record.offset),
            styled.plain(self._text(record.key, record.decoded_key)[:60], "cyan"),
            value,
        ]

    def _text(self, data: bytes | None, decoded: Decoded | None = None) -> str:
        from dataops_core.systems.kafka.records import decode  # noqa: PLC0415 - as above
        from dataops_core.values import shown as for_people  # noqa: PLC0415 - as above

        if data is None:
            return ""
        match self._form:
            case "hex":
                return data.hex(" ")
            case "text":
                return data.decode(errors="replace")
            case _:
                return for_people(decode(data, decoded)[1])

    def draw(self, now: datetime) -> None:
        """Show the records that came since the last refresh, unless paused."""
        if not self._paused and self._read != self._filled:
            self._filled = self._read
            on_top = self.table.cursor_row == 0
            self.fill()
            if on_top:  # keep the cursor on the newest record
                self.table.move_cursor(row=0, animate=False)
            return
        super().draw(now)

    def draw_more(self, now: datetime) -> None:
        """Draw the selected record in full."""
        key = self.table.cursor_key
        record = next((r for r in self._records if f"{r.partition}-{r.offset}" == key), None)
        self.query_one("#about", Words).show(self._in_full(record) if record is not None else Text())

    def _in_full(self, record: Record) -> Text:
        from dataops_core.systems.kafka.records import JSON, MAX_BYTES, decode  # noqa: PLC0415 - as above

        if record.unreadable is not None:
            return styled.plain(f"cannot be read: {record.unreadable}", "red")
        kind, _ = decode(record.value, record.decoded)
        key = self._text(record.key, record.decoded_key)
        lines = [Text.assemble(("key  ", "bold"), styled.plain(key or styled.UNKNOWN, "cyan"))]
        for name, content in record.headers:
            lines.append(Text.assemble(("header  ", "bold"), styled.plain(f"{name} = {self._text(content)}")))
        size = "" if record.size is None else f" of {count(record.size)} bytes"
        cut = f", truncated to {count(MAX_BYTES)}" if (record.size or 0) > MAX_BYTES else ""
        kind_of = f"schema {record.decoded.schema_id}" if record.decoded and kind == "schema" else kind
        lines.append(Text.assemble(("value  ", "bold"), (f"{kind_of}{size}{cut}", "dim")))
        reasons = [
            result.reason for result in (record.decoded_key, record.decoded) if result is not None and result.reason
        ]
        lines += [styled.plain(f"not decoded: {reason}", "yellow") for reason in reasons]
        value = self._text(record.value, record.decoded)
        if kind in JSON and self._form == "auto":
            value = indented(value)
        lines += [styled.plain(line.expandtabs()) for line in lines_of(value)]
        return Text("\n").join(lines)

    def status_line(self, now: datetime) -> Text:
        """Return the start, the number of records, the format, and whether reading is paused."""
        text = Text(f"from {self._start}: {count(self._read)} read, {count(len(self._records))} kept", "dim")
        if self.query_one(FilterLine).value:
            text.append("  filtered")
        text.append(f"  as {self._form}  ")
        if self._failed is not None:
            return Text.assemble(styled.plain(self._failed, "red"), "  ", text)
        text.append(
            "‖ paused (p resumes)" if self._paused else "● live", "not dim yellow" if self._paused else "not dim green"
        )
        return text

    def action_pause(self) -> None:
        """Pause or resume; records that arrive meanwhile are kept."""
        self._paused = not self._paused
        self._redraw()

    def action_form(self) -> None:
        """Switch to the next format of the values."""
        self._form = FORMS[(FORMS.index(self._form) + 1) % len(FORMS)]
        self.fill()

    def action_rejected(self) -> None:
        """Show the topic's rejected records with their reasons."""
        topic = StageObject("kafka_topic", (self._topic,))
        show_rejected(self.console, lambda _, stage: registry().object_of(stage) == topic)

    def action_start(self) -> None:
        """Open the input line for the start."""
        line = self.query_one(StartInput)
        line.value = ""
        line.display = True
        line.focus()

    @on(Input.Submitted, "#start")
    def _start_chosen(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(StartInput).action_close()
        self._start = event.value.strip() or "tail"
        self.begin()


def _searched(record: Record) -> str:
    decoded = " ".join(part.text for part in (record.decoded_key, record.decoded) if part is not None and part.text)
    parts = [record.key, record.value, *(content for _, content in record.headers)]
    names = " ".join(name for name, _ in record.headers)
    return f"{names} {decoded} " + " ".join(part.decode(errors="replace") for part in parts if part is not None)


def _about(record: Record) -> dict[str, object]:
    from dataops_core.systems.kafka.records import as_dict  # noqa: PLC0415 - as above

    return as_dict(record)
