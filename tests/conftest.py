"""The state that each test starts from, wherever it runs: signals, locale, terminal, time zone, umask, proxies."""

from __future__ import annotations

import atexit
import locale
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import settings

PROXIES = ("all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy")
FOREIGN = ("AIRFLOW__", "BOREAL_", "HADOOP_", "KAFKA_", "OTEL_", "PYICEBERG_", "SPARK_", "TEXTUAL", "TRINO_")
"""Beginnings of variables that what is tested reads, and that a shell may have left."""
OURS = ("DATAOPS_TEST_", "DATAOPS_BENCH_", "DATAOPS_KILLS", "DATAOPS_READINGS")
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


_start_clean()
# The same examples in each run, and no deadline: a slow machine is no failure, and a failure comes again.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

LONGEST = ("stack", "spark", "test_kafka_failures", "test_kafka_security")
"""Groups that take minutes."""
STARTING = ("programs", "stack", "spark", "helm", "kube", "soak", "upkeep")
"""Marks of unit tests that `make quick` leaves out."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make quick` runs, and keep together what shares a fixture of its module or folder."""
    for item in items:
        folder = item.path.parent.name
        if folder == "unit" and not any(item.get_closest_marker(name) for name in STARTING):
            item.add_marker(pytest.mark.quick)
        if item.get_closest_marker("xdist_group") is None:
            group = _group(item, folder)
            if group:
                item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_begins)


def _begins(item: pytest.Item) -> int:
    """Return the place of a test in the run: the longest groups begin first, each in a worker of its own."""
    mark = item.get_closest_marker("xdist_group")
    group = mark.args[0] if mark else ""
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)


def _group(item: pytest.Item, folder: str) -> str | None:
    if folder == "e2e":
        return item.path.stem if item.path.stem.startswith("test_kafka") else "stack"
    if item.get_closest_marker("spark"):
        return "spark"
    shared = getattr(item, "_fixtureinfo", None)
    definitions = shared.name2fixturedefs.values() if shared else ()
    if any(each[-1].scope == "module" for each in definitions):
        return item.path.stem
    return None
