"""Replay of a recording instead of a monitor; it needs no services and no settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dataops_core.config import ContextSettings, Settings
from dataops_core.health.model import HealthSnapshot
from dataops_core.recorder.recording import Recording, reading

if TYPE_CHECKING:
    from dataops_core.systems.clients import Clients

SHIPPED = Path(__file__).parent / "incident.sqlite"
"""The recording that comes with the program; `make incident` creates it."""


class Replay:
    """A monitor that probes nothing and returns a recording."""

    not_recorded: str | None = None
    replays = True

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def clients(self) -> Clients:
        """An empty set of clients."""
        from dataops_core.systems.clients import Clients  # noqa: PLC0415 - it imports the vendors' clients

        return Clients()

    def recording(self) -> Recording:
        """Return the recording."""
        return self._recording

    def start(self, on_snapshot: Callable[[HealthSnapshot], None]) -> None:
        """Do nothing: a replay has no new snapshots."""

    def refresh(self) -> None:
        """Do nothing: a replay probes nothing."""

    def stop(self) -> None:
        """Do nothing: a replay has no threads."""


def settings_of(recording: Recording) -> Settings:
    """Return settings for the replay: the recording's pipelines, in a read-only context."""
    with reading(recording.path):  # the recorded settings may be invalid
        return Settings(
            contexts={recording.context: ContextSettings(read_only=True)},
            pipelines=dict(recording.pipelines),
            refresh=recording.refresh,
        )
