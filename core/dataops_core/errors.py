"""The tree of errors.

DataopsError
├── ConfigError            the settings are wrong
├── ClientError            a request to a component failed
│   ├── Unreachable        no connection: refused, no route, unknown host name
│   ├── TimedOut           no response within the deadline
│   ├── AuthenticationFailed   the component rejected the credentials (401)
│   ├── PermissionDenied   the user may not do that (403)
│   ├── NotFound           the component has no such topic, table, DAG …
│   ├── BadAnswer          the response violates the protocol (HTML with 200, truncated JSON, …)
│   │   ├── RequestRefused the component rejected the request as invalid (400, 409, 422)
│   │   └── RateLimited    the component limits the request rate (429)
│   └── QueryFailed        Trino rejected a statement, or it failed
├── RecordingError         a recording cannot be written or read
└── ActionRefused          the policy refused an action: read-only context, missing confirmation
"""

from __future__ import annotations

from dataops_core.redaction import redacted


class DataopsError(Exception):
    """Base of all errors that a user may see; `str()` is one line without secrets.

    Args:
        message: The problem and its location, in one line.
        hint: The fix, in one line, if known.
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
    """A request to a component failed."""

    kind: str | None = None
    """The `error_kind` of a probe that failed with it; see `dataops_core.health.observation.ProbeResult`."""

    @property
    def remedy(self) -> str | None:
        """The fix, if the cause is known; else the remedy of its kind applies."""
        return self.hint


class Unreachable(ClientError):
    """No connection to the component."""

    kind = "unreachable"


class TimedOut(ClientError):
    """The component sent no response within the deadline."""

    kind = "timed_out"


class NoWorkers(TimedOut):
    """The query waited for worker nodes, and too few joined within the deadline."""


class AuthenticationFailed(ClientError):
    """The component rejected our credentials."""

    kind = "credentials_refused"


class PermissionDenied(ClientError):
    """The component authenticated the user, but denies the request."""

    kind = "permission_denied"


class NotFound(ClientError):
    """The component has no such object."""

    kind = "not_found"


class BadAnswer(ClientError):
    """The response violates the protocol."""

    kind = "bad_answer"


class RequestRefused(BadAnswer):
    """The component rejected the request as invalid: a parameter, a state, a name."""

    @property
    def remedy(self) -> str | None:
        """The fix; by default, the settings or the version may be wrong."""
        return self.hint or "Correct the rejected value in the settings, and check that the version is supported."


class RateLimited(BadAnswer):
    """The component limits the request rate.

    Args:
        message: As in `DataopsError`.
        hint: As in `DataopsError`.
        seconds: Seconds until the component accepts requests again (`Retry-After`); `None` if it does not report it.
    """

    def __init__(self, message: str, *, hint: str | None = None, seconds: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class QueryFailed(ClientError):
    """Trino rejected a SQL statement, or it failed."""


class RecordingError(DataopsError):
    """A recording cannot be written or read."""


class ActionRefused(DataopsError):
    """The policy refused an action."""
