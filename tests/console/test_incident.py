"""The incident that comes with the program: real, small, and of no machine in particular."""

from __future__ import annotations

import re
from datetime import timedelta

from dataops_core.health.model import StageState, Status
from dataops_core.recorder.recording import Recording, to_bytes
from dataops_core.recorder.timeline import read_timeline
from dataops_tui.replay import SHIPPED, settings_of


def test_it_tells_of_the_query_that_stood_still_for_two_minutes() -> None:
    recording = Recording(SHIPPED)
    timeline = read_timeline(recording)
    worst = [incident for incident in timeline.incidents if incident.worst is Status.CRITICAL]
    assert worst
    findings = [f for incident in worst for f in incident.findings if f.verdict.status is Status.CRITICAL]
    assert {f.verdict.check_id for f in findings} == {"land_readings/stuck"}
    assert 60 < sum(((f.end or timeline.end) - f.start).total_seconds() for f in findings) < 300
    assert "bronze.readings" in findings[0].verdict.blast_radius
    moments = recording.moments()
    assert moments[0].status in (Status.OK, Status.WARNING)
    assert moments[-1].status is Status.OK
    assert all(gap.end - gap.start < timedelta(seconds=20) for gap in timeline.gaps), "a late refresh at most"


def test_each_look_can_be_read_and_shows_the_whole_pipeline() -> None:
    recording = Recording(SHIPPED)
    stages = [stage.name for stage in settings_of(recording).pipelines["boreal-bridge"].stages]
    for snapshot in recording.snapshots():
        assert [stage.name for stage in snapshot.pipeline("boreal-bridge").stages] == stages
        assert all(stage.state is not StageState.FAILED for stage in snapshot.pipeline("boreal-bridge").stages)


def test_it_is_small_and_of_no_machine_in_particular() -> None:
    assert SHIPPED.stat().st_size < 300_000
    recording = Recording(SHIPPED)
    told = [to_bytes(snapshot).decode() for snapshot in recording.snapshots()]
    told += [pipeline.model_dump_json() for pipeline in recording.pipelines.values()]
    somewhere = re.compile("|".join(("/ro" + "ot", "/wo" + "rk", "/tmp", "/home", "STATE=")))
    for text in told:
        assert somewhere.search(text) is None
