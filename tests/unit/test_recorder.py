"""The flight recorder: what goes in comes out, one writer, kills, retention, and files that are no recordings."""

from __future__ import annotations

import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import typing
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from random import Random
from types import NoneType, UnionType
from typing import Any

import pytest
from tests import orders
from tests.orders import CHAIN, T0, healthy, seconds, see
from tests.settings import RULES, THRESHOLDS

from dataops_core.config import RecorderSettings
from dataops_core.errors import RecordingError
from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.observation import Observation
from dataops_core.recorder import recorder as recorder_module
from dataops_core.recorder.recorder import Recorder, cut
from dataops_core.recorder.recording import (
    APPLICATION_ID,
    KEYFRAME_EVERY,
    VERSION,
    Recording,
    Subject,
    default_path,
    from_bytes,
    to_bytes,
)

ROOT = Path(__file__).parents[2]


def record(path: Path, **settings: Any) -> Recorder:
    return Recorder(path, "test", {"p": orders.CHAIN}, 5, RecorderSettings(**settings))


def looks(number: int, start: datetime = T0) -> Iterator[HealthSnapshot]:
    """Yield snapshots 5 s apart: `land` is stuck from the 40th to the 60th."""
    previous = None
    for n in range(number):
        at = start + seconds(5 * n)
        seen: dict[str, Observation | str] = {**healthy(at)}
        if 40 <= n < 60:
            since = start + seconds(5 * 39)
            seen["land"] = Observation("land", at, since, position=500, lag_records=9, advanced_at=since)
            seen["land"] = replace(seen["land"], pending_since=since)
            seen["bronze"] = Observation("bronze", at, progress_time=since, position=500, advanced_at=since)
        previous = see(seen, at, previous)
        yield previous


def anything(kind: Any, random: Random) -> Any:
    """Return some value of a type of the model: each field of each class, whatever it is annotated with."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: anything(hints[field.name], random) for field in fields(kind)})
    if origin is tuple:
        return tuple(anything(inner[0], random) for _ in range(random.randrange(3)))
    if origin in (UnionType, typing.Union):
        return None if random.random() < 0.3 else anything(next(i for i in inner if i is not NoneType), random)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return random.choice(list(kind))
    simple = {
        bool: lambda: random.random() < 0.5,
        int: lambda: random.randrange(-(2**60), 2**60),
        float: lambda: random.choice((random.random() * 10.0 ** random.randrange(-300, 300), math.inf, -0.0, 1 / 3)),
        str: lambda: "".join(chr(random.choice((9, 34, 92, 0x1F600, 0xE9, 65))) for _ in range(random.randrange(9))),
        datetime: lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=random.randrange(10**15)),
    }
    return simple[kind]()


@pytest.mark.parametrize("seed", range(30))
def test_a_snapshot_comes_back_as_it_was_in_all_its_fields(seed: int) -> None:
    snapshot = anything(HealthSnapshot, Random(seed))
    again = from_bytes(to_bytes(snapshot))
    assert again == snapshot
    assert repr(again).replace("TzInfo(0)", "datetime.timezone.utc").replace(
        "TzInfo(UTC)", "datetime.timezone.utc"
    ) == (repr(snapshot)), "also the types are the same"


@pytest.mark.programs
def test_a_recording_gives_back_each_snapshot_in_any_order(tmp_path: Path) -> None:
    taken = list(looks(2 * KEYFRAME_EVERY + 7))
    recorder = record(tmp_path / "r.sqlite")
    for snapshot in taken:
        recorder.write(snapshot)
    recording = Recording(tmp_path / "r.sqlite")  # while it is being written
    moments = recording.moments()
    assert [m.at for m in moments] == [s.taken_at for s in taken]
    assert [m.status for m in moments] == [s.status for s in taken]
    for index in (len(taken) - 1, 0, KEYFRAME_EVERY, KEYFRAME_EVERY - 1, KEYFRAME_EVERY + 1):
        assert recording.snapshot(moments[index].id) == taken[index]
    assert list(recording.snapshots()) == taken
    since, until = taken[5].taken_at, taken[KEYFRAME_EVERY + 3].taken_at
    assert list(recording.snapshots(since, until)) == taken[5 : KEYFRAME_EVERY + 4]
    assert [age.data_age for age in recording.ages("p")] == pytest.approx(
        [s.pipelines[0].data_age for s in taken], abs=0.06
    )
    assert recording.pipelines["p"].model_dump() == orders.CHAIN.model_dump()
    assert recording.context == "test"
    recorder.close()
    assert list(Recording(tmp_path / "r.sqlite").snapshots()) == taken


def test_what_changes_is_told(tmp_path: Path) -> None:
    recorder = record(tmp_path / "r.sqlite")
    for snapshot in looks(80):
        recorder.write(snapshot)
    recorder.close()
    told = [c for c in Recording(tmp_path / "r.sqlite").changes() if c.before is not None]
    assert [(c.subject, c.name, c.before, c.after) for c in told if c.name == "land"] == [
        (Subject.STAGE, "land", "caught_up", "stuck"),
        (Subject.STAGE, "land", "stuck", "caught_up"),
    ]
    verdicts = [(c.before, c.after) for c in told if c.subject is Subject.VERDICT]
    assert verdicts[0] == ("ok", "land/stuck")
    assert verdicts[-1][1] == "ok"
    assert {c.at for c in told} <= {T0 + seconds(5 * n) for n in range(80)}


def test_a_second_writer_is_told_so_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "r.sqlite"
    first = record(path)
    with pytest.raises(RecordingError, match=f"process {os.getpid()} already records into .*r.sqlite"):
        record(path)
    first.write(next(looks(1)))
    first.close()
    record(path).close()
    assert len(Recording(path).moments()) == 1
    assert path.stat().st_mode & 0o077 == 0, "for the user only"


WRITER = """
import sys, time
from pathlib import Path
from tests.unit.test_recorder import looks, record
recorder = record(Path(sys.argv[1]))
for number, snapshot in enumerate(looks(100_000)):
    recorder.write(snapshot)
    print(number, flush=True)
"""


@pytest.mark.programs
def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", WRITER, str(path)]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=env)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= KEYFRAME_EVERY + 30:
            break
    writer.send_signal(signal.SIGKILL)
    told = int(line) + sum(1 for _ in writer.stdout)
    writer.stdout.close()
    assert writer.wait(30) == -signal.SIGKILL
    found = list(Recording(path).snapshots())
    assert len(found) >= told + 1
    assert found == list(looks(len(found)))
    again = record(path)  # its lock went with it
    again.write(next(looks(1, T0 + timedelta(days=1))))
    again.close()
    assert len(Recording(path).moments()) == len(found) + 1


@pytest.mark.programs
def test_old_snapshots_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    recorder = record(path, max_age=KEYFRAME_EVERY * 5)
    taken = list(looks(5 * KEYFRAME_EVERY))
    for snapshot in taken:
        recorder.write(snapshot)
    recording = Recording(path)
    kept = len(recording.moments())
    assert KEYFRAME_EVERY <= kept <= 3 * KEYFRAME_EVERY
    assert list(recording.snapshots()) == taken[-kept:], "what is kept can be read"
    assert min(c.at for c in recording.changes()) >= taken[-kept].taken_at if recording.changes() else True
    with pytest.raises(RecordingError, match="no longer in the recording"):
        recording.snapshot(1)
    recorder.close()


@pytest.mark.programs
def test_a_recording_stays_below_its_size(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    random = Random(1)
    recorder = record(path, max_size=1_000_000)
    first = next(looks(1))
    sizes = []
    for n in range(6 * KEYFRAME_EVERY):
        noise = tuple(str(random.random()) for _ in range(300))
        verdict = replace(first.pipelines[0].verdict, evidence=noise)
        pipeline = replace(first.pipelines[0], verdict=verdict)
        recorder.write(replace(first, taken_at=T0 + seconds(5 * n), pipelines=(pipeline,)))
        sizes.append(path.stat().st_size)
    recorder.close()
    group = KEYFRAME_EVERY * 300 * 10
    assert 500_000 < path.stat().st_size < 1_000_000 + group
    moments = Recording(path).moments()
    assert moments[-1].at == T0 + seconds(5 * (6 * KEYFRAME_EVERY - 1)), "the oldest ones go first"
    assert len(moments) < 6 * KEYFRAME_EVERY


def test_a_first_look_that_knows_nothing_is_not_kept(tmp_path: Path) -> None:
    recorder = record(tmp_path / "r.sqlite")
    whole = next(looks(1))
    starting = evaluate(None, whole.probes[1:], {"p": CHAIN}, T0, "test", RULES, THRESHOLDS)
    recorder.write(starting)
    assert Recording(tmp_path / "r.sqlite").moments() == ()
    recorder.write(whole)
    recorder.write(replace(starting, taken_at=T0 + seconds(5)))
    recorder.close()
    assert len(Recording(tmp_path / "r.sqlite").moments()) == 2


def test_gaps_are_known(tmp_path: Path) -> None:
    for start in (T0, T0 + timedelta(hours=1)):
        recorder = record(tmp_path / "r.sqlite")
        for snapshot in looks(3, start):
            recorder.write(snapshot)
        recorder.close()
    (gap,) = Recording(tmp_path / "r.sqlite").gaps()
    assert (gap.start, gap.end) == (T0 + seconds(10), T0 + timedelta(hours=1))


@pytest.mark.programs
def test_a_part_is_cut_out_into_a_file_that_stands_alone(tmp_path: Path) -> None:
    recorder = record(tmp_path / "r.sqlite")
    taken = list(looks(200))
    for snapshot in taken:
        recorder.write(snapshot)
    target = tmp_path / "frozen" / "part.sqlite"
    assert cut(Recording(tmp_path / "r.sqlite"), target, taken[30].taken_at, taken[150].taken_at) == 121
    recorder.close()
    assert [path.name for path in target.parent.iterdir()] == ["part.sqlite"]
    target.chmod(0o400)
    target.parent.chmod(0o500)
    try:
        assert list(Recording(target).snapshots()) == taken[30:151]
    finally:
        target.parent.chmod(0o700)
    other = tmp_path / "other.sqlite"
    cut(
        Recording(tmp_path / "r.sqlite"),
        other,
        taken[50].taken_at,
        rewrite=lambda text: text.replace("start land", "go"),
    )
    remedy = next(Recording(other).snapshots()).pipelines[0].verdict.remedy
    assert remedy is not None
    assert remedy.command == "go"
    assert Recording(other).pipelines["p"].stages[1].remedy == "go"
    with pytest.raises(RecordingError, match="already exists"):
        cut(Recording(tmp_path / "r.sqlite"), target)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "r.sqlite"
    recorder = record(path)
    for snapshot in looks(300):
        recorder.write(snapshot)
    recorder.close()
    return path.read_bytes()


def refusal(path: Path) -> str:
    with pytest.raises(RecordingError) as refused:
        list(Recording(path).snapshots())
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)
    return str(refused.value)


@pytest.mark.programs
@pytest.mark.parametrize(
    ("version", "said"),
    [
        (VERSION + 1, f"has a newer version ({VERSION + 1}, not {VERSION}): update dataops-tui"),
        (VERSION - 1, "has an older version"),
    ],
)
def test_another_version_is_refused(tmp_path: Path, good: bytes, version: int, said: str) -> None:
    path = tmp_path / "r.sqlite"
    path.write_bytes(good)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    assert said in refusal(path)
    with pytest.raises(RecordingError, match=re.escape(said)):
        record(path)


def test_another_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    assert "there is no recording" in refusal(path)
    path.write_bytes(b"")
    assert "is not a recording" in refusal(path)
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as db:
        db.execute("CREATE TABLE t (x)")
    for content in (b"PK\x03\x04 something else" * 100, (tmp_path / "other.sqlite").read_bytes()):
        path.write_bytes(content)
        assert "is not a recording" in refusal(path)
        with pytest.raises(RecordingError, match="is not a recording"):
            record(path)
        assert path.read_bytes() == content


@pytest.mark.programs
def test_a_damaged_file_is_refused(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "r.sqlite"
    path.write_bytes(good[: len(good) // 2])
    assert "is damaged" in refusal(path)
    frames = [found.start() for found in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), good)]
    assert len(frames) >= 300, "one for each snapshot"
    for frame in frames[:: len(frames) // 10]:  # whichever it hits
        torn = bytearray(good)
        torn[frame + 12] ^= 0x55
        path.write_bytes(torn)
        assert "is damaged" in refusal(path)


@pytest.mark.programs
def test_a_recording_cannot_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    recorder = record(path)
    recorder.write(next(looks(1)))
    recorder.close()
    bomb = recorder_module.zstandard.ZstdCompressor(level=19).compress(b" " * 100_000_000)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE snapshots SET body = ?", (bomb,))
    db.close()
    with pytest.raises(RecordingError, match="larger than"):
        Recording(path).snapshot(1)


def test_where_it_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot be written"):
        record(tmp_path / "file" / "r.sqlite")
    recorder = record(tmp_path / "r.sqlite")
    recorder.close()
    with pytest.raises(RecordingError, match="cannot be written"):
        recorder.write(next(looks(1)))


def test_each_context_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path(RecorderSettings(), "prod") == tmp_path / "dataops/recordings/prod.sqlite"
    assert default_path(RecorderSettings(folder="/r"), "../a b").parent == Path("/r")
    assert APPLICATION_ID.to_bytes(4, "big") == b"DOPS"
