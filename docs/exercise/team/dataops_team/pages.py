"""The pages for Confluence: which Markdown files of the repository, and their hierarchy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataops_team.storage import storage, title_of

PROJECT = "docs/exercise/team/project.md"
# The child pages of a page; a pattern stands for each file that it matches.
TREE = {
    PROJECT: (
        "docs/exercise/team/press-release.md",
        "docs/exercise/team/faq.md",
        "docs/exercise/scenario.md",
        "docs/exercise/qa.md",
        "docs/exercise/team/mail/*.md",
        "docs/architecture.md",
        "docs/model.md",
        "docs/decisions/README.md",
        "docs/alerts.md",
        "docs/exercise/team/epic.md",
        "docs/exercise/team/stories.md",
        "docs/exercise/team/tasks.md",
        "docs/exercise/team/sprints.md",
        "docs/exercise/team/definitions.md",
        "docs/exercise/team/status/README.md",
        "docs/exercise/team/publishing.md",
    ),
    "docs/decisions/README.md": ("docs/decisions/[0-9]*.md",),
    "docs/alerts.md": ("dashboards/runbooks/*.md",),
    "docs/exercise/team/status/README.md": ("docs/exercise/team/status/[0-9]*.md",),
}
_NAME = "DataOps TUI"
_FOOTER = re.compile(r"\(content <code>([0-9a-f]{16})</code>\)")


@dataclass(frozen=True, slots=True)
class Page:
    """A page for Confluence.

    Attributes:
        source: Path of its Markdown in the repository.
        parent: The source of its parent page.
        body: Storage format; its last line has the source, and a digest of the rest.
    """

    source: str
    title: str
    parent: str | None
    body: str


def read_pages(root: Path) -> list[Page]:
    """Read all pages, each after its parent; raises BadPage."""
    sources = dict(_sources(root))
    texts = {source: (root / source).read_text(encoding="utf-8") for source in sources}
    titles = {source: _full_title(title_of(text, source)) for source, text in texts.items()}
    return [
        Page(source, titles[source], parent, _signed(storage(texts[source], source, titles), source))
        for source, parent in sources.items()
    ]


def digest_in(body: str) -> str | None:
    """Return the digest in a page's body, `None` if the page was not published from here."""
    found = _FOOTER.findall(body)
    return found[-1] if found else None


def _sources(root: Path) -> Iterator[tuple[str, str | None]]:
    yield PROJECT, None
    for parent, patterns in TREE.items():
        for pattern in patterns:
            for path in sorted(root.glob(pattern)):
                yield path.relative_to(root).as_posix(), parent


def _full_title(title: str) -> str:
    return title if _NAME in title else f"{_NAME}: {title}"


def _signed(body: str, source: str) -> str:
    digest = hashlib.sha256(body.encode()).hexdigest()[:16]
    return (
        f"{body}<p><em>Generated from <code>{source}</code> (content <code>{digest}</code>). "
        "Edit it there: the next change of that file overwrites edits of this page.</em></p>\n"
    )
