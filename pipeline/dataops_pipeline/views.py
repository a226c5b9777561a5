"""The quality officer's SQL: the files of `pipeline/dataops_pipeline/sql`, and the views in `gold` that they become.

A file whose first line says `saved query` stays a file: its text has to be changed before it is asked, as a view's
cannot be. Trino checks a view when it is created, so one that reads tables that are not there yet has to wait.
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
    """A file of SQL.

    Attributes:
        name: Of the file and of the view.
        text: As it stands in the file.
    """

    name: str
    text: str

    @property
    def is_view(self) -> bool:
        """Whether it can be a view."""
        return not self.text.startswith("-- saved query")

    @property
    def title(self) -> str:
        """The question that it answers: the first sentence that ends in a question mark."""
        lines = [line.removeprefix("--").strip() for line in self.text.splitlines() if line.startswith("--")]
        return " ".join(lines if self.is_view else lines[1:]).split("?")[0] + "?"

    @property
    def comment(self) -> str:
        """What is noted at the view: the question, and by which text it was made."""
        return f"{self.title} [{hashlib.sha256(self.text.encode()).hexdigest()[:12]}]"

    @property
    def create(self) -> str:
        """The statement that makes or replaces the view."""
        comment = self.comment.replace("'", "''")
        return f"CREATE OR REPLACE VIEW {SCHEMA}.{self.name} COMMENT '{comment}' AS\n{self.text}"


@dataclass(frozen=True)
class Created:
    """What became of the views, each by its name.

    Attributes:
        made: Made or replaced.
        unchanged: There already, from the same text.
        waiting: Those that read tables that are not there yet, with what Trino says.
    """

    made: tuple[str, ...]
    unchanged: tuple[str, ...]
    waiting: dict[str, str]


def queries(folder: Path = FOLDER) -> Iterator[Query]:
    """Yield the files of the folder, by name."""
    for path in sorted(folder.glob("*.sql")):
        yield Query(path.stem, path.read_text(encoding="utf-8"))


def create_all(execute: Execute, folder: Path = FOLDER) -> Created:
    """Make the views that are missing or were made from another text.

    Raises:
        StatementFailed: One of them is wrong.
        JobError: Trino does not answer, or there are no files.
    """
    found = list(queries(folder))
    if not found:
        raise JobError(f"no SQL in {folder}: creating views needs a clone of the project")
    execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    catalog, schema = SCHEMA.split(".")
    known: dict[str, str] = dict(
        execute(
            "SELECT table_name, comment FROM system.metadata.table_comments"
            f" WHERE catalog_name = '{catalog}' AND schema_name = '{schema}'"
        )
    )
    made, unchanged, waiting = [], [], {}
    for query in found:
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
            made.append(query.name)
    return Created(tuple(made), tuple(unchanged), waiting)
