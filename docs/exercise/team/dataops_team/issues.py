"""An item of the backlog as an issue of Jira."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from dataops_team.backlog import Item, State
from dataops_team.markup import adf, plain

LABEL = "dataops-tui"
PROPERTY = "dataops-tui"
"""The issue property with the digest of the published content."""
BULK = 50
"""Maximum number of issues in one bulk request."""
STATUS = {State.TODO: "To Do", State.DOING: "In Progress", State.DONE: "Done"}
CATEGORY = {State.TODO: "new", State.DOING: "indeterminate", State.DONE: "done"}
"""Jira's categories of statuses, which do not depend on the names in a workflow."""


def summary(item: Item) -> str:
    """Return the summary of an item's issue; it begins with the item's id."""
    return f"{item.id}: {plain(item.title)}"


def labels(item: Item) -> tuple[str, str]:
    """Return the labels of an item's issue: the project's, and the one that identifies the item."""
    return LABEL, f"{LABEL}-{item.id}"


def content(item: Item) -> dict[str, Any]:
    """Return the body of an update: the fields of an item, and the property with their digest."""
    fields = {"summary": summary(item), "description": adf(item.description), "labels": list(labels(item))}
    return {"fields": fields, "properties": [{"key": PROPERTY, "value": {"digest": digest(fields)}}]}


def issue(item: Item, project: str, issue_type: dict[str, str], parent: str | None) -> dict[str, Any]:
    """Return the body that creates an item's issue.

    Args:
        item: The item.
        project: The key of the project.
        issue_type: The type, as `{"name": …}` or `{"id": …}`.
        parent: The key of the parent issue.
    """
    place = {"project": {"key": project}, "issuetype": issue_type, **({"parent": {"key": parent}} if parent else {})}
    body = content(item)
    return {**body, "fields": {**place, **body["fields"]}}


def digest(content: object) -> str:
    """Return a short digest of a value that JSON can represent."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
