"""Our HTTP session in the form in which Airflow's SDK sends: as a pool of urllib3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from dataops_core.bounded import loads


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with the attributes of urllib3's that the SDK reads.

    Attributes:
        read: Returns what the data of a good answer is; raises Malformed.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    data: bytes
    read: Callable[[bytes], Any] = loads


class SessionPool:
    """Sends the SDK's requests.

    Args:
        session: The session, which knows the configured origin.
        timeout: Seconds of a request that names no timeout itself.
    """

    def __init__(self, session: requests.Session, timeout: float) -> None:
        self._session = session
        self._timeout = timeout

    def request(
        self,
        method: str,
        url: str,
        *,
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: urllib3.Timeout | None = None,
        **_: Any,  # noqa: ANN401 - what else urllib3 takes
    ) -> Response:
        """Send a request as `urllib3.PoolManager.request` does; raises BadAnswer, or an error of requests."""
        total = timeout.total if timeout is not None else None
        seconds = float(total) if isinstance(total, int | float) else self._timeout
        response = self._session.request(method, url, data=body, headers=dict(headers or {}), timeout=seconds)
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        # The SDK would decode by whatever charset is named, and JSON has one only.
        answered = {**response.headers, "Content-Type": kind}
        return Response(response.status_code, response.reason or "", CaseInsensitiveDict(answered), response.content)
