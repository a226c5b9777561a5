"""Publish the pages to a Confluence space: create missing pages, update changed ones."""

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
        """Update the space from the pages, or list the changes without `apply`.

        Pages come after their parents. Their titles, which are unique in a space, identify them. Nothing is deleted.

        Raises:
            ClientError: A request failed, or the space has a page of the same title that was not published from here.
                The changes made until then stay, and the next run skips them.
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
        raise NotFound(f"Confluence: there is no space {self._key}, or it is not visible to this account")

    def _find(self, space: str, page: Page) -> Mapping[str, Any] | None:
        query = {"space-id": space, "title": page.title, "status": "current", "body-format": "storage"}
        found: list[Mapping[str, Any]] = self._api.get("/pages", **query)["results"]
        if not found:
            return None
        if digest_in(_body(found[0])) is None:
            raise BadAnswer(
                f"Confluence: {self._key} has a page “{page.title}” that was not published from here",
                hint="rename that page",
            )
        return found[0]


def _body(page: Mapping[str, Any]) -> str:
    return str(page["body"]["storage"]["value"])
