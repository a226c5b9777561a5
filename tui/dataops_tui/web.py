"""The console in a web browser, on this machine only."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from dataops_core.errors import ConfigError

HOST = "127.0.0.1"
"""The loopback: there is no login, so nobody else may come in."""


def serve(arguments: Sequence[str], port: int) -> None:
    """Serve the console until it is interrupted; each browser window has a console of its own.

    Args:
        arguments: What each console is started with.
        port: Port on the loopback.

    Raises:
        ConfigError: textual-serve is not installed.
    """
    try:
        server = import_module("textual_serve.server").Server
        web = import_module("aiohttp.web")
    except ImportError as error:
        raise ConfigError(
            "the web mode needs textual-serve", hint="pip install '.[web]' in a clone of dataops-tui"
        ) from error

    @web.middleware  # type: ignore[untyped-decorator] # it is imported only where it is needed
    async def only_from_here(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:  # noqa: ANN401
        if not is_ours(request.host, request.headers.get("Origin"), port):
            raise web.HTTPForbidden(text="this console is open to its own page only")
        return await handler(request)

    class LocalServer(server):  # type: ignore[misc, valid-type] # as above
        async def _make_app(self) -> Any:  # noqa: ANN401
            app = await super()._make_app()
            app.middlewares.append(only_from_here)
            return app

    command = shlex.join([sys.executable, "-m", "dataops_tui", *arguments])
    LocalServer(command, host=HOST, port=port, title="dataops-tui").serve()


def is_ours(host: str, origin: str | None, port: int) -> bool:
    """Tell whether a request comes from our own page.

    Any page in the browser can open a connection to the loopback. Such a one names itself as the origin; and one whose
    name was made to mean this machine (DNS rebinding) gives itself away by the host.
    """
    names = {f"{name}:{port}" for name in (HOST, "localhost")}
    return host in names and (origin is None or urlsplit(origin).netloc == host)
