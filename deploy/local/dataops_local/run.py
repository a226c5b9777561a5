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
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise LocalError(f"{Path(argv[0]).name} {argv[-1]} failed: {lines[-1] if lines else code}: see {log}")
