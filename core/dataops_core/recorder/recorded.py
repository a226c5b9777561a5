"""A monitor that keeps what it sees."""

from __future__ import annotations

from dataops_core.config import Settings
from dataops_core.errors import RecordingError
from dataops_core.health.model import HealthSnapshot
from dataops_core.monitor import Monitor, OnSnapshot
from dataops_core.recorder.recorder import Recorder
from dataops_core.recorder.recording import Recording, default_path


class RecordedMonitor(Monitor):
    """Watches the pipelines of one context, and records while it does, where the settings say so.

    Where it cannot record, it watches all the same, and says why it does not record in `not_recorded`.
    """

    replays = False
    """Whether there is nothing but a recording."""

    def __init__(self, settings: Settings, context: str | None = None) -> None:
        super().__init__(settings, context)
        self.not_recorded: str | None = None
        """Why nothing is recorded although it should be; `None` if all is well."""
        self._settings = settings.recorder
        self._interval = settings.refresh
        self._path = default_path(settings.recorder, self.context)
        self._recorder: Recorder | None = None

    def start(self, on_snapshot: OnSnapshot) -> None:
        """Watch in the background, and record; see `Monitor.start`."""
        if self._settings.enabled:
            try:
                self._recorder = Recorder(self._path, self.context, self.pipelines, self._interval, self._settings)
            except RecordingError as error:
                self.not_recorded = str(error)

        def arrived(snapshot: HealthSnapshot) -> None:
            on_snapshot(snapshot)
            self._record(snapshot)

        super().start(arrived)

    def stop(self) -> None:
        """Stop watching and recording."""
        super().stop()
        if self._recorder is not None:
            self._recorder.close()

    def recording(self) -> Recording:
        """Return what is recorded, also by another process; raises RecordingError where nothing is."""
        if not (self._settings.enabled or self._path.exists()):
            raise RecordingError("nothing is recorded: the settings say enabled = false in [recorder]")
        return Recording(self._path)

    def _record(self, snapshot: HealthSnapshot) -> None:
        if self._recorder is None or self.not_recorded is not None:
            return
        try:
            self._recorder.write(snapshot)
        except RecordingError as error:
            self.not_recorded = str(error)
