"""The HTTP session of all clients, SDKs' included: the configured origin alone, one deadline, bounded answers.

Whatever goes wrong between us and an answer is raised as one of our own errors, which no SDK catches.
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

TIMEOUT = 8.0
"""Seconds of a request that names no timeout itself."""
BODY_BYTES = 32 * 2**20
"""Bytes that the body of an answer may have after decompression, unless a client needs more."""
_PIECE = 1 << 16


class GuardedAdapter(HTTPAdapter):
    """Sends requests to the configured origins only, each of them once, and reads each answer whole.

    Args:
        where: Who is asked, for errors.
        rule: Which origins are configured.
        timeout: Seconds of a request that names no timeout itself.
        most_bytes: Bytes that a body may have after decompression.
        verify: File of the CA that outranks the environment's; `None` where the settings name none.
        context: TLS whose CAs are trusted beside those of requests.
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
        """Make the pools of connections."""
        if self._context is not None:
            options["ssl_context"] = self._context
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = dict(POOLS)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - as its base class
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = dict(POOLS)
        return manager

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - as its base class
        """Send a request and return its answer, which is read whole.

        Raises:
            BadAnswer: It, or its redirect, goes to another origin; or the answer is too large, or is none over HTTP.
            TimedOut: The answer is not complete within the deadline.
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
                response._content = _body(response.raw, watch)  # noqa: SLF001 - as requests does itself
            except BaseException:
                response.close()
                raise
        response._content_consumed = True  # noqa: SLF001 - as above
        response.encoding = "utf-8"  # as JSON is; to guess it takes requests minutes for a large body
        response.json = lambda **_: loads(response.content)  # type: ignore[method-assign]
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
        what = "its responses do not end" if nearest.listing else "no response"
        return TimedOut(f"{self._where}: {what} within {nearest.seconds:.3g} s")


def _seconds(options: Mapping[str, Any], default: float) -> float:
    timeout = options.get("timeout")
    return float(timeout) if isinstance(timeout, int | float) else default


def _body(raw: urllib3.BaseHTTPResponse, watch: Watch) -> bytes:
    body = bytearray()
    while piece := raw.read(_PIECE, decode_content=True):
        watch.deadline.check()
        watch.deadline.receive(len(piece))
        body += piece
        if len(body) > watch.most_bytes:
            raise too_large(watch.most_bytes)
    return bytes(body)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it, also those that are only its argument."""
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
    """Let a session send to the configured addresses only; returns the adapter that does so.

    Args:
        session: The session, which may be an SDK's.
        where: Who is asked, for errors.
        configured: The addresses that the settings name.
        timeout: Seconds of a request that names no timeout itself.
        most_bytes: Bytes that the body of an answer may have after decompression.
        hint: What to do where an address is refused.
        context: TLS whose CAs are trusted beside those of requests.
    """
    verify = session.verify if isinstance(session.verify, str) else None
    rule = OriginRule(where, configured, hint)
    adapter = GuardedAdapter(where, rule, timeout=timeout, most_bytes=most_bytes, verify=verify, context=context)
    session.adapters.clear()
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter)
    send = session.send

    def send_in_time(request: requests.PreparedRequest, **options: Any) -> requests.Response:  # noqa: ANN401 - as the original
        with within(_seconds(options, timeout), None, listing=False):  # the redirects that are followed included
            return send(request, **options)

    session.send = send_in_time  # type: ignore[method-assign]
    # The origin stays the same, so the headers do; requests would let an entry of ~/.netrc replace them.
    session.rebuild_auth = lambda prepared_request, response: None  # type: ignore[method-assign] # noqa: ARG005
    return adapter


class WebSession(requests.Session):
    """A session for one service: its origin alone, and TLS settings that outrank `REQUESTS_CA_BUNDLE`.

    Args:
        where: Who is asked, for errors.
        url: The address that the settings name.
        tls: Files of certificates.
        most_bytes: Bytes that the body of an answer may have after decompression.
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
        *,
        most_bytes: int = BODY_BYTES,
        hint: str | None = None,
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
        context = ssl.create_default_context() if system_trust and not own_ca and url.startswith("https:") else None
        guard(self, where, (url,), most_bytes=most_bytes, hint=hint, context=context)
