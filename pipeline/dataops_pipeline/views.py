"""The quality officer's SQL: the files of `pipeline/dataops_pipeline/sql`, and their views in `gold`.

A file whose first line contains `saved query` does not become a view, because its user edits the text before running
it. Trino validates a view at its creation, so a view waits until the tables that it reads exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataops_pipeline.settings import CATALOG, JobError
from dataops_pipeline.trino_sql import Execute, StatementFailed

SCHEMA = f"{CATALOG}.gold"
FOLDER = Path(__file__).parent / "sql"
NOT_THERE = ("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND")


@dataclass(frozen=True)
class Query:
    """A SQL file.

    Attributes:
        name: Name of the file and of the view.
        text: Contents of the file.
    """

    name: str
    text: str

    @property
    def is_view(self) -> bool:
        """Whether the file becomes a view."""
        return not self.text.startswith("-- saved query")

    @property
    def title(self) -> str:
        """The question that the query answers: the first sentence that ends in a question mark."""
        lines = [line.removeprefix("--").strip() for line in self.text.splitlines() if line.startswith("--")]
        return " ".join(lines if self.is_view else lines[1:]).split("?")[0] + "?"

    @property
    def comment(self) -> str:
        """The comment of the view: its question, and a hash of its text."""
        return f"{self.title} [{hashlib.sha256(self.text.encode()).hexdigest()[:12]}]"

    @property
    def create(self) -> str:
        """The statement that creates or replaces the view."""
        comment = self.comment.replace("'", "''")
        return f"CREATE OR REPLACE VIEW {SCHEMA}.{self.name} COMMENT '{comment}' AS\n{self.text}"


@dataclass(frozen=True)
class Created:
    """The result of creating the views, by name.

    Attributes:
        created: Created or replaced.
        unchanged: Existing already with the same text.
        waiting: Error of each view whose tables do not exist yet.
    """

    created: tuple[str, ...]
    unchanged: tuple[str, ...]
    waiting: dict[str, str]


def queries(folder: Path = FOLDER) -> Iterator[Query]:
    """Yield the files of the folder, by name."""
    for path in sorted(folder.glob("*.sql")):
        yield Query(path.stem, path.read_text(encoding="utf-8"))


def create_all(execute: Execute, folder: Path = FOLDER) -> Created:
    """Create the views that are missing or have another text.

    Raises:
        StatementFailed: A view is invalid.
        JobError: Trino is unavailable, or there are no files.
    """
    results = list(queries(folder))
    if not results:
        raise JobError(f"no SQL in {folder}: creating views needs a clone of the project")
    execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    catalog, schema = SCHEMA.split(".")
    known: dict[str, str] = dict(
        execute(
            "SELECT table_name, comment FROM system.metadata.table_comments"
            f" WHERE catalog_name = '{catalog}' AND schema_name = '{schema}'"
        )
    )
    created, unchanged, waiting = [], [], {}
    for query in results:
        if not query.is_view:
            continue
        if known.get(query.name) == query.comment:
            unchanged.append(query.name)
            continue
        try:
            execute(query.create)
        except StatementFailed as error:
            if not str(error).startswith(NOT_THERE):
                raise
            waiting[query.name] = str(error)
        else:
            created.append(query.name)
    return Created(tuple(created), tuple(unchanged), waiting)
