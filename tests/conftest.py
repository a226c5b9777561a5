"""The state that each test starts from, wherever it runs: signals, locale, terminal, time zone, umask, proxies."""

from __future__ import annotations

import atexit
import gc
import locale
import os
import shutil
import signal
import socketserver
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

PROXIES = ("all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy")
FOREIGN = ("AIRFLOW__", "BOREAL_", "HADOOP_", "KAFKA_", "OTEL_", "PYICEBERG_", "SPARK_", "TEXTUAL", "TRINO_")
"""Beginnings of variables that what is tested reads, and that a shell may have left."""
OURS = ("DATAOPS_TEST_", "DATAOPS_BENCH_", "DATAOPS_KILLS", "DATAOPS_READINGS", "DATAOPS_SOAK", "DATAOPS_WRITE_")
"""Variables that steer the tests themselves."""
TERMINAL = ("CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE")
LANGUAGE = ("LANG", "LANGUAGE")


def _start_clean() -> None:
    for name in list(os.environ):
        ours = name.startswith(OURS)
        foreign = name.startswith(FOREIGN) or (name.startswith("DATAOPS_") and not ours)
        if foreign or name.lower() in PROXIES or name in (*TERMINAL, *LANGUAGE) or name.startswith("LC_"):
            del os.environ[name]
    os.environ |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "TZ": "UTC"}
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    time.tzset()
    os.umask(0o022)
    # What a shell's `nohup` or `&` has ignored stays ignored in each program that we start.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN if number is signal.SIGPIPE else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Settings, histories and logs of whoever runs the tests stay out, and stay as they are. Downloads are shared.
    home = tempfile.mkdtemp(prefix="dataops-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ |= {f"XDG_{name}_HOME": str(Path(home, name.lower())) for name in ("CONFIG", "DATA", "STATE")}


def _end(*_: object) -> None:
    """End the run as Ctrl-C does, so that fixtures stop what they have started."""
    raise KeyboardInterrupt("SIGTERM")  # not `pytest.exit`: its exception is swallowed where all of them are


_handle_error = socketserver.BaseServer.handle_error


def _handle_errors_but_of_clients(server: socketserver.BaseServer, request: Any, client: Any) -> None:
    """Be silent about a client that has left: another test may capture standard error when it is noticed."""
    if not isinstance(sys.exc_info()[1], OSError):
        _handle_error(server, request, client)


socketserver.BaseServer.handle_error = _handle_errors_but_of_clients  # type: ignore[method-assign]
_start_clean()
# The same examples in each run, and no deadline: a slow machine is no failure, and a failure comes again.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

GROUPS = {
    "kafka-failures": "tests/e2e/test_kafka_failures",
    "kafka-security": "tests/e2e/test_kafka_security",
    "stack": "tests/e2e/",
    "spark": "tests/pipeline/",
    "packaging": "tests/packaging/test_packaging",
    "dist": "tests/packaging/test_dist",
    "systems": "tests/systems/",
    "words": "tests/packaging/test_words",
    "silence": "tests/hostile/test_clients.py::test_a_server_without_an_end",
    "catalogs": "tests/unit/test_catalogs",
    "databases": "tests/unit/test_sql_databases",
    "onboarding": "tests/unit/test_onboarding_for_real",
    "plugins": "tests/unit/test_plugins",
    "proposal": "tests/unit/test_proposal",
    "snapshots": "tests/console/test_snapshots",
}
"""Beginnings of the ids of tests that run in one worker because they share a costly fixture, by the group's name."""
LONGEST = (
    *("stack", "spark", "kafka-failures", "kafka-security", "words"),
    *("silence", "proposal", "dist", "onboarding", "catalogs", "databases", "plugins", "snapshots"),
)
"""Groups that take or wait long, in the order in which they begin; one at the end would keep one worker only."""
STARTING = ("programs", "long", "stack", "spark", "helm", "kube", "soak", "maintenance")
"""Marks of unit tests that `make quick` leaves out."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector off what is collected: all of it stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make quick` runs, and begin with the groups that take longest."""
    for item in items:
        starting = any(item.get_closest_marker(name) for name in STARTING)
        if item.path.parent.name == "unit" and not starting:
            item.add_marker(pytest.mark.quick)
    places = {group: place for place, group in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(group_of(item.nodeid), len(LONGEST)))


def group_of(nodeid: str) -> str:
    """Return the group that a test runs with, in one worker: the test alone if it shares no costly fixture."""
    return next((group for group, beginning in GROUPS.items() if nodeid.startswith(beginning)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out groups of tests. Not `--dist loadgroup`: xdist 3.8 marks groups in a way that pytest 9.2 ignores."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Scheduling(config, log)
