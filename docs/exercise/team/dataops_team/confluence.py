"""Publish the pages to a Confluence space: create what is not there, update what has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dataops_core.errors import BadAnswer, NotFound
from dataops_team.api import Api
from dataops_team.log import Log
from dataops_team.pages import Page, digest_in


class ConfluenceSpace:
    """A space of Confluence.

    Args:
        api: Confluence's REST API, version 2.
        key: The space's key.
    """

    def __init__(self, api: Api, key: str) -> None:
        self._api = api
        self._key = key

    def publish(self, pages: Sequence[Page], *, apply: bool) -> None:
        """Make the space say what the pages say, or without `apply` tell what that would take.

        Pages come after the ones above them. They are found again by their titles, which are unique in a space, and
        nothing is ever deleted.

        Raises:
            ClientError: Confluence refuses, or does not answer, or has a page of the same title that is not ours. What
                was done until then stays, and is not done again.
        """
        log = Log(f"Confluence {self._key}", apply=apply)
        space = self._space()
        there = {page.source: self._find(space, page) for page in pages}
        ids: dict[str, str] = {}
        unchanged = 0
        for page in pages:
            found, parent = there[page.source], ids.get(page.parent or "")
            body: dict[str, Any] = {
                "spaceId": space,
                "status": "current",
                "title": page.title,
                "body": {"representation": "storage", "value": page.body},
                **({"parentId": parent} if parent else {}),
            }
            if found is None:
                if apply:
                    ids[page.source] = self._api.send("POST", "/pages", body)["id"]
                log.change("create", f"{page.title} ({page.source})")
                continue
            ids[page.source] = found["id"]
            if digest_in(_body(found)) == digest_in(page.body) and parent in (None, found["parentId"]):
                unchanged += 1
                continue
            if apply:
                version = {"number": found["version"]["number"] + 1, "message": f"from {page.source}"}
                self._api.send("PUT", f"/pages/{found['id']}", {**body, "id": found["id"], "version": version})
            log.change("update", f"{page.title} ({page.source})")
        log.end(unchanged)

    def _space(self) -> str:
        for space in self._api.get("/spaces", keys=self._key)["results"]:
            return str(space["id"])
        raise NotFound(f"Confluence: there is no space {self._key}, or it is hidden from us")

    def _find(self, space: str, page: Page) -> Mapping[str, Any] | None:
        query = {"space-id": space, "title": page.title, "status": "current", "body-format": "storage"}
        found: list[Mapping[str, Any]] = self._api.get("/pages", **query)["results"]
        if not found:
            return None
        if digest_in(_body(found[0])) is None:
            raise BadAnswer(
                f"Confluence: {self._key} has a page “{page.title}” that was not published from here",
                hint="rename that one",
            )
        return found[0]


def _body(page: Mapping[str, Any]) -> str:
    return str(page["body"]["storage"]["value"])
