"""The log of internal errors: write unexpected errors with their tracebacks to a file, never to the screen."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from platformdirs import user_state_path

from dataops_core.plain import visible_lines
from dataops_core.redaction import redacted

INTERNAL_ERROR = 70
"""Exit code after an internal error: EX_SOFTWARE in sysexits.h."""
MAX_BYTES = 1_000_000
"""Size of the log at which it is renamed to `errors.log.1`, in place of the previous one."""
MAX_ENTRY = 50_000
"""Maximum characters of one traceback; its end is kept, because it names the cause."""
MAX_FRAMES = 60
"""Maximum frames of one traceback, innermost first: endless recursion has a thousand."""
REPEAT_AFTER = 60.0
"""Seconds until the same error is logged again: a handler may fail many times a second."""

_logged: dict[tuple[str, str], float] = {}
_lock = threading.Lock()


def error_log_path() -> Path:
    """Return the path of this user's error log."""
    return user_state_path("dataops") / "errors.log"


def log_error(error: BaseException, where: str) -> str:
    """Append an internal error with its traceback to the log, and return the one line for the user."""
    location = _location(error)
    kind = type(error).__name__
    line = f"internal error in {where} ({kind} at {location})"
    path = error_log_path()
    try:
        _append(path, (kind, location), where, error)
    except OSError as failure:
        reason = (failure.strerror or "not writable").lower()
        return f"{line}; its traceback cannot be written to {path}: {reason}"
    return f"{line}; the traceback is in {path}. Please report it."


@contextlib.contextmanager
def catch_unexpected(show: Callable[[str], object]) -> Iterator[None]:
    """Log errors that end a thread, a finalizer or the program, for which Python would print a traceback.

    Args:
        show: Shows the one line for the user.
    """

    def thread_failed(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is not None:
            name = failed.thread.name if failed.thread is not None else "unnamed"
            line = log_error(failed.exc_value, f"thread {name}")
            with contextlib.suppress(OSError, ValueError, AttributeError):  # standard error may be closed
                show(line)

    def finalizer_failed(failed: sys.UnraisableHookArgs) -> None:
        if failed.exc_value is not None:
            log_error(failed.exc_value, "a finalizer")

    def program_failed(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
        if not isinstance(error, KeyboardInterrupt):
            show(log_error(error, "the program"))

    before = threading.excepthook, sys.unraisablehook, sys.excepthook
    threading.excepthook, sys.unraisablehook, sys.excepthook = thread_failed, finalizer_failed, program_failed
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook, sys.excepthook = before


def _append(path: Path, key: tuple[str, str], where: str, error: BaseException) -> None:
    now = time.monotonic()
    with _lock:
        last = _logged.get(key)
        if last is not None and now - last < REPEAT_AFTER and path.exists():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MAX_BYTES:
            path.replace(path.with_name(path.name + ".1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            stamp = datetime.now(UTC).isoformat(timespec="seconds")
            file.write(f"{stamp} {visible_lines(where)}\n{_traceback(error)}\n")
        _logged[key] = now


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error, limit=-MAX_FRAMES))
    except Exception as second:  # noqa: BLE001 - an error without a text, e.g. with a failing __str__
        text = f"{type(error).__name__}, whose traceback cannot be written: {type(second).__name__}\n"
    return visible_lines(redacted(text[-MAX_ENTRY:], strict=True))


def _location(error: BaseException) -> str:
    """Return the file and line of an error, if possible in our code: `dataops_core/systems/trino/client.py:312`."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [result for result in frames if "/dataops_" in result[0]] or frames
    if not own:
        return "an unknown line"
    name, line = own[-1]
    parts = Path(name).parts
    begin = next((number for number, part in enumerate(parts) if part.startswith("dataops_")), len(parts) - 1)
    return f"{'/'.join(parts[begin:])}:{line}"
