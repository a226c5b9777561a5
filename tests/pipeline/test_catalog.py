"""The stamps of commits, found by walking back a table's history."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dataops_pipeline.catalog import OLDEST, PROGRESS, newest_with, oldest_since


def table(*summaries: dict[str, str]) -> Any:
    """Make a table whose snapshots are 1, 2, 3 …, each after the one before, with these commit properties."""
    snapshots = {
        n: SimpleNamespace(
            snapshot_id=n,
            parent_snapshot_id=n - 1 if n > 1 else None,
            summary=SimpleNamespace(additional_properties=summary),
        )
        for n, summary in enumerate(summaries, start=1)
    }
    return SimpleNamespace(current_snapshot=lambda: snapshots.get(len(snapshots)), snapshot_by_id=snapshots.get)


HISTORY = table({PROGRESS: "p1", OLDEST: "o5"}, {PROGRESS: "p2", OLDEST: "o7"}, {PROGRESS: "p3", OLDEST: "o6"}, {})


def test_a_commit_without_stamps_moves_no_progress() -> None:
    found = newest_with(HISTORY, PROGRESS)
    assert found is not None
    assert (found[0].snapshot_id, found[1]) == (3, "p3")
    assert newest_with(table(), PROGRESS) is None


@pytest.mark.parametrize(
    ("snapshot_id", "oldest"),
    [
        (1, "o6"),  # of both commits since, not of the newest only
        (2, "o6"),
        (3, None),  # a restatement has taken in nothing
        (4, None),
        (9, None),  # not known any more
    ],
)
def test_what_was_taken_in_since_a_snapshot(snapshot_id: int, oldest: str | None) -> None:
    assert oldest_since(HISTORY, snapshot_id) == oldest
