"""The web mode: serve the console on this machine only, or behind an authenticating proxy."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from dataops_core.errors import ConfigError

HOST = "127.0.0.1"
"""The loopback, because the web mode has no login."""
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Headers of every response; they prevent clickjacking by a page that frames the console."""


def serve(arguments: Sequence[str], port: int, public_url: str | None = None) -> None:
    """Serve the console until it is interrupted; each browser window runs a separate console.

    Args:
        arguments: Command line of each console.
        port: Port on the loopback.
        public_url: Address of the proxy in front; `None` without one.

    Raises:
        ConfigError: textual-serve is not installed, or `public_url` is not an address.
    """
    server(shlex.join([sys.executable, "-m", "dataops_tui", *arguments]), port, public_url).serve()


def server(command: str, port: int, public_url: str | None = None) -> Any:  # noqa: ANN401 - imported only when needed
    """Return textual-serve's server with our access rules; raises ConfigError like `serve`."""
    try:
        base = import_module("textual_serve.server").Server
        web = import_module("aiohttp.web")
    except ImportError as error:
        raise ConfigError(
            "the web mode needs textual-serve", hint="pip install '.[web]' in a clone of dataops-tui"
        ) from error
    public = None if public_url is None else public_origin(public_url)

    @web.middleware  # type: ignore[untyped-decorator] # imported at run time
    async def only_from_here(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:  # noqa: ANN401
        if not is_ours(request.host, request.headers.get("Origin"), port, public):
            raise web.HTTPForbidden(text="this console is open to its own page only")
        return await handler(request)

    async def harden(_request: object, response: Any) -> None:  # noqa: ANN401 - as above
        response.headers.update(HEADERS)

    class LocalServer(base):  # type: ignore[misc, valid-type] # as above
        async def _make_app(self) -> Any:  # noqa: ANN401
            app = await super()._make_app()
            app.middlewares.append(only_from_here)
            app.on_response_prepare.append(harden)
            return app

    return LocalServer(command, host=HOST, port=port, title="dataops-tui", public_url=public)


def public_origin(url: str) -> str:
    """Return the origin of a proxy's address; raises ConfigError if the address has a path or is invalid."""
    try:
        parts = urlsplit(url)
        rest = parts.path.strip("/") + parts.query + parts.fragment
        good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and not rest
        good = good and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            "--public-url must be an address without a path", hint="write it as https://console.example.com"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def is_ours(host: str, origin: str | None, port: int, public: str | None = None) -> bool:
    """Return whether a request comes from our own page.

    Any page in the browser can connect to the loopback. The origin identifies such a page. The host identifies a page
    whose name resolves to this machine (DNS rebinding).

    Args:
        host: The request's header `Host`.
        origin: Its header `Origin`.
        port: Port on the loopback.
        public: Origin of the proxy in front.
    """
    host = host.lower()
    if public is not None and host == urlsplit(public).netloc:
        return origin is None or origin.lower() == public
    names = {f"{name}:{port}" for name in (HOST, "localhost")}
    return host in names and (origin is None or urlsplit(origin).netloc == host)
