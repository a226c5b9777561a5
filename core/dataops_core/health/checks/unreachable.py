"""What is wrong with a component, or a stage, whose probe failed: one finding for each way in which it can fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """A way in which a probe fails.

    Attributes:
        kind: `error_kind` of the probe's result.
        name: Second half of the check id; never changes.
        predicate: What it says, after the component's name.
        meaning: In one sentence for the docs.
        remedy: What to do; `{name}` and `{target}` are those of the component.
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
        "does not answer",
        "No connection to it: refused, no route, or its name is unknown.",
        "Bring {name} at {target} back, or correct its address in the settings.",
    ),
    Failure(
        "timed_out",
        "hung",
        "hangs",
        "It takes connections, and does not answer within the deadline.",
        "Look what {name} at {target} waits for (its log, its threads, its disks), and restart it if it stays.",
    ),
    Failure(
        "credentials_refused",
        "credentials-refused",
        "refuses our credentials",
        "It does not know us (401): the credentials are wrong, expired or were rotated.",
        "Renew the credentials of {name} where the settings read them from; they are read anew at the next look.",
    ),
    Failure(
        "permission_denied",
        "permission-denied",
        "knows us and denies permission",
        "It knows us (403), and does not let us read what the probe needs.",
        "Grant the user of {name} in the settings the right to read.",
    ),
    Failure(
        "bad_answer",
        "bad-answer",
        "answers nonsense",
        "Its answer is not what its protocol says: a proxy's page, half an answer, another product.",
        "Ask {target} by hand: a proxy or another service may answer in place of {name}.",
    ),
    Failure(
        "not_found",
        "not-found",
        "has no such object",
        "The topic, checkpoint, table, DAG or relation of the stage is not there.",
        "Make or start it, or correct its name in the settings.",
    ),
)
UNKNOWN = Failure(
    None,
    "unknown",
    "cannot be told",
    "The probe failed for a reason of its own.",
    "Look at the reason; `dataops probe` shows it.",
)


def failure_of(kind: str | None) -> Failure:
    """Return the way in which a probe failed."""
    return next((failure for failure in FAILURES if failure.kind == kind), UNKNOWN)
