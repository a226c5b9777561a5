"""A recording that somebody has changed is one clear line, whatever is in it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dataops_core.errors import DataopsError
from dataops_core.recorder import recording as module
from dataops_core.recorder.recording import Recording
from dataops_core.recorder.timeline import as_dict, as_markdown, read_timeline
from dataops_tui.replay import SHIPPED, settings_of

ODD = ["NULL", "'x'", "''", "1e999", "-1e999", "9223372036854775807", "-9223372036854775808", "0.5", "x'00ff'"]
ODD += ["'[]'", '\'{"a":"x"}\'', "CAST(x'ff' AS TEXT)", "'" + "[" * 1_000 + "'", "zeroblob(1000)"]


def read_all(path: Path) -> None:
    """Read everything that the console, `report` and a replay read."""
    recording = Recording(path)
    settings_of(recording)
    moments = recording.moments()
    recording.changes()
    recording.gaps()
    for name in recording.watched():
        recording.ages(name)
    for moment in (*moments[:1], *moments[-1:]):
        recording.snapshot(moment.id)
    timeline = read_timeline(recording)
    as_markdown(timeline)
    as_dict(timeline)


def changed(folder: Path, *statements: str) -> Path:
    """Return a copy of the recording that ships, with changes; tables lose what keeps values out of them."""
    path = folder / "changed.sqlite"
    shutil.copy(SHIPPED, path)
    db = sqlite3.connect(path)
    for table in ("sessions", "snapshots", "changes"):
        db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        db.execute(f"CREATE TABLE {table} AS SELECT * FROM old_{table}")
        db.execute(f"DROP TABLE old_{table}")
    db.execute("DELETE FROM snapshots WHERE id > (SELECT min(id) + 3 FROM snapshots)")
    db.execute("DELETE FROM changes WHERE snapshot NOT IN (SELECT id FROM snapshots)")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataopsError) as raised:
        read_all(path)
    text = str(raised.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_the_recording_that_ships_is_read(tmp_path: Path) -> None:
    read_all(SHIPPED)
    read_all(changed(tmp_path))


@pytest.mark.parametrize(
    "column", [f"{table}.{column}" for table, columns in module.COLUMNS.items() for column in sorted(columns)]
)
def test_each_column_may_hold_anything(tmp_path: Path, column: str) -> None:
    table, _, name = column.partition(".")
    for odd in ODD:
        path = changed(tmp_path, f"UPDATE {table} SET {name} = {odd}")
        text = ""
        try:
            read_all(path)
        except DataopsError as error:
            text = str(error)
        assert "\n" not in text


def view(sql: str) -> Callable[[Path], Path]:
    return lambda folder: changed(folder, "DROP TABLE changes", sql)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS snapshot FROM n"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (view(f"CREATE VIEW changes AS {ENDLESS}"), "contains a view"),
        (lambda folder: changed(folder, "DROP TABLE changes"), "the table changes has no"),
        (lambda folder: changed(folder, "ALTER TABLE snapshots DROP COLUMN body"), "has no body"),
        (lambda folder: changed(folder, "ALTER TABLE sessions ADD COLUMN more TEXT AS (1) VIRTUAL"), "generated"),
        (lambda folder: changed(folder, "CREATE TRIGGER t AFTER INSERT ON changes BEGIN SELECT 1; END"), "a trigger"),
        (lambda folder: changed(folder, "CREATE VIRTUAL TABLE v USING fts5(x)"), "contains a table v"),
        (lambda folder: changed(folder, "DELETE FROM sessions"), "nothing has been recorded"),
        (lambda folder: changed(folder, "DELETE FROM snapshots"), "nothing was recorded"),
        (lambda folder: changed(folder, "PRAGMA user_version = 999999"), "newer version"),
        (lambda folder: changed(folder, "PRAGMA user_version = 1"), "older version"),
        (lambda folder: changed(folder, "PRAGMA application_id = 1"), "is not a recording"),
    ],
)
def test_another_schema_is_refused(tmp_path: Path, make: Callable[[Path], Path], why: str) -> None:
    assert why in refused(make(tmp_path))


def test_more_columns_do_no_harm(tmp_path: Path) -> None:
    read_all(changed(tmp_path, "ALTER TABLE changes ADD COLUMN note TEXT"))


def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = changed(tmp_path)
    recording = Recording(path)
    monkeypatch.setattr(module, "STEPS", 20_000_000)
    with pytest.raises(DataopsError, match="takes too long"), recording._open() as db:
        db.execute(ENDLESS.replace("SELECT i AS snapshot", "SELECT max(i)")).fetchall()


def test_a_file_that_is_cut_short_or_none_is_refused(tmp_path: Path) -> None:
    content = SHIPPED.read_bytes()
    for size in (0, 1, 15, 100, 4096, len(content) // 2):
        path = tmp_path / f"{size}.sqlite"
        path.write_bytes(content[:size])
        refused(path)
    for name, other in (("text", b"hello\n" * 1000), ("zeros", bytes(8192)), ("noise", content[:100] + bytes(50_000))):
        path = tmp_path / name
        path.write_bytes(other)
        refused(path)
    refused(tmp_path)
    refused(tmp_path / "missing")
