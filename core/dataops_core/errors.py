"""One tree of errors.

DataopsError
├── ConfigError            the settings are wrong: what, where, and the fix
├── ClientError            a component did not do what was asked
│   ├── Unreachable        no connection: refused, no route, name unknown
│   ├── TimedOut           no response within the deadline
│   ├── AuthenticationFailed   it does not take our credentials (401)
│   ├── PermissionDenied   it knows us, and we may not do that (403)
│   ├── NotFound           the component answers, but has no such topic, table, DAG …
│   ├── BadAnswer          the answer is not what the protocol says (HTML with 200, truncated JSON, …)
│   │   └── RequestRefused it answers that what was asked is wrong (400, 409, 422)
│   └── QueryFailed        Trino refused or failed a statement
├── RecordingError         a recording cannot be written or read
└── ActionRefused          the gate said no: read-only context, missing confirmation
"""

from __future__ import annotations

from dataops_core.redaction import redacted


class DataopsError(Exception):
    """Base of all errors that a user may see; `str()` is one line without secrets.

    Args:
        message: What is wrong and where, in one line.
        hint: The fix, in one line, where one is known.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = redacted(message)
        super().__init__(self.message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class ConfigError(DataopsError):
    """The settings are wrong."""


class ClientError(DataopsError):
    """A component did not do what was asked."""

    kind: str | None = None
    """The error as a word, for findings; see `dataops_core.health.observation.ProbeResult`."""

    @property
    def remedy(self) -> str | None:
        """What to do about it, where its cause is known; else the remedy of its kind holds."""
        return self.hint


class Unreachable(ClientError):
    """No connection to the component."""

    kind = "unreachable"


class TimedOut(ClientError):
    """The component did not answer within the deadline."""

    kind = "timed_out"


class NoWorkers(TimedOut):
    """The query waited for nodes that could work on it, and there were too few within the deadline."""


class AuthenticationFailed(ClientError):
    """The component rejected our credentials."""

    kind = "credentials_refused"


class PermissionDenied(ClientError):
    """The component knows us, and does not let us do that."""

    kind = "permission_denied"


class NotFound(ClientError):
    """The component has no such object."""

    kind = "not_found"


class BadAnswer(ClientError):
    """The answer is not what the protocol says."""

    kind = "bad_answer"


class RequestRefused(BadAnswer):
    """The component answers that what was asked is wrong: a parameter, a state, a name."""

    @property
    def remedy(self) -> str | None:
        """What to do about it."""
        return (
            self.hint or "Correct what it refuses in the settings; a version that is not supported may refuse it too."
        )


class QueryFailed(ClientError):
    """A SQL statement was refused or failed."""


class RecordingError(DataopsError):
    """A recording cannot be written or read."""


class ActionRefused(DataopsError):
    """The gate refused an action."""
