"""The HTTP session of all clients, SDKs' included: the configured origin alone, and TLS as the settings have it."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from dataops_core.config import TlsSettings
from dataops_core.transport.bounded import loads
from dataops_core.transport.origin import OriginRule
from dataops_core.transport.tls import tls_context


class GuardedAdapter(HTTPAdapter):
    """Sends requests to the configured origins only, each of them once.

    Args:
        rule: Which origins are configured.
        timeout: Seconds of a request that names no timeout itself.
        verify: File of the CA that outranks the environment's; `None` where the settings name none.
        context: TLS whose CAs are trusted beside those of requests.
    """

    def __init__(
        self,
        rule: OriginRule,
        timeout: float | None = None,
        verify: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._rule = rule
        self._timeout = timeout
        self._verify = verify
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as its base class
        """Make the pools of connections."""
        if self._context is not None:
            options["ssl_context"] = self._context
        super().init_poolmanager(*arguments, **options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - as its base class
        """Send a request; raises BadAnswer where it, or its redirect, goes to another origin."""
        url = request.url or ""
        self._rule.check(url)
        options["timeout"] = options.get("timeout") or self._timeout
        if self._verify is not None:
            options["verify"] = self._verify
        response = super().send(request, **options)
        response.json = lambda **_: loads(response.content)  # type: ignore[method-assign]
        try:
            self._rule.check_redirect(request.method or "", url, response.status_code, response.headers.get("Location"))
        except BaseException:
            response.close()
            raise
        return response


def guard(
    session: requests.Session,
    where: str,
    configured: Collection[str],
    timeout: float | None = None,
    hint: str | None = None,
    context: ssl.SSLContext | None = None,
) -> GuardedAdapter:
    """Let a session send to the configured addresses only; returns the adapter that does so.

    Args:
        session: The session, which may be an SDK's.
        where: Who is asked, for errors.
        configured: The addresses that the settings name.
        timeout: Seconds of a request that names no timeout itself.
        hint: What to do where an address is refused.
        context: TLS whose CAs are trusted beside those of requests.
    """
    verify = session.verify if isinstance(session.verify, str) else None
    adapter = GuardedAdapter(OriginRule(where, configured, hint), timeout, verify, context)
    session.adapters.clear()
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter)
    # The origin stays the same, so the headers do; requests would let an entry of ~/.netrc replace them.
    session.rebuild_auth = lambda prepared_request, response: None  # type: ignore[method-assign] # noqa: ARG005
    return adapter


class WebSession(requests.Session):
    """A session for one service: its origin alone, and TLS settings that outrank `REQUESTS_CA_BUNDLE`.

    Args:
        where: Who is asked, for errors.
        url: The address that the settings name.
        tls: Files of certificates.
        hint: What to do where another address is refused.
        system_trust: Trust the CAs of the operating system, too, where the settings name none.

    Raises:
        ConfigError: A file cannot be read, or is no certificate or key; or the address is none.
    """

    def __init__(
        self,
        where: str,
        url: str,
        tls: TlsSettings | None,
        hint: str | None = None,
        *,
        system_trust: bool = False,
    ) -> None:
        super().__init__()
        self.auth = lambda request: request  # else an entry of ~/.netrc outranks a token
        if tls is not None:
            tls_context(tls, where)  # requests would say less
            if tls.ca_file is not None:
                self.verify = tls.ca_file
            if tls.cert_file is not None:
                self.cert = (tls.cert_file, tls.key_file or tls.cert_file)
        own_ca = tls is not None and tls.ca_file is not None
        context = ssl.create_default_context() if system_trust and not own_ca else None
        guard(self, where, (url,), hint=hint, context=context)
