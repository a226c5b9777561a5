"""The connection to an Airflow: its credentials, and the version of its REST API (v2 of Airflow 3, v1 of Airflow 2)."""

from __future__ import annotations

from threading import Lock
from typing import Literal

import requests
from requests.auth import HTTPBasicAuth

from dataops_core.bounded import Malformed
from dataops_core.config import resolve_secret
from dataops_core.errors import AuthenticationFailed, ClientError, NotFound
from dataops_core.systems.airflow import sdk
from dataops_core.systems.airflow.pool import SessionPool
from dataops_core.systems.airflow.responses import read_token
from dataops_core.systems.airflow.rest_v1 import V1Pool
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.transport.fields import Fields
from dataops_core.transport.http import refusal
from dataops_core.transport.problem import has_field
from dataops_core.transport.session import WebSession

Version = Literal["v1", "v2"]


class Connection:
    """Opens the API when it is needed, and again after a rejected token or an upgrade; safe to share between threads.

    Args:
        settings: Where it is and who we are.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, settings: AirflowSettings, timeout: float) -> None:
        self.target = settings.url.rstrip("/")
        self.version: Version = "v2"
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._api: sdk.ApiClient | None = None
        self._session: requests.Session | None = None

    def open(self) -> sdk.ApiClient:
        """Return the API, with our credentials; raises ClientError."""
        with self._lock:
            if self._api is None:
                self._session = session = self._log_in()
                api = sdk.ApiClient(sdk.Configuration(host=self.target))
                pool = (
                    SessionPool(session, self._timeout)
                    if self.version == "v2"
                    else V1Pool(session, self._timeout, self.target)
                )
                api.rest_client.pool_manager = pool  # type: ignore[assignment]
                self._api = api
            return self._api

    def close(self) -> None:
        """Log in again at the next request, with the credentials as they are then."""
        with self._lock:
            self._api = None

    def recovers(self, api: sdk.ApiClient, error: sdk.ApiException) -> bool:
        """Return whether a request that failed may go well now: after another login, or in the other version."""
        with self._lock:
            if self._api is not api:  # another thread was here first
                return True
            if error.status == 401:  # the token has expired, or Airflow was started again
                self._api = None
                return True
            # An error in the form of the API is about what was asked for, any other one about the path.
            wrong_path = error.status == 405 or (error.status in (403, 404) and not has_field(error.body, "detail"))
            other: Version = "v1" if self.version == "v2" else "v2"
            if not wrong_path or self._session is None or not self._serves(self._session, other):
                return False
            self.version, self._api = other, None
            return True

    def _log_in(self) -> requests.Session:
        """Return a session that has the credentials; raises ClientError."""
        settings, where = self._settings, f"airflow {self.target}"
        session = WebSession(where, self.target, settings.tls, system_trust=True)
        for name, value in settings.headers.items():
            session.headers[name] = resolve_secret(value, f"headers.{name}")
        if settings.token is not None:
            session.headers["Authorization"] = f"Bearer {resolve_secret(settings.token)}"
        elif settings.username is not None and settings.password is not None:
            user, password = settings.username, resolve_secret(settings.password)
            token = self._token(session, user, password) if self.version == "v2" else None
            if token is not None:
                session.headers["Authorization"] = f"Bearer {token}"
            else:
                session.auth = HTTPBasicAuth(user.encode(), password.encode())
        return session

    def _token(self, session: requests.Session, user: str, password: str) -> str | None:
        """Return the token that Airflow 3 issues; `None` where it is Airflow 2, which issues none."""
        where = f"airflow {self.target}"
        answer = session.post(
            f"{self.target}/auth/token", json={"username": user, "password": password}, timeout=self._timeout
        )
        if answer.status_code in (403, 404, 405) and self._serves(session, "v1"):
            self.version = "v1"
            return None
        if answer.status_code in (401, 403):
            raise AuthenticationFailed(f"{where}: rejected the user {user}")
        error = refusal(where, answer.status_code, answer.content)
        if isinstance(error, NotFound):
            raise NotFound(
                f"{where}: no token: HTTP 404 at /auth/token",
                hint="Set Airflow's address without /api/v1 or /api/v2, or a token instead of user and password.",
            )
        if error is not None:
            raise error
        return read_token(answer.json())

    def _serves(self, session: requests.Session, version: Version) -> bool:
        """Return whether Airflow has a version of the API; both report Airflow's version to everybody."""
        try:
            answer = session.get(f"{self.target}/api/{version}/version", timeout=self._timeout)
            return answer.status_code == 200 and Fields(answer.json()).text("version") is not None
        except (ClientError, Malformed):  # whoever asks has an error already, which says more
            return False
