"""Publish the backlog to a Jira project: create missing issues, update changed ones, move those in another status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dataops_core.errors import BadAnswer, NotFound
from dataops_core.reasons import LONGEST
from dataops_team.api import Api, texts
from dataops_team.backlog import Item, State
from dataops_team.issues import BULK, CATEGORY, LABEL, PROPERTY, content, issue, labels
from dataops_team.log import Log

_LEVELS = {"Epic": 1, "Story": 0, "Sub-task": -1}
_SEARCHES, _SEARCH_INTERVAL = 24, 5.0


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue that exists.

    Attributes:
        digest: Digest of the published content, `None` if the issue was imported.
        category: Jira's category of its status.
    """

    key: str
    parent: str | None
    digest: str | None
    category: str


class JiraProject:
    """A project of Jira.

    Args:
        api: Jira's REST API, version 3.
        key: The project's key.
    """

    def __init__(self, api: Api, key: str) -> None:
        self._api = api
        self._key = key

    def publish(self, items: Iterable[Item], *, apply: bool) -> None:
        """Update the project from the items, or list the changes without `apply`.

        Items come after their parents. Labels identify their issues. Nothing is deleted.

        Raises:
            ClientError: A request failed. The changes made until then stay, and the next run skips them.
        """
        items = tuple(items)
        log = Log(f"Jira {self._key}", apply=apply)
        types = self._types()
        there = self._find(items)
        before = set(there)
        created = [item for item in items if item.id not in there]
        changed = [item for item in items if item.id in there and not _current(item, there)]
        moved = [item for item in items if item.state is not _state(there.get(item.id))]
        if apply:
            refused = self._create(created, types, there, log)
            self._wait_until_found(set(there) - before, items, log)
            if refused:
                raise BadAnswer(f"Jira: not created: {', '.join(refused)}"[:LONGEST])
            self._update(changed, there, log)
            self._move(reversed(moved), there, log)  # children first: some workflows keep a parent open until then
        else:
            for verb, some in (("create", created), ("update", changed), ("move", moved)):
                for item in some:
                    log.change(verb, f"{item.id}{f' to {item.state}' if verb == 'move' else ': ' + item.title}")
        log.end(len(before - {item.id for item in (*changed, *moved)}))

    def _types(self) -> dict[str, dict[str, str]]:
        answer = self._api.get(f"/issue/createmeta/{self._key}/issuetypes", maxResults=200)
        found: dict[str, dict[str, str]] = {}
        for kind, level in _LEVELS.items():
            of_level = [t for t in answer["issueTypes"] if t.get("hierarchyLevel") == level]
            if not of_level:
                raise NotFound(f"Jira: {self._key} has no issue type for a {kind} (level {level})")
            chosen = next((t for t in of_level if t["name"] == kind), of_level[0])
            found[kind] = {"id": chosen["id"]}
        return found

    def _find(self, items: Iterable[Item]) -> dict[str, Issue]:
        ids = {labels(item)[1]: item.id for item in items}
        found: dict[str, Issue] = {}
        for answer in self._search():
            for name in set(answer["fields"]["labels"]) & set(ids):
                there = _read(answer)
                if ids[name] in found:
                    raise BadAnswer(
                        f"Jira: {found[ids[name]].key} and {there.key} both have the label {name}",
                        hint="delete one of them",
                    )
                found[ids[name]] = there
        return found

    def _search(self) -> Iterator[Mapping[str, Any]]:
        body: dict[str, Any] = {
            "jql": f'project = "{self._key}" AND labels = "{LABEL}" ORDER BY key',
            "fields": ["labels", "parent", "status"],
            "properties": [PROPERTY],
            "maxResults": 100,
        }
        while True:
            answer = self._api.send("POST", "/search/jql", body)
            yield from answer["issues"]
            if not answer.get("nextPageToken"):
                return
            body["nextPageToken"] = answer["nextPageToken"]

    def _create(
        self, items: Iterable[Item], types: Mapping[str, dict[str, str]], there: dict[str, Issue], log: Log
    ) -> list[str]:
        """Create issues, parents first, and add them to the existing ones; return the refused items with reasons."""
        for kind, issue_type in types.items():
            wave = [item for item in items if item.kind == kind]
            for start in range(0, len(wave), BULK):
                batch = wave[start : start + BULK]
                bodies = [issue(item, self._key, issue_type, _parent(item, there)) for item in batch]
                answer = self._api.send("POST", "/issue/bulk", {"issueUpdates": bodies})
                failed = {e["failedElementNumber"]: e["elementErrors"] for e in answer.get("errors", ())}
                made = [item for number, item in enumerate(batch) if number not in failed]
                for item, new in zip(made, answer["issues"], strict=True):
                    there[item.id] = Issue(new["key"], _parent(item, there), None, CATEGORY[State.TODO])
                    log.change("create", f"{new['key']} for {item.id}: {item.title}")
                if failed:
                    return [f"{batch[number].id}: {'; '.join(texts(error))}" for number, error in failed.items()]
        return []

    def _update(self, items: Iterable[Item], there: Mapping[str, Issue], log: Log) -> None:
        for item in items:
            issue_there, parent = there[item.id], _parent(item, there)
            body = content(item)
            if parent != issue_there.parent:
                body["fields"]["parent"] = {"key": parent}
            self._api.send("PUT", f"/issue/{issue_there.key}", body)
            log.change("update", f"{issue_there.key} for {item.id}: {item.title}")

    def _move(self, items: Iterable[Item], there: Mapping[str, Issue], log: Log) -> None:
        for item in items:
            key = there[item.id].key
            transitions = self._api.get(f"/issue/{key}/transitions")["transitions"]
            fits = [t for t in transitions if t["to"]["statusCategory"]["key"] == CATEGORY[item.state]]
            if not fits:
                raise NotFound(
                    f"Jira: {key} ({item.id}) cannot go to {item.state}", hint="its workflow has no such transition"
                )
            self._api.send("POST", f"/issue/{key}/transitions", {"transition": {"id": fits[0]["id"]}})
            log.change("move", f"{key} for {item.id} to {item.state}")

    def _wait_until_found(self, created: set[str], items: Iterable[Item], log: Log) -> None:
        """Wait until Jira's search, which lags, shows the created issues: the next run would create them twice."""
        for _ in range(_SEARCHES):
            if not created or created <= set(self._find(items)):
                return
            self._api.sleep(_SEARCH_INTERVAL)
        log.note("the search does not show all new issues yet: wait some minutes before the next run")


def _read(answer: Mapping[str, Any]) -> Issue:
    fields = answer["fields"]
    published = answer.get("properties", {}).get(PROPERTY, {})
    parent = fields.get("parent")
    return Issue(
        answer["key"],
        parent["key"] if parent else None,
        published.get("digest"),
        fields["status"]["statusCategory"]["key"],
    )


def _parent(item: Item, there: Mapping[str, Issue]) -> str | None:
    above = there.get(item.parent or "")
    return above.key if above else None


def _current(item: Item, there: Mapping[str, Issue]) -> bool:
    found = there[item.id]
    digest = content(item)["properties"][0]["value"]["digest"]
    return found.digest == digest and found.parent == _parent(item, there)


def _state(issue: Issue | None) -> State:
    """Return an issue's state; a new one is to do."""
    return next((state for state, name in CATEGORY.items() if issue and issue.category == name), State.TODO)
