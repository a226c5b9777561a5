"""Errors of others in one line."""

from __future__ import annotations

LONGEST = 300
"""Characters of a line."""


def line(error: object) -> str:
    """Return an error's text in one line; its type where it has none."""
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__


def innermost(error: BaseException) -> str:
    """Return the innermost reason of a chain of wrapped errors."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error.strerror if isinstance(error, OSError) and error.strerror else line(error)
