"""A recording in place of a monitor: the console then needs no service and no settings."""

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
"""The recording that comes with the program; `make incident` makes it."""


class Replay:
    """Watches nothing.

    Args:
        recording: What is replayed.
    """

    not_recorded: str | None = None
    replays = True

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def clients(self) -> Clients:
        """No clients."""
        from dataops_core.systems.clients import Clients  # noqa: PLC0415 - brings the vendors' clients, which a replay needs not

        return Clients()

    def recording(self) -> Recording:
        """Return the recording."""
        return self._recording

    def start(self, on_snapshot: Callable[[HealthSnapshot], None]) -> None:
        """Nothing is watched."""

    def refresh(self) -> None:
        """Nothing is looked at."""

    def stop(self) -> None:
        """Nothing has to be stopped."""


def settings_of(recording: Recording) -> Settings:
    """Return the settings with which a recording is shown: its pipelines, in a context where nothing can be done."""
    with reading(recording.path):  # what it holds may be no settings
        return Settings(
            contexts={recording.context: ContextSettings(read_only=True)},
            pipelines=dict(recording.pipelines),
            refresh=recording.refresh,
        )
