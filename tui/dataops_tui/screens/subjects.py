"""The screen of the schema registry's subjects, with the newest schema of one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.text import Text
from textual import on

from dataops_core.errors import ClientError
from dataops_core.plain import lines_of
from dataops_tui import styled
from dataops_tui.background import in_background
from dataops_tui.dialogs.text import TextDialog
from dataops_tui.messages import SchemaLoaded
from dataops_tui.resource import ResourceScreen, Row

if TYPE_CHECKING:
    from dataops_core.systems.kafka.subjects import Subject, SubjectSchema

Subjects = tuple["Subject", ...]
HEADINGS = ("SUBJECT", "VERSION", "TYPE", "SCHEMA ID", "COMPATIBILITY", "INHERITED")
INHERITED = {True: "yes", False: "no", None: styled.UNKNOWN}
ONE_REGISTRY = re.compile(r"^schema registry \S+: ")
"""Beginning of a reason, which is the same in each row."""
MOST_LINES = 2_000
"""Maximum lines of a schema that are shown; more would delay the keys."""


class SubjectsScreen(ResourceScreen["Subjects"]):
    """All subjects of the registry."""

    COMPONENT = "schema_registry"
    CRUMB = "subjects"
    EMPTY = "no subjects"
    EVERY = 60.0

    def fetch(self) -> Subjects:
        """Fetch the subjects from the registry."""
        from dataops_core.systems.kafka.subjects import subjects  # noqa: PLC0415 - a slow import, after the first frame

        return tuple(subjects(self.console.clients.require_schema_registry()))

    def headings(self) -> tuple[str, ...]:
        """Return the headings; if a subject cannot be read, with that of the reasons."""
        return self._headings(self.result or ())

    def _headings(self, results: Subjects) -> tuple[str, ...]:
        if all(each.unreadable is None for each in results):
            return HEADINGS
        return (*(HEADINGS if self.wide else HEADINGS[:-1]), "ERROR")

    def rows(self, results: Subjects, now: datetime) -> Mapping[str, Row]:
        """Return the subjects."""
        headings = self._headings(results)
        return {each.name: _row(each, headings) for each in results}

    def open(self, key: str) -> None:
        """Show the newest schema of the subject."""
        clients = self.console.clients

        def work() -> None:
            from dataops_core.systems.kafka.subjects import subject_schema  # noqa: PLC0415 - as above

            self.post_message(SchemaLoaded(subject_schema(clients.require_schema_registry(), key)))

        in_background(self, f"loading {key}", work)

    @on(SchemaLoaded)
    def _show_schema(self, message: SchemaLoaded) -> None:
        schema = message.schema
        if self.app.screen is self:  # pressing Enter twice opens one dialog
            self.app.push_screen(TextDialog(schema.subject.name, schema.text, _shown(schema)))

    def url(self, key: str | None) -> str | None:
        """Return the address of the subject's newest version."""
        try:
            registry = self.console.clients.require_schema_registry()
        except ClientError:
            return None
        return f"{registry.target}/subjects/{quote(key, safe='')}/versions/latest" if key else None


def _row(subject: Subject, headings: Sequence[str]) -> Row:
    reason = subject.unreadable
    cells = {
        "SUBJECT": styled.plain(subject.name),
        "VERSION": _number(subject.version),
        "TYPE": styled.plain(subject.kind or styled.UNKNOWN),
        "SCHEMA ID": _number(subject.schema_id),
        "COMPATIBILITY": styled.plain(subject.compatibility or styled.UNKNOWN),
        "INHERITED": styled.plain(INHERITED[subject.inherited], "dim"),
        "ERROR": Text() if reason is None else styled.unreadable(ONE_REGISTRY.sub("", reason)),
    }
    return Row([cells[name] for name in headings], subject, reason is not None, unreadable=reason is not None)


def _number(value: int | None) -> Text:
    """Return a number without a separator of thousands, because it is a name."""
    return styled.SortableText(styled.UNKNOWN if value is None else str(value), value)


def _shown(schema: SubjectSchema) -> Text:
    from dataops_core.systems.kafka.subjects import summary  # noqa: PLC0415 - as above

    lines = [styled.plain(summary(schema), "dim")]
    if schema.subject.unreadable is not None:
        lines.append(styled.plain(schema.subject.unreadable, "red"))
    text = [line.expandtabs() for line in lines_of(schema.text)]
    lines += [Text(), *(styled.plain(line) for line in text[:MOST_LINES])]
    if len(text) > MOST_LINES:
        lines.append(Text(f"{len(text) - MOST_LINES:,} more lines; c copies all", "yellow"))
    return Text("\n").join(lines)
