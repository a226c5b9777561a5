"""The team's backlog: what is made of it is current, its states are true to their definition, its mistakes are told."""

from __future__ import annotations

import csv
import json
import subprocess
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dataops_team.__main__
from dataops_team import files
from dataops_team.__main__ import app
from dataops_team.backlog import Backlog, BadBacklog, State, load_backlog
from dataops_team.markup import adf, plain, wiki

ROOT = Path(__file__).parents[2]
TEAM = ROOT / "docs/exercise/team"
BACKLOG = load_backlog(TEAM / "backlog.toml")

SMALL = """
[epics.E1]
title = "all"
goal = "All of it."
done_when = ["It works."]
[stories.S1]
epic = "E1"
as = "somebody"
want = "a thing"
so_that = "it is there"
accepted_when = ["it is seen"]
[stories.S2]
epic = "E1"
as = "somebody"
want = "another thing"
so_that = "both are there"
accepted_when = ["both are seen"]
[tasks]
T1 = { done = 2026-01-02, stories = ["S1"], what = "one" }
T2 = { begun = 2026-01-02, done = 2026-01-04, stories = ["S2", "S1"], what = "two" }
T3 = { stories = ["S2"], what = "three" }
"""


def test_what_is_made_of_the_backlog_is_current() -> None:
    assert files.write(BACKLOG, TEAM, check=True) == []


@pytest.mark.programs
def test_a_stale_file_is_named_and_written(tmp_path: Path) -> None:
    assert "tasks.md" in files.write(BACKLOG, tmp_path, check=True)
    assert not list(tmp_path.iterdir())
    files.write(BACKLOG, tmp_path)
    assert files.write(BACKLOG, tmp_path, check=True) == []
    (tmp_path / "tasks.md").write_text("old")
    assert files.write(BACKLOG, tmp_path, check=True) == ["tasks.md"]


def test_the_command_says_what_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backlog.toml").write_text(SMALL)
    monkeypatch.setattr(dataops_team.__main__, "TEAM", tmp_path)
    run = CliRunner().invoke
    assert (run(app, ["write", "--check"]).exit_code, len(list(tmp_path.iterdir()))) == (1, 1)
    assert "written: epic.md, stories.md, tasks.md" in run(app, ["write"]).output
    assert (run(app, ["write", "--check"]).exit_code, run(app, ["write"]).output) == (0, "")


def test_a_bar_breaks_no_table(tmp_path: Path) -> None:
    assert "| T3 | S2 | `a \\| b` | todo |" in files.tasks_page(small(tmp_path, '"three"', '"`a | b`"'))


def small(tmp_path: Path, old: str = "", new: str = "") -> Backlog:
    path = tmp_path / "backlog.toml"
    assert old in SMALL
    path.write_text(SMALL.replace(old, new, 1))
    return load_backlog(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('["it is seen"]', "[]", "stories.S1.accepted_when"),
        ('["it is seen"]', '[" "]', "stories.S1.accepted_when.0"),
        ('stories = ["S1"]', "stories = []", "tasks.T1.stories"),
        ('["S2", "S1"]', '["S2", "S9"]', "T2 names the story S9"),
        ('epic = "E1"', 'epic = "E7"', "S1 names the epic E7"),
        ('T3 = { stories = ["S2"]', 'T3 = { state = "ready", stories = ["S2"]', "tasks.T3.state"),
        ("done = 2026-01-04", "done = 2026-01-01", "tasks.T2: Value error, done on 2026-01-01, before"),
        ("done = 2026-01-04", 'done = "soon"', "tasks.T2.done"),
        ('title = "all"', "title = ", "line 3"),
        ("T3 = ", "X3 = ", "tasks.X3"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(BadBacklog) as caught:
        small(tmp_path, old, new)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_states_follow_from_days(tmp_path: Path) -> None:
    backlog = small(tmp_path)
    two = backlog.tasks["T2"]
    assert [two.state(date(2026, 1, day)) for day in (1, 2, 3, 4)] == [State.TODO, State.DOING, State.DOING, State.DONE]
    assert backlog.tasks["T1"].state(date(2026, 1, 1)) is State.TODO
    assert backlog.story_state("S1") is State.DONE
    assert backlog.story_state("S2") is State.DOING
    assert backlog.epic_state("E1") is State.DOING


def test_the_status_page_tells_each_day_as_it_was(tmp_path: Path) -> None:
    page = files.status_page(small(tmp_path), ["2026-01-02", "2026-01-04"])
    newest, oldest = page.split("## [")[1:]
    assert newest.startswith("2026-01-04")
    assert "| done | 2 | T1, T2 |\n| doing | 0 |  |\n| todo | 1 | T3 |" in newest
    assert "| done | 1 | T1 |\n| doing | 1 | T2 |\n| todo | 1 | T3 |" in oldest


@pytest.mark.programs
def test_each_past_day_of_the_history_has_a_status_page() -> None:
    done = subprocess.run(
        ["git", "log", "--format=%ad", "--date=short"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not (ROOT / ".git").exists():
        pytest.skip("no git history here, as in a source archive: the days on which there was work are not known")
    past = sorted(set(done.stdout.split()))[:-1]  # the newest day may go on: its page is written when it ends
    assert set(past) <= {path.stem for path in TEAM.glob("status/[0-9]*.md")}


def test_no_task_was_done_on_a_day_without_a_status_page() -> None:
    pages = {path.stem for path in TEAM.glob("status/[0-9]*.md")}
    told = {str(day) for task in BACKLOG.tasks.values() for day in (task.begun, task.done) if day}
    assert told <= pages


def test_states_in_the_pages_are_known() -> None:
    for name in ("tasks.md", "stories.md"):
        rows = [line for line in (TEAM / name).read_text().splitlines() if line.startswith(("| T", "| S"))]
        assert len(rows) == len(BACKLOG.tasks if name == "tasks.md" else BACKLOG.stories)
        assert {row.rstrip(" |").rpartition("| ")[2] for row in rows} <= set(State)


def test_each_story_of_the_open_epics_has_an_owner_a_size_and_a_priority() -> None:
    for name, story in BACKLOG.stories_of("E7").items():
        assert None not in (story.owner, story.size, story.priority), name
    (row,) = (line for line in (TEAM / "stories.md").read_text().splitlines() if line.startswith("| S31 "))
    assert "| owner data engineer, size L, priority 3 |" in row
    item = next(item for item in BACKLOG.items() if item.id == "S31")
    assert item.description.endswith("**Plan.** Owner data engineer, size L, priority 3.")


def test_daily_status_pages_are_short_tables() -> None:
    for path in TEAM.glob("status/[0-9]*.md"):
        text = path.read_text()
        assert "| story | state | what changed | evidence | blockers, and what is missing |" in text
        assert len(text.split()) < 350, path.name


def test_the_csv_ties_children_to_parents_above_them() -> None:
    with (TEAM / "jira/import.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    assert header[:4] == ["Work item ID", "Parent", "Issue Type", "Summary"]
    assert all(len(row) == len(header) for row in rows)
    kinds: dict[str, str] = {}
    above = {"Epic": None, "Story": "Epic", "Sub-task": "Story"}
    for number, parent, kind, summary, _, status, *_labels in rows:
        assert kinds.get(parent) == above[kind]
        assert number not in kinds
        kinds[number] = kind
        assert 0 < len(summary) <= 255  # what Jira takes
        assert status in files.STATUS.values()
    assert len(kinds) == len(BACKLOG.epics) + len(BACKLOG.stories) + len(BACKLOG.tasks)


def test_bulk_bodies_sent_in_order_to_an_empty_project_find_their_parents() -> None:
    keys: dict[str, str] = {}
    above = {"Epic": None, "Story": "Epic", "Sub-task": "Story"}
    for path in sorted(TEAM.glob("jira/bulk-*.json")):
        issues = json.loads(path.read_text())["issueUpdates"]
        assert 0 < len(issues) <= 50  # what the API takes at once
        batch = {}
        for number, issue in enumerate(issues, len(keys) + 1):
            fields = issue["fields"]
            kind = fields["issuetype"]["name"]
            assert keys.get(fields["parent"]["key"] if "parent" in fields else "") == above[kind]
            batch[f"DOT-{number}"] = kind
        keys |= batch
    assert len(keys) == len(list(BACKLOG.items()))


def test_more_tasks_than_jira_creates_at_once_are_spread(tmp_path: Path) -> None:
    more = "\n".join(f'T{n} = {{ stories = ["S2"], what = "more" }}' for n in range(4, 60))
    backlog = small(tmp_path, 'what = "three" }\n', f'what = "three" }}\n{more}\n')
    bodies = {name: json.loads(body)["issueUpdates"] for name, body in files.jira_bulk(backlog).items()}
    assert {name: len(issues) for name, issues in bodies.items()} == {
        "bulk-1-epics.json": 1,
        "bulk-2-stories.json": 2,
        "bulk-3-tasks.json": 50,
        "bulk-4-tasks.json": 9,
    }
    assert bodies["bulk-4-tasks.json"][-1]["fields"]["parent"] == {"key": "DOT-3"}


MARKDOWN = "**Goal.** Run `make x` and *look*\nat it.\n\n- one\n- `two`"


def test_markdown_as_jira_takes_it() -> None:
    assert wiki(MARKDOWN) == "*Goal.* Run {{make x}} and _look_ at it.\n\n* one\n* {{two}}"
    assert plain("run `make x` *now*") == "run make x now"
    strong = {"type": "text", "text": "Goal.", "marks": [{"type": "strong"}]}
    item = {"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "one"}]}]}
    document = adf(MARKDOWN)
    assert document["version"] == 1
    assert document["content"][0]["content"][0] == strong
    assert {"type": "text", "text": "make x", "marks": [{"type": "code"}]} in document["content"][0]["content"]
    assert document["content"][1]["type"] == "bulletList"
    assert document["content"][1]["content"][0] == item
