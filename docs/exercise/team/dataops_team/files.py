"""Generate files from the backlog: Markdown pages, Jira's CSV import, and bodies of its bulk create."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from dataops_team.backlog import Backlog, State
from dataops_team.issues import BULK, STATUS, issue, labels, summary
from dataops_team.markup import wiki

MADE = "<!-- Generated from backlog.toml by `make docs`: edit that file. -->\n"
_BULK_NAMES = {"Epic": "epics", "Story": "stories", "Sub-task": "tasks"}
# Ids of the file that connect children with parents; adding an entry does not change them.
_CSV_IDS = {"E": 1000, "S": 2000, "T": 3000}


def epics_page(backlog: Backlog) -> str:
    """Return the page of epics."""
    sections = []
    for item in backlog.items():
        if item.kind == "Epic":
            stories = ", ".join(f"{name} {backlog.story_state(name)}" for name in backlog.stories_of(item.id))
            state = f"**State:** {item.state} ({stories})"
            sections.append(f"## {item.id}: {item.title}\n\n{state}\n\n{item.description}\n")
    intro = """\
Stories: [stories.md](stories.md). Tasks: [tasks.md](tasks.md). Progress of every day: [status](status/README.md). An
epic is done when all its stories are done, and a story when all its tasks are."""
    return _page("Epics", intro, sections)


def stories_page(backlog: Backlog) -> str:
    """Return the page of stories."""
    sections = []
    for epic in backlog.epics:
        rows = (
            (
                name,
                s.role,
                s.want,
                s.so_that,
                "; ".join(s.accepted_when),
                backlog.plan_of(name) or "-",
                backlog.story_state(name),
            )
            for name, s in backlog.stories_of(epic).items()
        )
        headings = ("id", "as …", "I want …", "so that …", "accepted when", "plan", "state")
        sections.append(f"## {epic}: {backlog.epics[epic].title}\n\n{_table(headings, rows)}")
    intro = "Each story says who needs it, what they get, and how we accept it. The tasks are in [tasks.md](tasks.md)."
    return _page("Stories", intro, sections)


def tasks_page(backlog: Backlog) -> str:
    """Return the page of tasks."""
    sections = []
    for epic in backlog.epics:
        rows = ((name, ", ".join(t.stories), t.what, t.state()) for name, t in backlog.tasks_of(epic).items())
        table = _table(("id", "story", "task", "state"), rows)
        sections.append(f"## {epic}: {backlog.epics[epic].title}\n\n{table}")
    intro = "The state is `todo`, `doing` or `done`, by the [definition of done](definitions.md)."
    return _page("Tasks", intro, sections)


def status_page(backlog: Backlog, days: Iterable[str]) -> str:
    """Return the page of all days, the newest first, with the state of each task at the end of the day."""
    sections = []
    for day in sorted(days, reverse=True):
        names: dict[State, list[str]] = {state: [] for state in State}
        for name, task in backlog.tasks.items():
            names[task.state(date.fromisoformat(day))].append(name)
        rows = ((state, str(len(names[state])), ", ".join(names[state])) for state in reversed(State))
        sections.append(f"## [{day}]({day}.md)\n\n{_table(('state', 'count', 'tasks'), rows)}")
    intro = """\
Every working day has a page with the progress, the evidence and the blockers. This page shows the state of each
[task](../tasks.md) at the end of every day. A task that began later is `todo`, even if it was not planned yet."""
    return _page("Daily status", intro, sections)


def jira_csv(backlog: Backlog) -> str:
    """Return the file for Jira's CSV import: epics, then stories, then sub-tasks, as the import requires."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("Work item ID", "Parent", "Issue Type", "Summary", "Description", "Status", "Labels", "Labels"))
    for item in backlog.items():
        parent = _csv_id(item.parent) if item.parent else ""
        described = (item.kind, summary(item), wiki(item.description), STATUS[item.state], *labels(item))
        writer.writerow((_csv_id(item.id), parent, *described))
    return out.getvalue()


def jira_bulk(backlog: Backlog, project: str = "DOT") -> dict[str, str]:
    """Return the bodies of `POST /rest/api/3/issue/bulk` by file name: one kind of issue in each.

    The keys of parents are those of an empty project to which the bodies are sent in order.
    """
    items = list(backlog.items())
    keys = {item.id: f"{project}-{number}" for number, item in enumerate(items, 1)}
    bodies: dict[str, str] = {}
    for kind, name in _BULK_NAMES.items():
        issues = [
            issue(item, project, {"name": kind}, keys.get(item.parent or "")) for item in items if item.kind == kind
        ]
        for start in range(0, len(issues), BULK):
            lines = ",\n".join(json.dumps(body, ensure_ascii=False) for body in issues[start : start + BULK])
            bodies[f"bulk-{len(bodies) + 1}-{name}.json"] = f'{{"issueUpdates": [\n{lines}\n]}}\n'
    return bodies


def contents(backlog: Backlog, folder: Path) -> dict[str, str]:
    """Return the text of each generated file, by its path in the team's folder."""
    return {
        "epic.md": epics_page(backlog),
        "stories.md": stories_page(backlog),
        "tasks.md": tasks_page(backlog),
        "status/README.md": status_page(backlog, (path.stem for path in folder.glob("status/[0-9]*.md"))),
        "jira/import.csv": jira_csv(backlog),
        **{f"jira/{name}": body for name, body in jira_bulk(backlog).items()},
    }


def write(backlog: Backlog, folder: Path, *, check: bool = False) -> list[str]:
    """Write changed files, with `check` none; return the names of the changed files."""
    stale = []
    for name, text in contents(backlog, folder).items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return stale


def _csv_id(name: str) -> int:
    return _CSV_IDS[name[0]] + int(name[1:])


def _page(title: str, intro: str, sections: list[str]) -> str:
    return "\n".join([f"# {title}\n\n{MADE}\n{intro}\n", *sections])


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cells)]) + "\n"
