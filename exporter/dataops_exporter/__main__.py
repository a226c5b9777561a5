"""`dataops-exporter`: watch the pipelines of one context, and serve what is seen as Prometheus metrics."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

from dataops_core.config import find_config, load_settings
from dataops_core.errors import DataopsError
from dataops_core.monitor import Monitor
from dataops_core.version import version
from dataops_exporter.collector import Latest
from dataops_exporter.server import Server, application

DEFAULT_PORT = 9877


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(prog="dataops-exporter", description=__doc__)
    options.add_argument("--config", type=Path, metavar="FILE", help="settings file")
    options.add_argument("--context", metavar="NAME", help="context to watch; the default one if not given")
    options.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    options.add_argument("--port", type=_port, default=DEFAULT_PORT, help="port to listen on (default: %(default)s)")
    options.add_argument("--version", action="version", version=f"dataops-exporter {version()}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or ctrl+c; return 0, or 2 if the settings or the address are wrong."""
    arguments = parser().parse_args(argv)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load_settings(find_config(arguments.config))
        monitor = Monitor(settings, arguments.context)
        latest = Latest(timedelta(seconds=max(30.0, 3 * settings.refresh + settings.probe_timeout)))
        server = Server(arguments.host, arguments.port, application(latest))
    except DataopsError as error:
        print(f"dataops-exporter: {error}", file=sys.stderr)  # noqa: T201
        return 2
    monitor.start(latest.put)
    Thread(target=server.serve_forever, name="http", daemon=True).start()
    print(f"dataops-exporter: listening on {arguments.host}:{server.server_port}", file=sys.stderr)  # noqa: T201
    stop.wait()
    server.shutdown()
    server.server_close()
    monitor.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
