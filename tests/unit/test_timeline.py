"""What a recording tells: incidents, their findings, and the two forms of a report."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.orders import T0, seconds
from tests.unit.test_recorder import looks, record

from dataops_core.errors import RecordingError
from dataops_core.health.model import Status
from dataops_core.recorder.recording import Recording, Subject
from dataops_core.recorder.timeline import Timeline, as_dict, as_markdown, parse_time, read_timeline

NOW = datetime(2026, 1, 5, 3, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """`land` is stuck from the 40th look to the 60th, of 80; and an hour later again, to the end."""
    path = tmp_path_factory.mktemp("recording") / "r.sqlite"
    for start, number in ((T0, 80), (T0 + timedelta(hours=1), 50)):
        recorder = record(path)
        for snapshot in looks(number, start):
            recorder.write(snapshot)
        recorder.close()
    return Recording(path)


@pytest.fixture(scope="module")
def timeline(recording: Recording) -> Timeline:
    return read_timeline(recording)


@pytest.mark.programs
def test_each_incident_has_its_times_its_findings_and_how_old_the_data_was(
    recording: Recording, timeline: Timeline
) -> None:
    first, second = timeline.incidents
    assert first.seen == T0 + seconds(5 * 44), "it stands still for longer than its stall time of 20 s"
    assert first.start == T0 + seconds(5 * 39), "the evidence goes further back than the look that saw it"
    assert first.end == T0 + seconds(5 * 60)
    assert first.duration == 5 * 21
    assert first.worst is Status.CRITICAL
    (finding,) = first.findings
    assert finding.verdict.check_id == "land/stuck"
    assert finding.verdict.blast_radius == ("bronze", "conform", "silver", "view")
    assert any("lag in records: 9" in line for line in finding.verdict.evidence)
    inside = [s.pipelines[0].data_age for s in recording.snapshots(first.seen, first.end)]
    assert first.largest_data_age == pytest.approx(max(age for age in inside if age is not None), abs=0.1)
    assert ("land", "caught_up", "stuck") in [(c.name, c.before, c.after) for c in first.changes]
    assert all(c.subject is not Subject.VERDICT for c in first.changes)
    assert second.end is None
    assert second.until == T0 + timedelta(hours=1) + seconds(5 * 49)
    assert (timeline.snapshots, len(timeline.gaps)) == (130, 1)


def test_a_part_of_it_knows_only_of_that_part(recording: Recording) -> None:
    part = read_timeline(recording, T0 + seconds(250), T0 + seconds(280))
    (incident,) = part.incidents
    assert incident.seen == T0 + seconds(250)
    assert incident.start == T0 + seconds(5 * 39)
    assert incident.end is None
    assert read_timeline(recording, T0, T0 + seconds(100)).incidents == ()
    with pytest.raises(
        RecordingError, match="nothing was recorded in that period: the recording extends from 2026-01-05 03:00:00Z"
    ):
        read_timeline(recording, T0 + timedelta(days=9))


@pytest.mark.programs
def test_an_incident_goes_on_over_a_gap_and_says_so(tmp_path: Path) -> None:
    for part in (slice(30, 45), slice(52, 70)):
        recorder = record(tmp_path / "r.sqlite")
        for snapshot in list(looks(80))[part]:
            recorder.write(snapshot)
        recorder.close()
    (incident,) = read_timeline(Recording(tmp_path / "r.sqlite")).incidents
    assert incident.end == T0 + seconds(5 * 60)
    assert incident.unknown_for == 5 * 8


@pytest.mark.programs
def test_a_pipeline_that_was_renamed_is_told_under_both_names(tmp_path: Path) -> None:
    for number, name in enumerate(("before", "after", "before")):
        recorder = record(tmp_path / "r.sqlite")
        for snapshot in looks(80, T0 + timedelta(hours=number)):
            (pipeline,) = snapshot.pipelines
            probes = tuple(replace(p, pipeline=name if p.pipeline else None) for p in snapshot.probes)
            recorder.write(replace(snapshot, pipelines=(replace(pipeline, name=name),), probes=probes))
        recorder.close()
    timeline = read_timeline(Recording(tmp_path / "r.sqlite"))
    assert timeline.pipelines == ("before", "after")
    told = [(incident.pipeline, incident.seen) for incident in timeline.incidents]
    stuck = T0 + seconds(5 * 44)
    assert told == [
        ("before", stuck), ("after", stuck + timedelta(hours=1)), ("before", stuck + timedelta(hours=2)),
    ]  # fmt: skip
    assert all(incident.end is not None for incident in timeline.incidents)


def test_the_report_for_people(timeline: Timeline) -> None:
    text = as_markdown(timeline)
    assert "# Incidents in `test`" in text
    assert "2 incidents." in text
    assert "Nothing was recorded from 03:06:35Z to 04:00:00Z (53m 25s)." in text
    assert "| 1 | p | 2026-01-05 03:03:15Z | 03:05:00Z | 1m 45s | land/stuck |" in text
    assert "| 2 | p | 2026-01-05 04:03:15Z | ongoing |" in text
    assert "## 1. p: land/stuck" in text
    assert "| 03:03:40Z | stage land | caught up → stuck |" in text
    assert "| 03:05:00Z | verdict | ok |" in text
    assert "- Affected: bronze, conform, silver, view." in text
    assert "- remedy:" in text
    assert "`start land`" in text
    assert "- lag in records: 9" in text


def test_a_text_from_outside_is_no_markup(recording: Recording, timeline: Timeline) -> None:
    incident = timeline.incidents[0]
    finding = incident.findings[0]
    verdict = replace(finding.verdict, sentence="a | b <script> [x](y)\n# `h`")
    odd = replace(timeline, incidents=(replace(incident, findings=(replace(finding, verdict=verdict),)),))
    text = as_markdown(odd)
    assert r"a \| b \<script> \[x](y)␊# \`h\`" in text


def test_a_time_without_incident_is_told_too(recording: Recording) -> None:
    text = as_markdown(read_timeline(recording, T0, T0 + seconds(100)))
    assert "no incidents." in text
    assert "|" not in text


def test_the_report_for_programs(timeline: Timeline) -> None:
    told = json.loads(json.dumps(as_dict(timeline)))
    assert told["schema_version"] == 1
    assert told["context"] == "test"
    first = told["incidents"][0]
    assert (first["worst"], first["start"], first["end"]) == (
        "critical",
        "2026-01-05T03:03:15.000Z",
        "2026-01-05T03:05:00.000Z",
    )
    assert first["findings"][0]["verdict"]["check_id"] == "land/stuck"
    assert told["incidents"][1]["end"] is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("90s", NOW - seconds(90)),
        ("1.5m", NOW - seconds(90)),
        ("-3d", NOW - timedelta(days=3)),
        ("8m ago", NOW - timedelta(minutes=8)),
        ("03:05", datetime(2026, 1, 5, 3, 5, tzinfo=UTC)),
        ("3:05:07Z", datetime(2026, 1, 5, 3, 5, 7, tzinfo=UTC)),
        ("03:11", datetime(2026, 1, 4, 3, 11, tzinfo=UTC)),
        ("2026-01-05T03:00", T0),
        ("2026-01-05 04:00+01:00", T0),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
    ],
)
def test_a_time_is_understood(text: str, meant: datetime) -> None:
    assert parse_time(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2w", "h", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what Python says of it is not shown
        parse_time(text, NOW)
