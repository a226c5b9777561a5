"""Reduce errors of libraries to one line."""

from __future__ import annotations

LONGEST = 300
"""Maximum characters of a line."""


def line(error: object) -> str:
    """Return an error's text in one line; its type if the text is empty."""
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__


def innermost(error: BaseException) -> str:
    """Return the text of the innermost error of a chain of wrapped errors."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error.strerror if isinstance(error, OSError) and error.strerror else line(error)
