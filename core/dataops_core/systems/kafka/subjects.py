"""List the subjects of a Confluent Schema Registry with their newest version and compatibility level."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from dataops_core.bounded import Malformed
from dataops_core.errors import AuthenticationFailed, BadAnswer, ClientError, NotFound, TimedOut, Unreachable
from dataops_core.systems.kafka.schema_registry import SchemaRegistry
from dataops_core.transport.fields import Fields

T = TypeVar("T")
AT_ONCE = 8
"""Maximum number of concurrent requests."""
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


class _Reading:
    """Reads subjects of one list; after an error of the whole registry it requests nothing more."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._failed: ClientError | None = None
        self._general, self._general_error = self._tried(lambda: self._level("/config"))

    def subject(self, name: str) -> Subject:
        path = quote(name, safe="")
        newest, error = self._tried(lambda: self._newest(f"/subjects/{path}/versions/latest"))
        level, level_error = self._tried(lambda: self._own_level(f"/config/{path}"))
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

    def _newest(self, path: str) -> tuple[int, int, str]:
        def read(about: Fields) -> tuple[int, int, str]:
            kind = "AVRO" if about.raw("schemaType") is None else about.require_text("schemaType")
            return about.require_count("version"), about.require_count("id"), kind

        return self._read(path, read)

    def _level(self, path: str) -> str:
        return self._read(path, lambda about: about.require_text("compatibilityLevel"))

    def _own_level(self, path: str) -> str | None:
        try:
            return self._level(path)
        except NotFound:
            return None

    def _read(self, path: str, read: Callable[[Fields], T]) -> T:
        result = self._registry.get(path)
        try:
            return read(Fields(result))
        except Malformed as error:
            raise BadAnswer(f"schema registry {self._registry.target}: the response to {path} {error}") from error
