"""Client of a service that reports its progress as JSON documents."""

from __future__ import annotations

from typing import Any

from dataops_core.config import without_user_info
from dataops_core.errors import BadAnswer, NotFound
from dataops_core.systems.http.settings import HttpSettings
from dataops_core.transport.http import get_bytes, get_json


class HttpClient:
    """A service; safe to share between threads. Each method raises ClientError.

    Args:
        name: The component's name.
        settings: Address and credentials.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, name: str, settings: HttpSettings, timeout: float = 8.0) -> None:
        self.target = without_user_info(settings.url.rstrip("/"))
        self.where = f"{name} {self.target}"
        self._settings = settings
        self._timeout = timeout

    def ping(self) -> str:
        """Return one line about the service; 404 counts as up."""
        path = self._settings.health_path
        try:
            size = len(get_bytes(self.where, self._settings, path, self._timeout, headers=self._settings.headers))
        except NotFound:
            return f"up; nothing at {path}"
        return f"up; {size} bytes at {path}"

    def document(self, path: str, most_bytes: int) -> Any:  # noqa: ANN401 - any JSON value
        """Return the document at a path; raise NotFound if there is none."""
        result = get_json(
            self.where, self._settings, path, self._timeout, headers=self._settings.headers, most_bytes=most_bytes
        )
        if not isinstance(result, dict | list):
            raise BadAnswer(f"{self.where}: the document at {path.partition('?')[0]} is not an object or a list")
        return result
