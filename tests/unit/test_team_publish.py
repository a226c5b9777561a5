"""Publishing to Jira and Confluence, against a stand-in that refuses what does not fit the published schemas."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.atlassian import EMAIL, TOKEN, TYPES, Answer, Atlassian, Schema
from tests.unit.test_team_pages import PAGES

from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_team.api import Api
from dataops_team.backlog import Item, State, load_backlog
from dataops_team.confluence import ConfluenceSpace
from dataops_team.issues import CATEGORY, LABEL
from dataops_team.jira import JiraProject
from dataops_team.pages import Page, digest_in

ROOT = Path(__file__).parents[2]
ALL = tuple(load_backlog(ROOT / "docs/exercise/team/backlog.toml").items())
FEW = (
    Item("E1", "Epic", None, "all", State.DOING, "All of it."),
    Item("E2", "Epic", None, "more", State.TODO, "More of it."),
    Item("S1", "Story", "E1", "a thing", State.DONE, "As **somebody** …\n\n- seen"),
    Item("T1", "Sub-task", "S1", "run `make`", State.DONE, "Run `make`."),
)


@pytest.fixture
def atlassian() -> Iterator[Atlassian]:
    server = Atlassian()
    yield server
    server.close()
    assert server.refused == []


@pytest.fixture
def waited() -> list[float]:
    return []


@pytest.fixture
def jira(atlassian: Atlassian, waited: list[float]) -> JiraProject:
    return JiraProject(Api("Jira", atlassian.site, "/rest/api/3", EMAIL, TOKEN, sleep=waited.append), "DOT")


@pytest.fixture
def confluence(atlassian: Atlassian, waited: list[float]) -> ConfluenceSpace:
    return ConfluenceSpace(Api("Confluence", atlassian.site, "/wiki/api/v2", EMAIL, TOKEN, sleep=waited.append), "TEAM")


def by_id(atlassian: Atlassian) -> dict[str, str]:
    """Return the keys of the issues that are there, by the ids that their labels tell."""
    found = {}
    for key, issue in atlassian.issues.items():
        (name,) = (label.removeprefix(f"{LABEL}-") for label in issue["fields"]["labels"] if label != LABEL)
        assert name not in found
        found[name] = key
    return found


@pytest.mark.programs
def test_the_whole_backlog_is_there_with_hierarchy_and_states(atlassian: Atlassian, jira: JiraProject) -> None:
    jira.publish(ALL, apply=True)
    keys = by_id(atlassian)
    assert set(keys) == {item.id for item in ALL}
    for item in ALL:
        fields = atlassian.issues[keys[item.id]]["fields"]
        assert fields["summary"].startswith(f"{item.id}: ")
        assert fields["issuetype"]["id"] == TYPES["Subtask" if item.kind == "Sub-task" else item.kind][0]
        assert fields.get("parent", {}).get("key") == (keys[item.parent] if item.parent else None)
        assert fields["status"]["statusCategory"]["key"] == CATEGORY[item.state]


@pytest.mark.programs
def test_a_second_run_changes_nothing(
    atlassian: Atlassian, jira: JiraProject, capsys: pytest.CaptureFixture[str]
) -> None:
    jira.publish(ALL, apply=True)
    atlassian.asked.clear()
    capsys.readouterr()
    jira.publish(ALL, apply=True)
    assert atlassian.writes() == []
    assert capsys.readouterr().out == f"Jira DOT: 0 created, 0 updated, 0 moved, {len(ALL)} unchanged\n"


def test_without_apply_nothing_is_written(
    atlassian: Atlassian, jira: JiraProject, capsys: pytest.CaptureFixture[str]
) -> None:
    jira.publish(FEW, apply=False)
    assert atlassian.writes() == []
    out = capsys.readouterr().out.splitlines()
    assert "Jira DOT: would create E1: all" in out
    assert "Jira DOT: would move T1 to done" in out
    assert out[-1] == "Jira DOT: 4 to create, 0 to update, 3 to move, 0 unchanged"


def test_only_what_has_changed_is_sent(atlassian: Atlassian, jira: JiraProject) -> None:
    jira.publish(FEW, apply=True)
    keys = by_id(atlassian)
    atlassian.asked.clear()
    epic, other, story, task = FEW
    story = replace(story, parent="E2", description="Less.")
    jira.publish((epic, other, story, replace(task, state=State.DOING)), apply=True)
    assert atlassian.writes() == [
        f"PUT /rest/api/3/issue/{keys['S1']}",
        f"POST /rest/api/3/issue/{keys['T1']}/transitions",
    ]
    fields = atlassian.issues[keys["S1"]]["fields"]
    assert fields["parent"] == {"key": keys["E2"]}
    assert fields["description"]["content"][0]["content"] == [{"type": "text", "text": "Less."}]
    assert fields["status"] == {"statusCategory": {"key": "done"}}


def test_what_was_imported_is_updated_and_not_created_again(atlassian: Atlassian, jira: JiraProject) -> None:
    jira.publish(FEW, apply=True)
    for issue in atlassian.issues.values():
        issue["properties"].clear()  # a CSV import sets labels, but no properties
    atlassian.asked.clear()
    jira.publish(FEW, apply=True)
    assert len(atlassian.issues) == len(FEW)
    assert all(line.startswith("PUT") for line in atlassian.writes())
    assert len(atlassian.writes()) == len(FEW)


def test_two_issues_of_one_label_are_told_before_anything_is_written(atlassian: Atlassian, jira: JiraProject) -> None:
    jira.publish(FEW, apply=True)
    atlassian.issues["DOT-99"] = atlassian.issues["DOT-1"]
    atlassian.asked.clear()
    with pytest.raises(BadAnswer, match="DOT-1 and DOT-99 both have the label dataops-tui-E1"):
        jira.publish((replace(FEW[0], title="new"), *FEW[1:]), apply=True)
    assert atlassian.writes() == []


def test_what_was_half_done_is_completed(atlassian: Atlassian, jira: JiraProject) -> None:
    atlassian.instead.append(Answer(500, on="POST /rest/api/3/issue/DOT-1/transitions"))
    with pytest.raises(BadAnswer, match=r"failed \(500\)"):
        jira.publish(FEW, apply=True)
    jira.publish(FEW, apply=True)
    assert len(by_id(atlassian)) == len(FEW)
    atlassian.asked.clear()
    jira.publish(FEW, apply=True)
    assert atlassian.writes() == []


def test_an_issue_that_jira_refuses_is_named_with_the_reason(atlassian: Atlassian, jira: JiraProject) -> None:
    orphan = replace(FEW[3], id="T2", parent=None)
    with pytest.raises(BadAnswer) as caught:
        jira.publish((*FEW, orphan), apply=True)
    assert str(caught.value) == "Jira: not created: T2: parent: T2: run make has no fitting parent"
    assert "T1" in by_id(atlassian)
    with pytest.raises(BadAnswer, match=r"issue/bulk: failed \(400\): .*parent: T2: run make has no fitting parent"):
        jira.publish((*FEW, orphan), apply=True)


def test_a_search_that_lags_behind_doubles_nothing(
    atlassian: Atlassian, jira: JiraProject, waited: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    atlassian.lag = 3
    jira.publish(FEW, apply=True)
    assert len(waited) == 2  # the first look was before anything was there
    jira.publish(FEW, apply=True)
    assert len(by_id(atlassian)) == len(FEW)
    assert "wait some minutes" not in capsys.readouterr().out


def test_a_search_that_shows_nothing_for_long_is_told(
    atlassian: Atlassian, jira: JiraProject, capsys: pytest.CaptureFixture[str]
) -> None:
    atlassian.lag = 1000
    jira.publish(FEW, apply=True)
    assert "wait some minutes before the next run" in capsys.readouterr().out


def test_a_workflow_without_a_way_is_told(atlassian: Atlassian, jira: JiraProject) -> None:
    atlassian.categories = ("new", "done")
    with pytest.raises(NotFound, match=r"DOT-1 \(E1\) cannot go to doing"):
        jira.publish(FEW, apply=True)


def test_children_move_before_their_parents(atlassian: Atlassian, jira: JiraProject) -> None:
    jira.publish(FEW, apply=True)
    keys = by_id(atlassian)
    moves = [line.split("/")[5] for line in atlassian.writes() if line.endswith("/transitions")]
    assert moves == [keys["T1"], keys["S1"], keys["E1"]]


def test_a_project_that_is_not_there(atlassian: Atlassian) -> None:
    project = JiraProject(Api("Jira", atlassian.site, "/rest/api/3", EMAIL, TOKEN), "X")
    with pytest.raises(NotFound, match=r"not found.* \(404\): No project could be found"):
        project.publish(FEW, apply=True)


def test_all_pages_are_there_under_each_other(atlassian: Atlassian, confluence: ConfluenceSpace) -> None:
    confluence.publish(PAGES, apply=True)
    ids = {page["title"]: page["id"] for page in atlassian.pages.values()}
    titles = {page.source: page.title for page in PAGES}
    assert set(ids) == set(titles.values())
    for page in PAGES:
        there = atlassian.pages[ids[page.title]]
        assert there["parentId"] == (ids[titles[page.parent]] if page.parent else "1")
        assert there["body"]["storage"]["value"] == page.body


@pytest.mark.programs
def test_a_second_run_changes_no_page(
    atlassian: Atlassian, confluence: ConfluenceSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    confluence.publish(PAGES, apply=True)
    atlassian.asked.clear()
    capsys.readouterr()
    confluence.publish(PAGES, apply=True)
    assert atlassian.writes() == []
    assert capsys.readouterr().out.endswith(f" {len(PAGES)} unchanged\n")


def test_without_apply_no_page_is_written(
    atlassian: Atlassian, confluence: ConfluenceSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    confluence.publish(PAGES, apply=False)
    assert atlassian.pages == {}
    out = capsys.readouterr().out
    assert f"would create {PAGES[0].title} ({PAGES[0].source})" in out
    assert f"{len(PAGES)} to create" in out


def test_a_page_that_changed_or_belongs_elsewhere_is_updated(atlassian: Atlassian, confluence: ConfluenceSpace) -> None:
    root, child, other = (
        replace(page, parent=PAGES[0].source if place else None) for place, page in enumerate(PAGES[:3])
    )
    confluence.publish((root, child, other), apply=True)
    ids = {page["title"]: page["id"] for page in atlassian.pages.values()}
    atlassian.asked.clear()
    changed = replace(child, body=child.body.replace(str(digest_in(child.body)), "0" * 16))
    confluence.publish((root, changed, replace(other, parent=child.source)), apply=True)
    assert atlassian.writes() == [f"PUT /wiki/api/v2/pages/{ids[page.title]}" for page in (child, other)]
    assert atlassian.pages[ids[child.title]]["version"]["number"] == 2
    assert atlassian.pages[ids[other.title]]["parentId"] == ids[child.title]


def test_a_page_of_somebody_else_is_left_alone(atlassian: Atlassian, confluence: ConfluenceSpace) -> None:
    theirs = Page("theirs.md", PAGES[3].title, None, "<p>Ours</p>")
    atlassian.pages["9"] = {
        "id": "9",
        "title": theirs.title,
        "parentId": "1",
        "version": {"number": 4},
        "body": {"storage": {"representation": "storage", "value": theirs.body}},
    }
    with pytest.raises(BadAnswer, match="was not published from here: rename that page"):
        confluence.publish(PAGES, apply=True)
    assert atlassian.writes() == []


def test_a_space_that_is_not_there(atlassian: Atlassian) -> None:
    space = ConfluenceSpace(Api("Confluence", atlassian.site, "/wiki/api/v2", EMAIL, TOKEN), "X")
    with pytest.raises(NotFound, match="no space X"):
        space.publish(PAGES, apply=True)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (
            Answer(401, "<html>Unauthorized</html>"),
            AuthenticationFailed,
            "credentials refused (401): check the e-mail",
        ),
        (
            Answer(403, '{"errorMessages": ["No.\\nNever."]}'),
            PermissionDenied,
            "permission denied (403): No. Never.",
        ),
        (Answer(404, "gone"), NotFound, "not found, or not visible to this account (404)"),
        (Answer(400, '{"errors": {"summary": "too long"}}'), BadAnswer, "failed (400): summary: too long"),
        (Answer(503, "<html>busy</html>"), BadAnswer, "failed (503)"),
        (Answer(200, "<html>Log in</html>"), BadAnswer, "the response is not JSON: check the site's address"),
        (Answer(302, "", {"Location": "https://example.com/"}), BadAnswer, "redirects to another address (302)"),
        (Answer(429, "", {"Retry-After": "600"}), BadAnswer, "rate limited for 10m (429): run it again after that"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_an_error_is_one_line_without_the_token(
    atlassian: Atlassian, answer: Answer, kind: type[ClientError], says: str
) -> None:
    atlassian.instead.append(answer)
    api = Api("Jira", atlassian.site, "/rest/api/3", EMAIL, TOKEN)
    with pytest.raises(kind) as caught:
        api.get("/issue/createmeta/DOT/issuetypes")
    assert str(caught.value).startswith("Jira: GET /issue/createmeta/DOT/issuetypes: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"issueTypes": [{"hierarchyLevel": 1}]}'])
def test_an_answer_of_another_form_is_one_line(atlassian: Atlassian, text: str) -> None:
    atlassian.instead.append(Answer(200, text))
    api = Api("Jira", atlassian.site, "/rest/api/3", EMAIL, TOKEN)
    with pytest.raises(BadAnswer, match=r"^Jira: a response does not have the documented form"), api.understood():
        JiraProject(api, "DOT").publish(FEW, apply=True)


def test_it_waits_as_long_as_it_is_asked_to(atlassian: Atlassian, jira: JiraProject, waited: list[float]) -> None:
    atlassian.instead += [
        Answer(429, "", {"Retry-After": "7"}),
        Answer(429, "", {"Retry-After": "soon"}),
        Answer(429, "", {"Retry-After": "3"}, on="/issue/bulk"),
    ]
    jira.publish(FEW, apply=True)
    assert waited == [7, 5, 3]
    assert len(by_id(atlassian)) == len(FEW)


def test_it_does_not_wait_for_ever(atlassian: Atlassian, jira: JiraProject, waited: list[float]) -> None:
    atlassian.instead += [Answer(429, "", {"Retry-After": "1"})] * 9
    with pytest.raises(BadAnswer, match=r"rate limited for 1s \(429\)"):
        jira.publish(FEW, apply=True)
    assert waited == [1] * 4


def test_a_hung_server_ends_at_the_deadline(atlassian: Atlassian) -> None:
    atlassian.hang = True
    api = Api("Jira", atlassian.site, "/rest/api/3", EMAIL, TOKEN, timeout=0.2)
    with pytest.raises(TimedOut, match=r"no response within 200ms"):
        api.get("/issue/createmeta/DOT/issuetypes")


def test_a_site_that_refuses_connections() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = Api("Jira", f"http://127.0.0.1:{taken.getsockname()[1]}", "/rest/api/3", EMAIL, TOKEN)
        with pytest.raises(Unreachable, match="Connection refused"):
            api.get("/issue/createmeta/DOT/issuetypes")


@pytest.mark.parametrize(
    "site", ["http://example.atlassian.net", "example.atlassian.net", "https:/x", "ftp://127.0.0.1.x"]
)
def test_the_token_is_sent_over_tls_only(site: str) -> None:
    with pytest.raises(ConfigError, match="begins with https://"):
        Api("Jira", site, "", EMAIL, TOKEN)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ATLASSIAN_", "JIRA_", "CONFLUENCE_"))
    }
    path = os.pathsep.join(["docs/exercise/team", *filter(None, [kept.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "dataops_team", "publish", *arguments],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.programs
def test_the_command_publishes_with_a_token_from_a_file(atlassian: Atlassian, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    where = {"ATLASSIAN_SITE": atlassian.site, "ATLASSIAN_EMAIL": EMAIL, "ATLASSIAN_TOKEN_FILE": str(token)}
    where |= {"JIRA_PROJECT": "DOT", "CONFLUENCE_SPACE": "TEAM"}
    told = run(**where)
    assert told.returncode == 0, told.stderr
    assert atlassian.writes() == []
    assert f"Jira DOT: {len(ALL)} to create" in told.stdout
    done = run("--apply", **where)
    assert done.returncode == 0, done.stderr
    assert (len(atlassian.issues), len(atlassian.pages)) == (len(ALL), len(PAGES))
    assert TOKEN not in told.stdout + told.stderr + done.stdout + done.stderr


@pytest.mark.programs
def test_the_command_tells_an_error_in_one_line(atlassian: Atlassian) -> None:
    where = {"ATLASSIAN_SITE": atlassian.site, "ATLASSIAN_EMAIL": EMAIL, "JIRA_PROJECT": "DOT"}
    for done, says in (
        (run(**where, ATLASSIAN_TOKEN="wrong-token"), "credentials refused (401)"),
        (run(**where), "there is no API token: set ATLASSIAN_TOKEN_FILE or ATLASSIAN_TOKEN"),
        (run(), "but the site is not configured: set ATLASSIAN_SITE"),
    ):
        assert done.returncode == 1
        assert done.stdout == ""
        assert says in done.stderr
        assert done.stderr.count("\n") == 1
        assert "wrong-token" not in done.stderr


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("PATCH", "/rest/api/3/issue/DOT-1", {}, {"fields": {}}),
        ("POST", "/rest/api/3/search/jql", {}, {"jql": "x", "startAt": 0}),
        ("POST", "/rest/api/3/issue/bulk", {}, {"issueUpdates": "x"}),
        ("PUT", "/rest/api/3/issue/DOT-1", {"notify": ["false"]}, {"fields": {}}),
        ("PUT", "/rest/api/3/issue/DOT-1", {}, None),
        ("GET", "/rest/api/3/issue/DOT-1/transitions", {}, {}),
    ],
)
def test_the_stand_in_refuses_what_jira_does_not_take(method: str, path: str, query: dict, body: object) -> None:
    assert list(Schema("jira-cloud-v3.yaml", "jira.json").problems(method, path, query, body))


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("GET", "/wiki/api/v2/pages", {"space-id": ["TEAM"]}, None),
        ("GET", "/wiki/api/v2/pages", {"body-format": ["view"]}, None),
        ("POST", "/wiki/api/v2/pages", {}, {"title": "x"}),
        ("PUT", "/wiki/api/v2/pages/1", {}, {"id": "1", "status": "current", "title": "x", "body": {}}),
        ("PUT", "/wiki/api/v2/pages/x", {}, None),
    ],
)
def test_the_stand_in_refuses_what_confluence_does_not_take(method: str, path: str, query: dict, body: object) -> None:
    schema = Schema("confluence-cloud-v2.yaml", "confluence.json", "/wiki/api/v2")
    assert list(schema.problems(method, path, query, body))
