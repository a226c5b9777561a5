"""Kafka Connect's REST API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

from dataops_core.bounded import Malformed
from dataops_core.config import without_user_info
from dataops_core.errors import BadAnswer, NotFound
from dataops_core.systems.connect.requests import Change, connector_path
from dataops_core.systems.connect.responses import (
    Config,
    Connector,
    read_config,
    read_connector,
    read_connectors,
    read_source_time,
    read_topics,
    read_version,
)
from dataops_core.systems.connect.settings import ConnectSettings
from dataops_core.transport.fields import Fields
from dataops_core.transport.http import get_json, parse_json, send_command

T = TypeVar("T")


class ConnectClient:
    """A Connect cluster; safe to share between threads. Each method raises ClientError.

    It never requests `expand=info` or `/connectors/NAME/tasks`, because they show credentials.

    Args:
        name: The component's name.
        settings: Address and credentials.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, name: str, settings: ConnectSettings, timeout: float = 8.0) -> None:
        self.name = name
        self.target = without_user_info(settings.url.rstrip("/"))
        self._where = f"{name} {self.target}"
        self._settings = settings
        self._timeout = timeout

    def version(self) -> str:
        """Return the version of the worker."""
        return self._read("/", read_version)

    def connectors(self) -> tuple[Connector, ...]:
        """Return all connectors with their tasks, sorted by name."""
        return self._read("/connectors?expand=status", read_connectors)

    def connector(self, name: str) -> Connector:
        """Return a connector with its tasks; raise NotFound if there is none of this name."""
        try:
            return self._read(f"{connector_path(name)}/status", lambda answer: read_connector(Fields(answer)))
        except NotFound as error:
            raise NotFound(f"{self._where}: there is no connector {name}, or it has no status yet") from error

    def topics(self, name: str) -> tuple[str, ...]:
        """Return the topics that a connector has read or written since it was created or reset."""
        return self._read(f"{connector_path(name)}/topics", partial(read_topics, name=name))

    def config(self, name: str) -> Config:
        """Return the checked keys of a connector's configuration."""
        return self._read(f"{connector_path(name)}/config", read_config)

    def source_time(self, name: str) -> datetime | None:
        """Return the source time that a source connector has read up to, or `None` if its offsets hold no time.

        Kafka Connect before 3.6 raises NotFound.
        """
        return self._read(f"{connector_path(name)}/offsets", read_source_time)

    def change(self, name: str, change: Change) -> None:
        """Request a change, which Connect applies later; raise NotFound if there is no connector of this name."""
        try:
            body = send_command(change.method, self._where, self._settings, change.path(name), self._timeout)
        except NotFound as error:
            raise NotFound(f"{self._where}: there is no connector {name}") from error
        if body.strip():  # a restart returns the connector's state; anything else is not from Connect
            self._parse(parse_json(self._where, body), lambda answer: Fields(answer).require_text("name"))

    def _read(self, path: str, read: Callable[[object], T]) -> T:
        return self._parse(get_json(self._where, self._settings, path, self._timeout), read)

    def _parse(self, answer: object, read: Callable[[object], T]) -> T:
        try:
            return read(answer)
        except Malformed as error:
            raise BadAnswer(f"{self._where}: the response is not from Kafka Connect: it {error}") from error
