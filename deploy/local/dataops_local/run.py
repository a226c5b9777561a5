"""Execution of short programs of the stack, and the JVM options of small programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dataops_local.errors import LocalError

SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def run_to_end(argv: tuple[str, ...], env: dict[str, str], log: Path) -> None:
    """Run a program and wait for it; raises LocalError with the last line of its output."""
    with log.open("w") as out:
        code = subprocess.run(
            argv,
            env={**os.environ, **env},
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode
    if code != 0:
        raise LocalError(f"{Path(argv[0]).name} {argv[-1]} failed (code {code}): {last_line(log)}: see {log}")


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
