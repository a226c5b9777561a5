"""Start a program that dies with its parent; run as a script: `python guard.py FILE.json`.

The file holds `argv`, `env`, `cwd` and `pid_file`. A supervisor that is killed cannot stop its programs, so the kernel
does: PR_SET_PDEATHSIG (Linux, prctl(2)) sends SIGTERM to the program when the process that started it ends. The setting
survives execve(2). Imports the standard library only, so that starting costs nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends; raises OSError where it refuses."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before the kernel knew
        sys.exit(1)


def command(folder: Path, name: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs a program which dies with whoever starts it; its settings are put into a folder."""
    path = folder / f"{name}.guard.json"
    path.touch(0o600)
    program = {
        "argv": list(argv),
        "env": dict(os.environ),
        "cwd": str(Path.cwd()),
        "pid_file": str(path.with_suffix(".pid")),
    }
    path.write_text(json.dumps(program))
    return [sys.executable, __file__, str(path)]


def main() -> None:
    """Replace this process by the program."""
    program = json.loads(Path(sys.argv[1]).read_text())
    die_with_parent()
    Path(program["pid_file"]).write_text(str(os.getpid()))
    os.chdir(program["cwd"])
    os.execvpe(program["argv"][0], program["argv"], program["env"])  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
