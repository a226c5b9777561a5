"""Checks of the machine before the start, each with an error in one line."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys

import psutil

from dataops_local.errors import LocalError
from dataops_local.layout import OFFSETS, Layout

MEMORY = 6_000_000_000
"""Memory of the whole stack in bytes, measured after 30 minutes of the demo, plus a second Spark driver."""
DISK = 2_000_000_000
"""Disk space of a day of the demo in bytes, with a reserve."""


def check(layout: Layout) -> None:
    """Raise LocalError for the first problem that would prevent the stack from running."""
    if not sys.platform.startswith("linux"):
        raise LocalError(
            f"the local stack runs on Linux only, and this is {sys.platform}: the object store has no build for it;"
            " the console itself runs here, see docs/configuration.md"
        )
    _java(layout)
    free = psutil.virtual_memory().available
    if free < MEMORY:
        raise LocalError(
            f"{free / 1e9:.1f} GB of memory is free, the stack needs {MEMORY / 1e9:.0f}: end other programs"
        )
    room = shutil.disk_usage(layout.state).free
    if room < DISK:
        raise LocalError(
            f"{room / 1e9:.1f} GB is free where {layout.state} is, the stack needs {DISK / 1e9:.0f}:"
            " free some, or name another folder with --state"
        )
    for name in OFFSETS:
        _port(layout, name)


def _java(layout: Layout) -> None:
    try:
        done = subprocess.run([layout.java, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        raise LocalError(f"Java does not start ({layout.java}: {error.strerror}): run `make install`") from error
    if done.returncode != 0:
        raise LocalError(f"Java does not start ({layout.java}: {done.stderr.strip()[:200]}): run `make install`")


def _port(layout: Layout, name: str) -> None:
    port = layout.port(name)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            holder = _holder(port)
            raise LocalError(
                f"port {port}, which {name} needs, is in use{holder}:"
                " stop that program, or choose other ports with --port-base (in make: PORT_BASE=…)"
            ) from None


def _holder(port: int) -> str:
    try:
        result = next(
            (c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.status == "LISTEN"),
            None,
        )
        return f" by {psutil.Process(result.pid).name()} (pid {result.pid})" if result and result.pid else ""
    except psutil.Error:  # no permission for other users' processes
        return ""
