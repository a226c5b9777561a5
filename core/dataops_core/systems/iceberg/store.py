"""Translate errors of object stores, which Arrow reports as text only."""

from __future__ import annotations

from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.reasons import line

_WORDS: tuple[tuple[tuple[str, ...], type[ClientError], str], ...] = (
    (
        (
            "InvalidAccessKeyId",
            "INVALID_ACCESS_KEY_ID",
            "SIGNATURE_DOES_NOT_MATCH",
            "SignatureDoesNotMatch",
            "EXPIRED_TOKEN",
            "ExpiredToken",
            "INVALID_CLIENT_TOKEN_ID",
            "UNRECOGNIZED_CLIENT",
            "HTTP response code 401",
        ),
        AuthenticationFailed,
        "rejected our credentials",
    ),
    (("ACCESS_DENIED", "AccessDenied", "HTTP response code 403"), PermissionDenied, "denied permission"),
    (("timed out", "Timeout was reached", "REQUEST_TIMEOUT"), TimedOut, "no response in time"),
    (("NETWORK_CONNECTION", "curlCode"), Unreachable, "cannot be reached"),
    (("NO_SUCH_BUCKET", "NoSuchBucket"), NotFound, "there is no such bucket"),
)
"""Words in Arrow's error texts, with the error class and message for them."""


_RIGHTS = "Grant read permission to the account that runs this program."
_STORE = "Check the store's log, its disk and its network."


def store_error(where: str, error: OSError) -> ClientError:
    """Return the ClientError for an error of Arrow; `where` starts the message."""
    text = line(error)
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{where}: no such file: {text}")
    if isinstance(error, NotADirectoryError | IsADirectoryError):
        return NotFound(f"{where}: {text}")
    if isinstance(error, PermissionError):
        return PermissionDenied(f"{where}: {text}", hint=_RIGHTS)
    for words, kind, message in _WORDS:
        if any(word in text for word in words):
            return kind(f"{where}: {message}")
    return BadAnswer(f"{where}: {text}", hint=_STORE)
