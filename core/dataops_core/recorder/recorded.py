"""A monitor that records its health snapshots."""

from __future__ import annotations

from dataops_core.config import Settings
from dataops_core.errors import RecordingError
from dataops_core.health.model import HealthSnapshot
from dataops_core.monitor import Monitor, OnSnapshot
from dataops_core.recorder.recorder import Recorder
from dataops_core.recorder.recording import Recording, default_path


class RecordedMonitor(Monitor):
    """Monitors the pipelines of one context, and records them if the settings enable it.

    If it cannot record, it monitors anyway, and `not_recorded` holds the reason.
    """

    replays = False
    """Whether it only replays a recording."""

    def __init__(self, settings: Settings, context: str | None = None) -> None:
        super().__init__(settings, context)
        self.not_recorded: str | None = None
        """Why recording failed; `None` if it did not."""
        self._settings = settings.recorder
        self._interval = settings.refresh
        self._path = default_path(settings.recorder, self.context)
        self._recorder: Recorder | None = None

    def start(self, on_snapshot: OnSnapshot) -> None:
        """Start monitoring and recording in the background; see `Monitor.start`."""
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
        """Stop monitoring and recording."""
        super().stop()
        if self._recorder is not None:
            self._recorder.close()

    def recording(self) -> Recording:
        """Return the recording of the context, also of another process; raises RecordingError if there is none."""
        if not (self._settings.enabled or self._path.exists()):
            raise RecordingError("nothing is recorded, because [recorder] has enabled = false")
        return Recording(self._path)

    def _record(self, snapshot: HealthSnapshot) -> None:
        if self._recorder is None or self.not_recorded is not None:
            return
        try:
            self._recorder.write(snapshot)
        except RecordingError as error:
            self.not_recorded = str(error)
