"""Report the incidents of a recording with their verdicts, as data and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from dataops_core.errors import RecordingError
from dataops_core.health.as_json import plain
from dataops_core.health.model import WORST_FIRST, Status, Verdict
from dataops_core.health.text import clock
from dataops_core.plain import visible
from dataops_core.recorder.recording import Change, Gap, Moment, Recording, Subject, reading
from dataops_core.units import count, duration
from dataops_core.version import version

SCHEMA_VERSION = 1
"""Version of the JSON of a timeline; increased when a field changes its meaning or is removed."""
_SPAN = re.compile(r"-?(\d+(?:\.\d+)?)\s*([smhd])(?:\s+ago)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SEVERITY = tuple(reversed(WORST_FIRST))


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict and its period.

    Attributes:
        start: Time of the first snapshot with the verdict.
        end: Time of the first snapshot with the next verdict; `None` if there is none.
        verdict: The verdict in its last snapshot, which has the most evidence.
    """

    start: datetime
    end: datetime | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Incident:
    """The period from the first verdict on a pipeline that is not ok to the next one that is ok.

    Attributes:
        start: Start by the verdict's evidence, which may be before `seen`.
        seen: Time of the first snapshot.
        end: Time of the recovery; `None` if it is ongoing.
        until: `end`, else the end of the recording or of the requested period.
        duration: Seconds from `start` to `until`.
        worst: The worst status.
        findings: The verdicts in order.
        changes: Changes of the pipeline's stages, and of components.
        largest_data_age: Maximum data age in seconds; `None` if it was never known.
        unknown_for: Seconds without recording.
    """

    pipeline: str
    start: datetime
    seen: datetime
    end: datetime | None
    until: datetime
    duration: float
    worst: Status
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]
    largest_data_age: float | None
    unknown_for: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The incidents of a context in a period.

    Attributes:
        start: Time of the first snapshot.
        end: Time of the last snapshot.
        snapshots: Number of snapshots.
        gaps: Periods without recording.
    """

    context: str
    start: datetime
    end: datetime
    snapshots: int
    pipelines: tuple[str, ...]
    incidents: tuple[Incident, ...]
    gaps: tuple[Gap, ...]


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time of a text that a user typed.

    Args:
        text: `90s`, `15m`, `2h` or `3d` ago; the last time of day in UTC (`03:12`, `03:12:40`); or a date and time in
            ISO 8601, in UTC by default.
        now: The current time.

    Raises:
        ValueError: It has none of these forms.
    """
    text = text.strip()
    if span := _SPAN.fullmatch(text):
        return now - timedelta(seconds=float(span[1]) * _SECONDS[span[2]])
    if re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?Z?", text):
        hour, minute, second = (*map(int, text.rstrip("Z").split(":")), 0)[:3]
        at = now.astimezone(UTC).replace(hour=hour, minute=minute, second=second, microsecond=0)
        return at if at <= now else at - timedelta(days=1)
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def read_timeline(recording: Recording, since: datetime | None = None, until: datetime | None = None) -> Timeline:
    """Return the incidents between two times.

    Raises:
        RecordingError: Nothing was recorded then, or it cannot be read.
    """
    with reading(recording.path):  # its tables may contradict each other
        return _read(recording, since, until)


def _read(recording: Recording, since: datetime | None, until: datetime | None) -> Timeline:
    moments = recording.moments(since, until)
    if not moments:
        raise RecordingError(f"{recording.path}: nothing was recorded in that period", hint=_span_of(recording))
    start, end = moments[0].at, moments[-1].at
    gaps = recording.gaps(start, end)
    reader = _Incidents(recording, moments, recording.changes(start, end), gaps)
    names = recording.watched(start, end)
    incidents = [incident for name in names for incident in reader.incidents(name)]
    return Timeline(
        context=recording.context,
        start=start,
        end=end,
        snapshots=len(moments),
        pipelines=names,
        incidents=tuple(sorted(incidents, key=lambda incident: incident.seen)),
        gaps=gaps,
    )


class _Incidents:
    """The incidents and gaps of a period of a recording."""

    def __init__(
        self, recording: Recording, moments: Sequence[Moment], changes: Sequence[Change], gaps: Sequence[Gap]
    ) -> None:
        self._recording = recording
        self._moments = moments
        self._index = {moment.id: index for index, moment in enumerate(moments)}
        self._changes = changes
        self._gaps = gaps

    def incidents(self, pipeline: str) -> Iterator[Incident]:
        """Yield the incidents of a pipeline."""
        findings: list[Finding] = []
        for finding in self._findings(pipeline):
            if finding.verdict.status is Status.STARTING:
                continue
            if finding.verdict.status is not Status.OK:
                findings.append(finding)
            elif findings:
                yield self._incident(pipeline, findings)
                findings = []
        if findings:
            yield self._incident(pipeline, findings)

    def _findings(self, pipeline: str) -> Iterator[Finding]:
        """Yield the verdicts on a pipeline in order, for the periods in which it was configured."""
        ages = self._recording.ages(pipeline, self._moments[0].at, self._moments[-1].at)
        configured = {age.at for age in ages if age.there}
        known = [index for index, moment in enumerate(self._moments) if moment.at in configured]
        for _, run in groupby(enumerate(known), key=lambda pair: pair[1] - pair[0]):
            indexes = [index for _, index in run]
            yield from self._findings_of(pipeline, indexes[0], indexes[-1] + 1)

    def _findings_of(self, pipeline: str, first: int, beyond: int) -> Iterator[Finding]:
        """Yield the verdicts on a pipeline from one moment to before another, in order."""
        last = self._verdict(first, pipeline)
        starts = [(first, last.check_id or last.status.value)]
        for change in self._changes:
            if change.subject is Subject.VERDICT and change.pipeline == pipeline and change.after != starts[-1][1]:
                index = self._index[change.moment]
                if first < index < beyond:
                    starts.append((index, change.after))
        ends = [*(index for index, _ in starts[1:]), beyond]
        for (begin, _), end in zip(starts, ends, strict=True):
            yield Finding(
                start=self._moments[begin].at,
                end=self._moments[end].at if end < len(self._moments) else None,
                verdict=self._verdict(end - 1, pipeline),
            )

    def _verdict(self, index: int, pipeline: str) -> Verdict:
        return self._recording.snapshot(self._moments[index].id).pipeline(pipeline).verdict

    def _incident(self, pipeline: str, findings: Sequence[Finding]) -> Incident:
        seen, end = findings[0].start, findings[-1].end
        until = end or self._moments[-1].at
        since = findings[0].verdict.since
        start = min(seen, since) if since else seen
        ages = [age.data_age for age in self._recording.ages(pipeline, seen, until) if age.data_age is not None]
        return Incident(
            pipeline=pipeline,
            start=start,
            seen=seen,
            end=end,
            until=until,
            duration=(until - start).total_seconds(),
            worst=max((finding.verdict.status for finding in findings), key=_SEVERITY.index),
            findings=tuple(findings),
            changes=tuple(
                change
                for change in self._changes
                if change.before is not None
                and change.subject is not Subject.VERDICT
                and change.pipeline in (pipeline, "")
                and seen <= change.at <= until
            ),
            largest_data_age=max(ages, default=None),
            unknown_for=sum(
                max(0.0, (min(gap.end, until) - max(gap.start, seen)).total_seconds()) for gap in self._gaps
            ),
        )


def _span_of(recording: Recording) -> str | None:
    moments = recording.moments()
    if not moments:
        return None
    now = datetime.now(UTC)
    return f"the recording extends from {clock(moments[0].at, now)} to {clock(moments[-1].at, now)}"


def as_dict(timeline: Timeline) -> dict[str, Any]:
    """Return a timeline as JSON-ready data, as docs/recorder.md describes it."""
    values = {field.name: plain(getattr(timeline, field.name)) for field in fields(timeline)}
    return {"schema_version": SCHEMA_VERSION, "version": version(), **values}


def as_markdown(timeline: Timeline) -> str:
    """Return a timeline as Markdown."""
    number = len(timeline.incidents)
    day = timeline.end
    span = duration((timeline.end - timeline.start).total_seconds())
    extent = f"{span}, {count(timeline.snapshots)} health snapshots"
    incidents = f"{number or 'no'} incident{'' if number == 1 else 's'}"
    lines = [
        f"# Incidents in `{timeline.context}`",
        "",
        f"{_date(timeline.start)} to {_date(timeline.end)} ({extent}): {incidents}.",
    ]
    for gap in timeline.gaps:
        lost = duration((gap.end - gap.start).total_seconds())
        lines += ["", f"Nothing was recorded from {clock(gap.start, day)} to {clock(gap.end, day)} ({lost})."]
    if number:
        rows = [
            (
                index,
                _safe(incident.pipeline),
                _date(incident.start),
                "ongoing" if incident.end is None else clock(incident.end, incident.start),
                duration(incident.duration),
                _worst(incident),
                "unknown" if incident.largest_data_age is None else duration(incident.largest_data_age),
            )
            for index, incident in enumerate(timeline.incidents, start=1)
        ]
        lines += ["", *_table(("#", "pipeline", "from", "to", "duration", "finding", "maximum data age"), rows)]
    for index, incident in enumerate(timeline.incidents, start=1):
        lines += ["", *_incident(index, incident)]
    return "\n".join(lines) + "\n"


def _incident(number: int, incident: Incident) -> Iterator[str]:
    day = incident.seen
    yield f"## {number}. {_safe(incident.pipeline)}: {_worst(incident)}"
    yield ""
    yield f"- Status: **{incident.worst.value}**"
    end = "It is ongoing at the end" if incident.end is None else f"Recovered at {clock(incident.end, day)}"
    detected = clock(incident.seen, day)
    yield f"- Since {_date(incident.start)}, detected at {detected}. {end}: {duration(incident.duration)}."
    if incident.largest_data_age is not None:
        yield f"- Maximum data age: {duration(incident.largest_data_age)}."
    affected = dict.fromkeys(name for finding in incident.findings for name in finding.verdict.blast_radius)
    yield f"- Affected: {_safe(', '.join(affected)) or 'nothing downstream'}."
    if incident.unknown_for:
        yield f"- Nothing was recorded for {duration(incident.unknown_for)} of it."
    yield ""
    yield "### Changes"
    yield ""
    steps = [
        *(
            (change.at, 0, f"{change.subject.value} {change.name}", f"{_word(change.before)} → {_word(change.after)}")
            for change in incident.changes
        ),
        *((finding.start, 1, "verdict", _name(finding.verdict)) for finding in incident.findings),
        *(((incident.end, 2, "verdict", "ok"),) if incident.end else ()),
    ]
    yield from _table(
        ("time", "object", "change"),
        [(clock(at, day), _safe(name), _safe(text)) for at, _, name, text in sorted(steps, key=lambda step: step[:2])],
    )
    yield ""
    yield "### Verdicts"
    for finding in incident.findings:
        yield ""
        yield from _finding(finding, incident)


def _finding(finding: Finding, incident: Incident) -> Iterator[str]:
    verdict = finding.verdict
    lasted = duration(((finding.end or incident.until) - finding.start).total_seconds())
    yield f"**{clock(finding.start, incident.seen)}, for {lasted}: {_safe(verdict.sentence)}**"
    yield ""
    for line in verdict.evidence:
        yield f"- {_safe(line)}"
    if verdict.blast_radius:
        yield f"- affected: {_safe(', '.join(verdict.blast_radius))}"
    if verdict.remedy is not None:
        command = f" `{verdict.remedy.command}`" if verdict.remedy.command else ""
        yield f"- remedy: {_safe(verdict.remedy.text)}{command}"


def _worst(incident: Incident) -> str:
    """Return the name of the first finding with the worst status."""
    return _safe(_name(max(incident.findings, key=lambda f: _SEVERITY.index(f.verdict.status)).verdict))


def _name(verdict: Verdict) -> str:
    return verdict.check_id or verdict.status.value


def _word(state: str | None) -> str:
    return (state or "unknown").replace("_", " ")


def _date(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _safe(text: str) -> str:
    """Return a text escaped for Markdown."""
    return re.sub(r"([\\`*<\[|])", r"\\\1", visible(text))


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
