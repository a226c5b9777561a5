"""Findings for a component or a stage whose probe failed, one per kind of failure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure of a probe.

    Attributes:
        kind: `error_kind` of the probe's result.
        name: Second half of the check id; never changes.
        predicate: Follows the component's name in a sentence.
        meaning: One sentence for the docs.
        remedy: The fix; `{name}` and `{target}` are those of the component.
    """

    kind: str | None
    name: str
    predicate: str
    meaning: str
    remedy: str


FAILURES = (
    Failure(
        "unreachable",
        "unreachable",
        "is unavailable",
        "No connection: connection refused, no route to host, or unknown host name.",
        "Restore {name} at {target}, or correct its address in the settings.",
    ),
    Failure(
        "timed_out",
        "hung",
        "hangs",
        "It accepts connections, but sends no response within the timeout.",
        "Check what blocks {name} at {target} (log, threads, disks), and restart it if necessary.",
    ),
    Failure(
        "credentials_refused",
        "credentials-refused",
        "rejects our credentials",
        "Authentication failed (401): the credentials are wrong, expired or rotated.",
        "Renew the credentials of {name} at the source that the settings name; the next refresh reads them again.",
    ),
    Failure(
        "permission_denied",
        "permission-denied",
        "denies permission",
        "Authorization failed (403): the user may not read what the probe needs.",
        "Grant read access to the user of {name} that the settings name.",
    ),
    Failure(
        "bad_answer",
        "bad-answer",
        "returns an invalid response",
        "The response does not match the protocol: a proxy's error page, a truncated response, another product.",
        "Send a request to {target} manually: a proxy or another service may respond in place of {name}.",
    ),
    Failure(
        "not_found",
        "not-found",
        "has no such object",
        "The topic, checkpoint, table, DAG or relation of the stage does not exist.",
        "Create or start it, or correct its name in the settings.",
    ),
)
UNKNOWN = Failure(
    None,
    "unknown",
    "cannot be probed",
    "The probe failed for another reason.",
    "Run `dataops probe` to see the reason.",
)


def failure_of(kind: str | None) -> Failure:
    """Return the kind of failure; `UNKNOWN` for an unknown kind."""
    return next((failure for failure in FAILURES if failure.kind == kind), UNKNOWN)
