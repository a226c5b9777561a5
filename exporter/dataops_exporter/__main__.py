"""`dataops-exporter`: probe the pipelines of one context and serve Prometheus metrics."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import NoReturn

from dataops_core.config import find_config
from dataops_core.errors import DataopsError
from dataops_core.gc_tuning import tune_for_probes
from dataops_core.narration import guard_stderr
from dataops_core.process_exit import end_process
from dataops_core.systems.registry import load_settings
from dataops_core.version import version
from dataops_exporter.pages import Pages
from dataops_exporter.server import Server, say
from dataops_exporter.service import Service
from dataops_exporter.web import WebConfigFile

DEFAULT_PORT = 9877
STOP_WITHIN = 10.0
"""Seconds for running requests to finish when the exporter stops."""


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(prog="dataops-exporter", description=__doc__)
    options.add_argument("--config", type=Path, metavar="FILE", help="settings file; reloaded on SIGHUP")
    options.add_argument("--context", metavar="NAME", help="context to probe; default: the default context")
    options.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    options.add_argument("--port", type=_port, default=DEFAULT_PORT, help="port to listen on (default: %(default)s)")
    options.add_argument("--web-config", type=Path, metavar="FILE", help="TLS and access; reloaded when it changes")
    options.add_argument("--version", action="version", version=f"dataops-exporter {version()}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or ctrl+c; return 0, or 2 if the settings or the address are invalid."""
    arguments = parser().parse_args(argv)
    signals: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: signals.put(got))
    try:
        config = find_config(arguments.config)
        web = WebConfigFile(arguments.web_config, say)
        service = Service(lambda: load_settings(config), arguments.context, web)
        server = Server(arguments.host, arguments.port, Pages(service), web)
    except DataopsError as error:
        say(str(error))
        return 2
    tune_for_probes()
    service.start()
    Thread(target=server.serve_forever, name="http", daemon=True).start()
    say(f"listening on {arguments.host}:{server.server_port}")
    while signals.get() == signal.SIGHUP:
        refused = service.reload()
        say(f"{refused}; the previous settings stay active" if refused else f"{config} reloaded")
    server.stop(STOP_WITHIN)
    service.stop()
    return 0


def run() -> NoReturn:
    """Run the exporter, and exit the process with its exit code."""
    guard_stderr()
    end_process(main())


if __name__ == "__main__":
    run()
