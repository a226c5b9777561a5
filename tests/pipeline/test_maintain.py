"""Maintenance: what may go and what must stay, worked out from metadata, and one table's failure is its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dataops_pipeline import trino_sql
from dataops_pipeline.catalog import PROGRESS, SOURCE_SNAPSHOT
from dataops_pipeline.jobs.land_readings import END_OFFSETS
from dataops_pipeline.jobs.maintain_tables import (
    MARGIN,
    STAMPS,
    Options,
    Snapshot,
    State,
    maintain_all,
    needed,
    plan_expiry,
    summary_line,
)
from dataops_pipeline.settings import JobError, NotYet
from dataops_pipeline.trino_sql import StatementFailed, again_after_conflicts

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


def table(*stamps: dict[str, str], refs: dict[str, int] | None = None, name: str = "bronze.readings") -> State:
    """A table with one snapshot an hour, the last one now; ids count from 1."""
    found = {
        number: Snapshot(number, number - 1 or None, NOW - timedelta(hours=len(stamps) - number), stamp)
        for number, stamp in enumerate(stamps, 1)
    }
    return State(name, 9, 8, 8_000_000, 1, 9, len(stamps) or None, found, refs or {})


def test_snapshots_older_than_the_retention_go() -> None:
    expiry = plan_expiry(table({}, {}, {}, {}), frozenset(), NOW, timedelta(hours=1.5))
    assert expiry.expired == (1, 2)
    assert expiry.before == NOW - timedelta(hours=1.5)
    assert expiry.held_by is None


def test_the_newest_snapshot_stays_however_short_the_retention() -> None:
    assert plan_expiry(table({}, {}), frozenset(), NOW + timedelta(hours=1), timedelta(0)).expired == (1,)
    assert plan_expiry(table(), frozenset(), NOW, timedelta(0)).expired == ()


@pytest.mark.parametrize("stamp", [END_OFFSETS, PROGRESS, SOURCE_SNAPSHOT])
def test_the_newest_snapshot_with_a_stamp_stays_and_all_that_came_after_it(stamp: str) -> None:
    state = table({stamp: "1"}, {stamp: "2"}, {}, {}, {})
    expiry = plan_expiry(state, frozenset(), NOW, timedelta(0))
    assert stamp.startswith(STAMPS)
    assert expiry.expired == (1,)
    assert expiry.before == state.snapshots[2].committed_at - MARGIN
    assert expiry.held_by == stamp


def test_the_snapshot_that_downstream_was_made_from_stays() -> None:
    silver = table({SOURCE_SNAPSHOT: "1"}, {SOURCE_SNAPSHOT: "2"}, {}, name="silver.readings")
    bronze = table({}, {}, {}, {}, {})
    assert needed([bronze, silver]) == {2}
    expiry = plan_expiry(bronze, needed([bronze, silver]), NOW, timedelta(0))
    assert expiry.expired == (1,)
    assert expiry.held_by == "made-from"


def test_a_stamp_on_a_branch_does_not_stand_for_the_one_on_main() -> None:
    state = table({}, {PROGRESS: "a"}, {}, {})
    branch = Snapshot(9, 4, NOW, {PROGRESS: "b"})
    state = State(**{**vars(state), "snapshots": {**state.snapshots, 9: branch}, "refs": {"audit": 9}})
    expiry = plan_expiry(state, frozenset(), NOW, timedelta(0))
    assert expiry.expired == (1,)


def test_what_a_tag_names_stays_and_is_told() -> None:
    state = table({}, {}, {}, {}, refs={"lot_L1820": 1, "new": 4})
    expiry = plan_expiry(state, frozenset(), NOW, timedelta(0))
    assert expiry.expired == (2, 3)
    assert expiry.tagged == ("lot_L1820",)
    assert summary_line(state, expiry) == (
        "bronze.readings: 8 of 9 data files are small (8.0 MB), 1 delete files, 9 manifests, 2 of 4 snapshots"
        " can expire,"
        " kept by a tag or branch: lot_L1820"
    )


@pytest.mark.parametrize(
    "env",
    [
        {"BOREAL_PARAM_TABLES": 'bronze.readings; DROP TABLE "x"'},
        {"BOREAL_PARAM_RETENTION_HOURS": "-1"},
        {"BOREAL_PARAM_FILE_SIZE_THRESHOLD": "64MB') --"},
        {"BOREAL_PARAM_DRY_RUN": "perhaps"},
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(env: dict[str, str]) -> None:
    with pytest.raises(JobError, match=next(iter(env))):
        Options.from_env(env)


def test_options() -> None:
    assert Options.from_env({}) == Options()
    env = {
        "BOREAL_PARAM_TABLES": "bronze.readings, gold.shipment_exposure",
        "BOREAL_PARAM_DRY_RUN": "True",
        "BOREAL_PARAM_RETENTION_HOURS": "0.5",
        "BOREAL_PARAM_FILE_SIZE_THRESHOLD": "16MB",
    }
    options = Options.from_env(env)
    assert options == Options(("bronze.readings", "gold.shipment_exposure"), True, 0.5, "16MB")
    assert options.threshold_bytes == 16_000_000


def test_a_conflict_is_tried_again_and_anything_else_is_not() -> None:
    said = ["ICEBERG_COMMIT_ERROR: Failed to commit the transaction", "ICEBERG_COMMIT_ERROR: Failed to commit", ""]
    paused: list[float] = []

    def execute(statement: str) -> list[trino_sql.Row]:
        words = said.pop(0)
        if words:
            raise StatementFailed(words)
        return [(statement,)]

    assert again_after_conflicts(execute, "ALTER", paused.append) == ([("ALTER",)], 2)
    assert paused == [1, 2]
    said[:] = ["SYNTAX_ERROR: line 1"]
    with pytest.raises(StatementFailed, match="SYNTAX_ERROR"):
        again_after_conflicts(execute, "ALTER", paused.append)


class Trino:
    """Answers as Trino would for two tables, one of which cannot be kept up."""

    def __init__(self, broken: str = "nothing") -> None:
        self.broken = broken
        self.altered: list[str] = []
        self.branches: list[str] = []
        self.branch_hours = 0.0
        self.tables = [("bronze", "readings"), ("silver", "readings")]

    def newest(self, at: float) -> trino_sql.Row:
        names = ["main", *self.branches]
        return (3, 2, at + self.branch_hours * 3600, {}, names, ["BRANCH"] * len(names))

    def __call__(self, statement: str) -> list[trino_sql.Row]:
        if self.broken in statement:
            raise StatementFailed("ICEBERG_INVALID_METADATA: broken")
        if statement.startswith("ALTER"):
            self.altered.append(statement)
            return []
        if "information_schema" in statement:
            return list(self.tables)
        if "$snapshots" in statement:
            at = (datetime.now(UTC) - timedelta(hours=5)).timestamp()
            return [(1, None, at, {}, None, None), (2, 1, at + 3600, {}, None, None), self.newest(at + 4 * 3600)]
        return [(3, 3, 3000, 0, 3)]


def test_a_dry_run_changes_nothing() -> None:
    trino = Trino()
    assert maintain_all(trino, Options(dry_run=True)) == "inspected 2 tables"
    assert trino.altered == []


def test_maintenance_goes_through_all_steps_of_all_tables() -> None:
    trino = Trino()
    assert maintain_all(trino, Options()) == "maintained 2 tables"
    steps = [one.split("EXECUTE ")[1].split("(")[0] for one in trino.altered]
    assert steps == ["optimize", "optimize_manifests", "expire_snapshots", "remove_orphan_files"] * 2
    orphans = [one for one in trino.altered if "orphan" in one]
    assert all("'7200s'" in one for one in orphans)


def test_files_that_a_running_job_may_have_written_are_no_orphans_yet() -> None:
    trino = Trino()
    maintain_all(trino, Options(retention_hours=0))
    assert all("'3600s'" in one for one in trino.altered if "orphan" in one)


def test_files_stay_as_they_are_while_a_branch_may_be_about_to_be_published() -> None:
    trino = Trino()
    trino.branches, trino.branch_hours = ["audit_3"], 0.9
    maintain_all(trino, Options())
    assert not any("optimize" in one for one in trino.altered)
    assert any("expire_snapshots" in one for one in trino.altered)
    trino.branch_hours = -0.1
    maintain_all(trino, Options())
    assert any("optimize" in one for one in trino.altered), "one that was left behind holds nothing up"


def test_a_table_that_fails_keeps_no_other_from_being_done() -> None:
    trino = Trino(broken='"bronze"."readings" EXECUTE')
    with pytest.raises(JobError, match=r"1 of 2 tables failed: bronze\.readings"):
        maintain_all(trino, Options())
    assert any('"silver"."readings" EXECUTE remove_orphan_files' in one for one in trino.altered)


def test_where_a_tables_stamps_cannot_be_read_no_snapshot_of_another_goes() -> None:
    trino = Trino(broken='"silver"."readings$snapshots"')
    with pytest.raises(JobError, match=r"silver\.readings"):
        maintain_all(trino, Options())
    assert not any("expire_snapshots" in one for one in trino.altered)
    assert any('"bronze"."readings" EXECUTE optimize' in one for one in trino.altered)


def test_nothing_there_yet() -> None:
    trino = Trino()
    with pytest.raises(NotYet, match=r"gold\.shipment_exposure"):
        maintain_all(trino, Options(tables=("gold.shipment_exposure",)))
    trino.tables = []
    with pytest.raises(NotYet):
        maintain_all(trino, Options())
