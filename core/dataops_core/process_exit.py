"""The end of a process whose threads may still wait for a component."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """Exit the process with an exit code, at once if a daemon thread runs.

    Such a thread may wait in a library for a component that hangs. If Python shuts down meanwhile, C++ code can abort
    the process with SIGABRT, which loses the exit code. So the process then exits without a shutdown.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or None
                stream.flush()
        os._exit(code)
    sys.exit(code)
