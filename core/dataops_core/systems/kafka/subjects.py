"""The subjects of a Confluent Schema Registry: their newest versions, compatibility levels and schemas."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from dataops_core.bounded import LINE, Malformed, loads
from dataops_core.errors import AuthenticationFailed, BadAnswer, ClientError, NotFound, TimedOut, Unreachable
from dataops_core.json_text import indented
from dataops_core.reasons import line
from dataops_core.systems.kafka.schema_registry import Reference, Schema, SchemaRegistry, read_schema
from dataops_core.transport.fields import Fields

T = TypeVar("T")
AT_ONCE = 8
"""Maximum number of concurrent requests."""
APICURIO = "/apis/ccompat/"
"""Path of Apicurio Registry 2, which returns NONE for a subject without a level (its issue 5337), and keeps no NONE."""
FOR_ALL = (AuthenticationFailed, TimedOut, Unreachable)
"""Errors after which no further subject is requested."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject; a value is `None` if it is unknown.

    Attributes:
        version: Its newest version.
        kind: `AVRO`, `JSON` or `PROTOBUF`.
        schema_id: Id of that version's schema.
        compatibility: Level that a new version must have, such as `BACKWARD`.
        inherited: Whether that is the registry's level, because the subject does not have its own.
        unreadable: Why a value is unknown; `None` if all are known.
    """

    name: str
    version: int | None = None
    kind: str | None = None
    schema_id: int | None = None
    compatibility: str | None = None
    inherited: bool | None = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class SubjectSchema:
    """One version of a subject with its schema.

    Attributes:
        text: The schema: indented JSON for Avro and JSON Schema, otherwise as the registry returns it.
    """

    subject: Subject
    text: str
    references: tuple[Reference, ...] = ()


def subjects(registry: SchemaRegistry, want: Callable[[list[str]], list[str]] = lambda names: names) -> list[Subject]:
    """Return the subjects by name; an unreadable one does not affect the others.

    Args:
        registry: The registry.
        want: Returns which of the names to read.

    Raises:
        ClientError: The registry does not return its subjects.
    """
    names = registry.get("/subjects")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadAnswer(f"schema registry {registry.target}: the list of subjects is not a list of names")
    reading = _Reading(registry)
    with ThreadPoolExecutor(AT_ONCE) as beside:
        return list(beside.map(reading.subject, sorted(want(list(dict.fromkeys(names))))))


def subject_schema(registry: SchemaRegistry, name: str, version: int | None = None) -> SubjectSchema:
    """Return a version of a subject, by default the newest one; an unreadable level does not hide the schema.

    Raises:
        NotFound: There is no such subject or version.
        ClientError: The registry does not return it.
    """
    return _Reading(registry).schema(name, version)


def as_dict(schema: SubjectSchema) -> dict[str, object]:
    """Return the values of a version by the names that the JSON output of `dataops kafka schema` has."""
    of = schema.subject
    return {
        "subject": of.name,
        "version": of.version,
        "type": of.kind,
        "schema_id": of.schema_id,
        "compatibility": of.compatibility,
        "inherited": of.inherited,
        "references": [{"name": r.name, "subject": r.subject, "version": r.version} for r in schema.references],
        "error": of.unreadable,
        "schema": schema.text,
    }


def summary(schema: SubjectSchema) -> str:
    """Return a version in one line, without its schema."""
    of = schema.subject
    level = "compatibility unknown"
    if of.compatibility is not None:
        level = f"compatibility {of.compatibility}{' (inherited)' if of.inherited else ''}"
    parts = [f"version {of.version}", f"schema id {of.schema_id}", str(of.kind), level]
    if schema.references:
        parts.append("refers to " + ", ".join(f"{r.subject} version {r.version}" for r in schema.references))
    return ", ".join(parts)


class _Reading:
    """Reads subjects of one list; after an error of the whole registry it requests nothing more."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._failed: ClientError | None = None
        self._general, self._general_error = self._tried(lambda: self._level("/config"))

    def subject(self, name: str) -> Subject:
        path = f"/subjects/{quote(name, safe='')}/versions/latest"
        newest, error = self._tried(lambda: self._read(path, _newest))
        return self._with_level(name, newest, error)

    def _with_level(self, name: str, newest: tuple[int, int, str] | None, error: str | None) -> Subject:
        level, level_error = self._tried(lambda: self._own_level(f"/config/{quote(name, safe='')}"))
        version, schema_id, kind = newest or (None, None, None)
        inherited = level_error is None and level is None
        return Subject(
            name=name,
            version=version,
            kind=kind,
            schema_id=schema_id,
            compatibility=self._general if inherited else level,
            inherited=inherited if level_error is None else None,
            unreadable=error or level_error or (self._general_error if inherited else None),
        )

    def schema(self, name: str, version: int | None) -> SubjectSchema:
        path = f"/subjects/{quote(name, safe='')}/versions/{'latest' if version is None else version}"
        if self._failed is not None:
            raise self._failed
        try:
            result = self._read(path, lambda answer: (_newest(answer), read_schema(answer)))
        except NotFound as error:
            which = "" if version is None else f" with version {version}"
            raise NotFound(
                f'schema registry {self._registry.target}: there is no subject "{line(name)}"{which}'
            ) from error
        return SubjectSchema(self._with_level(name, result[0], None), _readable(result[1]), result[1].references)

    def _tried(self, read: Callable[[], T]) -> tuple[T | None, str | None]:
        """Return the result and no reason, or no result and the reason."""
        try:
            if self._failed is not None:
                raise self._failed
            return read(), None
        except ClientError as error:
            if isinstance(error, FOR_ALL):
                self._failed = error
            return None, str(error)

    def _level(self, path: str) -> str:
        return self._read(path, lambda answer: Fields(answer).require_text("compatibilityLevel"))

    def _own_level(self, path: str) -> str | None:
        """Return the level of a subject, or `None` if the registry's level applies."""
        try:
            level = self._level(path)
        except NotFound:
            return None
        return None if level == "NONE" and APICURIO in self._registry.target else level

    def _read(self, path: str, read: Callable[[object], T]) -> T:
        result = self._registry.get(path)
        try:
            return read(result)
        except Malformed as error:
            raise BadAnswer(f"schema registry {self._registry.target}: the response to {path} {error}") from error


def _newest(answer: object) -> tuple[int, int, str]:
    """Return version, id and kind of a response."""
    about = Fields(answer)
    kind = "AVRO" if about.raw("schemaType") is None else about.require_text("schemaType")
    return about.require_count("version"), about.require_count("id"), kind


def _readable(schema: Schema) -> str:
    if schema.kind not in ("AVRO", "JSON"):
        return schema.text
    try:
        loads(schema.text, size=LINE)
    except Malformed:
        return schema.text
    return indented(schema.text)
