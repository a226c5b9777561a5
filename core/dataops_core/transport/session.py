"""The HTTP session of all clients, including SDKs: only the configured origin, one deadline, bounded responses.

Every failed request raises one of our own errors, which no SDK catches.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from dataops_core.bounded import loads
from dataops_core.config import TlsSettings
from dataops_core.errors import BadAnswer, TimedOut, Unreachable
from dataops_core.reasons import innermost, line
from dataops_core.transport.connections import POOLS, Watch, too_large, watching
from dataops_core.transport.deadlines import Deadline, TooLarge, of_request, within
from dataops_core.transport.origin import OriginRule
from dataops_core.transport.tls import tls_context
from dataops_core.units import duration

TIMEOUT = 8.0
"""Default timeout of a request, in seconds."""
BODY_BYTES = 32 * 2**20
"""Maximum bytes of a response's body after decompression, unless a client needs more."""
REDIRECTS = 10
"""Maximum redirects of a request."""
_CHUNK = 1 << 16


class GuardedAdapter(HTTPAdapter):
    """Sends requests only to the configured origins and without retries, and reads each response completely.

    Args:
        where: Name of the service, for errors.
        rule: The configured origins.
        timeout: Default timeout of a request, in seconds.
        most_bytes: Maximum bytes of a body after decompression.
        verify: CA file that takes precedence over the environment's; `None` if the settings name none.
        context: TLS context with CAs to trust in addition to those of requests.
    """

    def __init__(
        self,
        where: str,
        rule: OriginRule,
        *,
        timeout: float = TIMEOUT,
        most_bytes: int = BODY_BYTES,
        verify: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._where = where
        self._rule = rule
        self._timeout = timeout
        self._most_bytes = most_bytes
        self._verify = verify
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as its base class
        """Create the connection pools."""
        if self._context is not None:
            options["ssl_context"] = self._context
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = dict(POOLS)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - as its base class
        """Return the connection pools of a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = dict(POOLS)
        return manager

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - as its base class
        """Send a request and return its complete response.

        Raises:
            BadAnswer: It, or its redirect, goes to another origin; or the response is too large, or not HTTP.
            TimedOut: The response is not complete within the deadline.
            Unreachable: There is no connection.
        """
        url = request.url or ""
        self._rule.check(url)
        deadline = of_request(_seconds(options, self._timeout))
        options["timeout"] = max(deadline.left, 0.001)
        options["stream"] = True
        if self._verify is not None:
            options["verify"] = self._verify
        watch = Watch(deadline, self._most_bytes)
        with self._errors(deadline), watching(watch):
            deadline.check()
            response = super().send(request, **options)
            try:
                location = response.headers.get("Location")
                self._rule.check_redirect(request.method or "", url, response.status_code, location)
                response._content = body = _body(response.raw, watch)  # noqa: SLF001 - like requests itself
            except BaseException:
                response.close()
                raise
        response._content_consumed = True  # noqa: SLF001 - as above
        response.encoding = "utf-8"  # JSON is UTF-8; for a large body, requests would guess for minutes
        # Refers to the body, not to the response: in a cycle, each body would wait for the garbage collector.
        response.json = lambda **_: loads(body)  # type: ignore[method-assign]
        return response

    @contextmanager
    def _errors(self, deadline: Deadline) -> Iterator[None]:
        try:
            yield
        except TooLarge as error:
            raise BadAnswer(f"{self._where}: the response is rejected: {error}") from error
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
            raise self._late(deadline) from error
        except requests.exceptions.ConnectionError as error:
            if any(isinstance(inner, TimeoutError) for inner in _chain(error)):
                raise self._late(deadline) from error
            if any(_is_no_http(inner) for inner in _chain(error)):
                raise BadAnswer(f"{self._where}: the response is not HTTP: {innermost(error)}") from error
            raise Unreachable(f"{self._where}: cannot be reached: {innermost(error)}") from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError, LookupError) as error:
            raise BadAnswer(f"{self._where}: the response is not HTTP: {line(error)}") from error

    def _late(self, deadline: Deadline) -> TimedOut:
        nearest = deadline.nearest
        fault = "its responses do not end" if nearest.listing else "no response"
        return TimedOut(f"{self._where}: {fault} within {duration(nearest.seconds, precise=True)}")


def _seconds(options: Mapping[str, Any], default: float) -> float:
    timeout = options.get("timeout")
    return float(timeout) if isinstance(timeout, int | float) else default


def _body(raw: urllib3.BaseHTTPResponse, watch: Watch) -> bytes:
    body = bytearray()
    try:
        _receive(body, raw, watch)
    except BaseException:
        body.clear()  # an error that is kept has this frame in its traceback
        raise
    return bytes(body)


def _receive(body: bytearray, raw: urllib3.BaseHTTPResponse, watch: Watch) -> None:
    while chunk := raw.read(_CHUNK, decode_content=True):
        watch.deadline.check()
        watch.deadline.receive(len(chunk))
        body += chunk
        if len(body) > watch.most_bytes:
            raise too_large(watch.most_bytes)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, including errors that are only its arguments."""
    seen: list[BaseException] = []
    left = [error]
    while left:
        each = left.pop()
        if each in seen:
            continue
        seen.append(each)
        yield each
        inner = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        left += [cause for cause in inner if isinstance(cause, BaseException)]


def _is_no_http(error: BaseException) -> bool:
    return isinstance(error, http.client.HTTPException) and not isinstance(error, http.client.RemoteDisconnected)


def guard(
    session: requests.Session,
    where: str,
    configured: Collection[str],
    *,
    timeout: float = TIMEOUT,
    most_bytes: int = BODY_BYTES,
    hint: str | None = None,
    context: ssl.SSLContext | None = None,
) -> GuardedAdapter:
    """Restrict a session to the configured addresses, and return the adapter that enforces it.

    Args:
        session: The session, which may be an SDK's.
        where: Name of the service, for errors.
        configured: The addresses in the settings.
        timeout: Default timeout of a request, in seconds.
        most_bytes: Maximum bytes of a response's body after decompression.
        hint: The fix for a refused address.
        context: TLS context with CAs to trust in addition to those of requests.
    """
    verify = session.verify if isinstance(session.verify, str) else None
    rule = OriginRule(where, configured, hint)
    adapter = GuardedAdapter(where, rule, timeout=timeout, most_bytes=most_bytes, verify=verify, context=context)
    session.adapters.clear()
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter)
    send = session.send

    def send_in_time(request: requests.PreparedRequest, **options: Any) -> requests.Response:  # noqa: ANN401 - as the original
        try:
            with within(_seconds(options, timeout), None, listing=False):  # including redirects
                return send(request, **options)
        except requests.TooManyRedirects:
            raise BadAnswer(
                f"{where}: the server redirects in a loop: more than {REDIRECTS} redirects",
                hint="correct the address in the settings, or the redirects of the server or of a proxy before it",
            ) from None

    session.max_redirects = REDIRECTS
    session.send = send_in_time  # type: ignore[method-assign]
    # Keep the headers on a redirect, which stays within the origin; requests would use an entry of ~/.netrc instead.
    session.rebuild_auth = lambda prepared_request, response: None  # type: ignore[method-assign] # noqa: ARG005
    return adapter


class WebSession(requests.Session):
    """A session for one service: only its origin, and TLS settings that take precedence over `REQUESTS_CA_BUNDLE`.

    Args:
        where: Name of the service, for errors.
        url: The address in the settings.
        tls: Files of certificates.
        most_bytes: Maximum bytes of a response's body after decompression.
        hint: The fix for a refused address.
        system_trust: Also trust the CAs of the operating system, if the settings name no CA.

    Raises:
        ConfigError: A file cannot be read, or is not a certificate or key; or the address is not valid.
    """

    def __init__(
        self,
        where: str,
        url: str,
        tls: TlsSettings | None,
        *,
        most_bytes: int = BODY_BYTES,
        hint: str | None = None,
        system_trust: bool = False,
    ) -> None:
        super().__init__()
        self.auth = lambda request: request  # otherwise an entry of ~/.netrc replaces a token
        if tls is not None:
            tls_context(tls, where)  # errors of requests are less specific
            if tls.ca_file is not None:
                self.verify = tls.ca_file
            if tls.cert_file is not None:
                self.cert = (tls.cert_file, tls.key_file or tls.cert_file)
        has_ca = tls is not None and tls.ca_file is not None
        context = ssl.create_default_context() if system_trust and not has_ca and url.startswith("https:") else None
        guard(self, where, (url,), most_bytes=most_bytes, hint=hint, context=context)
