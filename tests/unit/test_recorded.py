"""A monitor that records: it watches whatever becomes of the recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.settings import Settings
from tests.unit.test_monitor import SETTINGS, steered, wait_for

from dataops_core.config import RecorderSettings
from dataops_core.errors import RecordingError
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.observation import Observation
from dataops_core.recorder.recorded import RecordedMonitor

__all__ = ["steered"]  # the fixture
Answers = dict[str, Callable[[], Observation]]


def settings(folder: Path, *, enabled: bool = True) -> Settings:
    return SETTINGS.model_copy(update={"recorder": RecorderSettings(enabled=enabled, folder=str(folder))})


@pytest.mark.programs
def test_it_records_while_it_watches(steered: Answers, tmp_path: Path) -> None:
    came: list[HealthSnapshot] = []
    monitor = RecordedMonitor(settings(tmp_path))
    with pytest.raises(RecordingError, match="there is no recording"):
        monitor.recording()
    monitor.start(came.append)
    try:
        wait_for(lambda: (tmp_path / "c.sqlite").exists() and len(monitor.recording().moments()) >= 2)
    finally:
        monitor.stop()
    assert monitor.not_recorded is None
    recorded = list(monitor.recording().snapshots())
    assert recorded == came[-len(recorded) :] or recorded == came[-len(recorded) - 1 : -1]
    assert monitor.recording().pipelines["p"].stages == SETTINGS.pipelines["p"].stages


def test_a_second_one_watches_too_and_says_why_it_does_not_record(steered: Answers, tmp_path: Path) -> None:
    first, second = RecordedMonitor(settings(tmp_path)), RecordedMonitor(settings(tmp_path))
    came: list[HealthSnapshot] = []
    first.start(lambda _: None)
    second.start(came.append)
    try:
        wait_for(lambda: bool(came) and (tmp_path / "c.sqlite").exists() and bool(second.recording().moments()))
    finally:
        first.stop()
        second.stop()
    assert first.not_recorded is None
    assert "records into" in (second.not_recorded or "")


@pytest.mark.programs
def test_a_disk_that_fails_ends_the_recording_and_not_the_watching(
    steered: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise RecordingError("c.sqlite cannot be written: database or disk is full")

    monkeypatch.setattr("dataops_core.recorder.recorder.Recorder.write", fail)
    came: list[HealthSnapshot] = []
    monitor = RecordedMonitor(settings(tmp_path))
    monitor.start(came.append)
    try:
        wait_for(lambda: len(came) >= 3)
    finally:
        monitor.stop()
    assert monitor.not_recorded == "c.sqlite cannot be written: database or disk is full"


@pytest.mark.programs
def test_it_can_be_turned_off(steered: Answers, tmp_path: Path) -> None:
    came: list[HealthSnapshot] = []
    monitor = RecordedMonitor(settings(tmp_path, enabled=False))
    monitor.start(came.append)
    try:
        wait_for(lambda: len(came) >= 2)
    finally:
        monitor.stop()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecordingError, match="enabled = false"):
        monitor.recording()
