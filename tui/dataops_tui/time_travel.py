"""Time travel: step back and forth through a recording, and return to live."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from textual import on
from textual.app import App
from textual.binding import Binding
from textual.reactive import reactive

from dataops_core.actions import ActionPolicy
from dataops_core.errors import DataopsError
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.text import clock
from dataops_tui.background import in_background
from dataops_tui.messages import Connected, HistoryRead, MomentRead, SnapshotArrived

if TYPE_CHECKING:  # recordings are imported on first use
    from dataops_core.recorder.recording import Change, Gap, Moment, Recording
    from dataops_tui.watching import Watching


@dataclass(frozen=True)
class History:
    """The index of a recording.

    Attributes:
        moments: Oldest first.
        changes: State changes, in the order of the moments.
        gaps: Intervals without a recording.
    """

    recording: Recording
    moments: tuple[Moment, ...]
    changes: tuple[Change, ...]
    gaps: tuple[Gap, ...]

    @classmethod
    def read(cls, recording: Recording) -> History:
        """Read the index of a recording; raises RecordingError."""
        changes = tuple(change for change in recording.changes() if change.before is not None)
        return cls(recording, recording.moments(), changes, recording.gaps())

    @cached_property
    def turns(self) -> tuple[int, ...]:
        """Indexes of the moments with a state change."""
        changed = {change.moment for change in self.changes}
        return tuple(index for index, moment in enumerate(self.moments) if moment.id in changed)

    def index_at(self, at: datetime) -> int:
        """Return the index of the first moment that is not before a time."""
        return bisect_left(self.moments, at, key=lambda moment: moment.at)

    def turn(self, index: int, step: int) -> int:
        """Return the next moment with a change, after or before `index`; without one, the last or the first moment."""
        position = bisect_left(self.turns, index + (1 if step > 0 else 0)) - (0 if step > 0 else 1)
        if 0 <= position < len(self.turns):
            return self.turns[position]
        return len(self.moments) - 1 if step > 0 else 0


@dataclass(frozen=True)
class Past:
    """The selected moment of the past.

    Attributes:
        index: Index of the moment in the history.
        replay: Whether the console replays a recording, and cannot go live.
    """

    history: History
    index: int
    snapshot: HealthSnapshot
    replay: bool


Move = Callable[[History, int], int]
"""Returns the index of the moment to go to, from the current one."""


class TimeTravel(App[None]):
    """An app that shows the newest health snapshot or one of the past; actions are disabled in the past."""

    BINDINGS = [
        Binding(
            "left_square_bracket",
            "travel(-1)",
            "Earlier",
            id="time.earlier",
            key_display="[",
            show=False,
            tooltip="Go to the previous snapshot",
        ),
        Binding(
            "right_square_bracket",
            "travel(1)",
            "Later",
            id="time.later",
            key_display="]",
            show=False,
            tooltip="Go to the next snapshot, or from the newest to live",
        ),
        Binding(
            "left_curly_bracket",
            "travel_to_change(-1)",
            "Previous change",
            id="time.change_before",
            key_display="{",
            show=False,
            tooltip="Go to the previous change",
        ),
        Binding(
            "right_curly_bracket",
            "travel_to_change(1)",
            "Next change",
            id="time.next_change",
            key_display="}",
            show=False,
            tooltip="Go to the next change",
        ),
        Binding("escape", "live", "Live", id="time.live", show=False, tooltip="Go back to live"),
    ]
    context_name: str
    monitor: Watching | None
    snapshot: reactive[HealthSnapshot | None]
    past: reactive[Past | None] = reactive(None)
    """The moment that was read last; see `shown_past`."""

    def __init__(self) -> None:
        super().__init__()
        self._history: History | None = None
        self._wanted: int | None = None
        self._reading = False
        self._reported: str | None = None

    @property
    def shown_past(self) -> Past | None:
        """The selected moment of the past; `None` while the console is live."""
        past = self.past
        return past if past is not None and past.snapshot.context == self.context_name else None

    @property
    def replays(self) -> bool:
        """Whether the console replays a recording, and cannot go live."""
        return self.monitor is not None and self.monitor.replays

    @property
    def policy(self) -> ActionPolicy:
        """The policy of the context; it refuses all actions while the console shows the past."""
        past = self.shown_past
        if past is None:
            return self._policy
        at = clock(past.snapshot.taken_at, past.snapshot.taken_at)
        remedy = "a recording cannot be changed" if past.replay else "press Esc to go back to live"
        return self._policy.held(f"the console shows the past ({at}): {remedy}")

    @policy.setter
    def policy(self, policy: ActionPolicy) -> None:
        self._policy = policy

    def action_travel(self, step: int) -> None:
        """Go to the previous or the next snapshot."""
        self._travel(step, lambda _, index: index + step)

    def action_travel_to_change(self, step: int) -> None:
        """Go to the previous or the next change."""
        self._travel(step, lambda history, index: history.turn(index, step))

    def action_live(self) -> None:
        """Go back to live."""
        if self.replays:
            self.notify("only the recording is available; q quits")
            return
        self._history = self._wanted = self.past = None

    def _travel(self, step: int, move: Move) -> None:
        if self._wanted is not None and self._history is not None and self.shown_past is not None:
            self._seek(self._history, move(self._history, self._wanted))
        elif step > 0:
            self.notify("the console is live: [ goes back in time", markup=False)
        elif self.monitor is None:
            self.notify("still connecting; try again in a moment")
        else:
            self._read_history(self.monitor, move)

    def _seek(self, history: History, index: int) -> None:
        last = len(history.moments) - 1
        if index > last and not self.replays:
            self.action_live()
            return
        if not 0 <= index <= last:
            self.notify(f"this is the {'end' if index > last else 'beginning'} of the recording", timeout=3)
        self._wanted = min(max(index, 0), last)
        self._read_moment(history, self._wanted)

    def _read_history(self, monitor: Watching, move: Move) -> None:
        if self._reading:
            return
        self._reading = True

        def work() -> None:
            try:
                self.post_message(HistoryRead(History.read(monitor.recording()), move))
            except DataopsError as error:
                self.post_message(HistoryRead(None, move, str(error)))

        in_background(self, "reading the recording", work)

    @on(HistoryRead)
    def _history_read(self, message: HistoryRead) -> None:
        self._reading = False
        history = message.history
        if history is None or not history.moments:
            self.notify(message.error or "no recording yet", severity="warning", markup=False)
            return
        self._history = history
        now = history.index_at(self.snapshot.taken_at) if self.snapshot else len(history.moments)
        self._seek(history, message.move(history, now))

    def _read_moment(self, history: History, index: int) -> None:
        if self._reading:
            return  # `_moment_read` then reads the moment that the user selected last
        self._reading = True

        def work() -> None:
            try:
                snapshot = history.recording.snapshot(history.moments[index].id)
                self.post_message(MomentRead(Past(history, index, snapshot, self.replays)))
            except DataopsError as error:
                self.post_message(MomentRead(None, str(error)))

        in_background(self, "reading the recording", work)

    @on(MomentRead)
    def _moment_read(self, message: MomentRead) -> None:
        self._reading = False
        if self._wanted is None or self._history is None:
            return  # the user went back to live
        if message.past is None:
            self.notify(message.error or "the recording cannot be read", severity="error", markup=False)
            self._wanted = self.past.index if self.past else None
            return
        self.past = message.past
        if self._wanted != message.past.index:
            self._read_moment(self._history, self._wanted)

    @on(Connected)
    def _source_connected(self) -> None:
        self._history = self._wanted = self.past = None
        if self.monitor is not None and self.monitor.replays:
            self._read_history(self.monitor, lambda _history, _index: 0)

    @on(SnapshotArrived)
    def _report_recorder_failure(self) -> None:
        reason = self.monitor.not_recorded if self.monitor is not None else None
        if reason is not None and reason != self._reported:
            self.notify(f"not recording: {reason}", severity="warning", timeout=10, markup=False)
        self._reported = reason
