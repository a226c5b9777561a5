"""Start a program that ends with its parent; run as a script: `python guard.py FILE.json`.

The file holds `argv`, `env`, `cwd` and `pid_file`. A killed supervisor cannot stop its programs, so the kernel stops
them: PR_SET_PDEATHSIG (Linux, prctl(2)) sends SIGTERM to the program when its parent process ends. The setting survives
execve(2). The module imports only the standard library, to start fast.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Request SIGTERM from the kernel when the parent ends; raises OSError if the kernel refuses."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # the parent ended before the call
        sys.exit(1)


def command(
    folder: Path, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> list[str]:
    """Return the command for a program that ends with its parent, and write its settings into a folder.

    Args:
        folder: The folder.
        name: Name of the program.
        argv: Program and arguments.
        env: Additional environment variables.
        cwd: Working folder; by default that of this process.
    """
    path = folder / f"{name}.guard.json"
    path.touch(0o600)
    program = {
        "argv": list(argv),
        "env": {**os.environ, **(env or {})},
        "cwd": str(cwd or Path.cwd()),
        "pid_file": str(path.with_suffix(".pid")),
    }
    path.write_text(json.dumps(program))
    return [sys.executable, __file__, str(path)]


def main() -> None:
    """Replace this process with the program."""
    program = json.loads(Path(sys.argv[1]).read_text())
    die_with_parent()
    Path(program["pid_file"]).write_text(str(os.getpid()))
    os.chdir(program["cwd"])
    os.execvpe(program["argv"][0], program["argv"], program["env"])  # noqa: S606 - the purpose of this script


if __name__ == "__main__":
    main()
