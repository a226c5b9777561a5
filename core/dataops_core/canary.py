"""The canary: a marked record goes through a pipeline, and each hop is timed until the last one has seen it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from string import Template
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from dataops_core.config import CanaryHop, CanarySettings, PipelineSettings, StageSettings
from dataops_core.errors import ClientError, ConfigError
from dataops_core.health.as_json import plain
from dataops_core.systems.clients import prepare
from dataops_core.version import version

if TYPE_CHECKING:
    from dataops_core.systems.clients import Clients
    from dataops_core.systems.kafka.model import Sent
    from dataops_core.systems.trino.client import TrinoClient

POLL = 0.5
"""Seconds between two polls of a hop: a value may be too high by this plus one response time."""
GRACE = 10.0
"""Seconds that a hop is looked at on after the last one has seen the canary, before it counts as skipped."""
TRINO_SECONDS = 20.0
"""How long one answer of Trino may take."""
SCHEMA_VERSION = 1
"""Version of the JSON form; raised when a field changes its meaning or goes away."""


class Outcome(StrEnum):
    """What became of the canary at one hop."""

    SEEN = "seen"
    LATE = "late"
    """Seen, after longer than it may take."""
    SKIPPED = "skipped"
    """Not seen, although a hop further down has seen it."""
    MISSING = "missing"
    """Not seen within the time."""
    UNKNOWN = "unknown"
    """Unknown: the component of the hop does not respond."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A marked record.

    Attributes:
        id: What it is known by; begins with the mark.
        fields: What stands for what in the conditions by which it is looked for.
    """

    id: str
    topic: str
    key: str
    value: str
    fields: dict[str, str]

    @classmethod
    def make(cls, settings: CanarySettings, now: datetime) -> Canary:
        """Return one that has never been before."""
        canary_id = settings.mark + uuid.uuid4().hex[:12]
        at = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"id": canary_id, "now": at}
        key, value = (Template(text).substitute(fields) for text in (settings.key, settings.value))
        return cls(canary_id, settings.topic, key, value, fields)


IsPresent = Callable[["Sent"], bool]
"""Return whether the sent record is there; raises ClientError."""


@dataclass(frozen=True, slots=True)
class Hop:
    """Where to look for a canary.

    Attributes:
        is_present: Returns whether it is there.
        late_after: Seconds from the hop before from which on it is late; `None` for never.
    """

    name: str
    is_present: IsPresent
    late_after: float | None


@dataclass(frozen=True, slots=True)
class HopResult:
    """How a canary passed one hop.

    Attributes:
        after: Seconds from when the topic had it until it was seen here; `None` if it was not.
        took: Seconds of these since the hops before had seen it; for the topic, how long it took to send it.
        error: Why it is unknown.
    """

    hop: str
    outcome: Outcome
    after: float | None = None
    took: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """How a canary passed a pipeline.

    Attributes:
        id: What it is known by.
        sent_at: When it was sent.
        passages: The topic first, then each hop.
    """

    pipeline: str
    id: str
    topic: str
    partition: int
    offset: int
    sent_at: datetime
    passages: tuple[HopResult, ...]


def hops_of(pipeline: PipelineSettings, settings: CanarySettings, canary: Canary, clients: Clients) -> list[Hop]:
    """Return where to look for a canary; raises ConfigError where a component is not configured."""
    stages = {stage.name: stage for stage in pipeline.stages}
    return [_hop(hop, stages.get(hop.stage or ""), canary, clients) for hop in settings.hops]


def _hop(hop: CanaryHop, stage: StageSettings | None, canary: Canary, clients: Clients) -> Hop:
    where = Template(hop.where or "").substitute(canary.fields)
    if stage is None:
        statement = f"SELECT 1 FROM {hop.relation} WHERE {where} LIMIT 1"
        return Hop(hop.name, _in_relation(clients.need("trino", hop.on), statement), hop.late_after)
    kind = clients.registry.stage_kind(stage.kind)
    prepare(kind)  # before the record is sent, and in no hop's time
    if kind is None or kind.find_canary is None:
        raise ConfigError(f"a canary cannot be detected in {hop.name}")
    return Hop(hop.name, kind.find_canary(stage, clients, where), hop.late_after or stage.lag_ok)


def _in_relation(client: TrinoClient, statement: str) -> IsPresent:
    return lambda _: bool(client.fetch(statement, TRINO_SECONDS))


def follow(
    hops: Sequence[Hop],
    sent: Sent,
    sending: float,
    timeout: float,
    on_arrival: Callable[[str, float], None] = lambda _hop, _after: None,
    grace: float = GRACE,
) -> tuple[HopResult, ...]:
    """Look for a canary at all hops at once, until the last one has seen it.

    A hop that does not respond does not delay the others.

    Args:
        hops: Where to look, upstream first.
        sent: Where the record is.
        sending: Seconds that it took to send it.
        timeout: Seconds after which nothing is looked for any more.
        on_arrival: Called with a hop and its seconds, in the order in which they see it.
        grace: Seconds that the others are looked at on after the last hop has seen it.

    Returns:
        The passage of the topic, and that of each hop.
    """
    began = time.monotonic()
    passages = [HopResult(sent.topic, Outcome.SEEN, 0.0, sending)]
    stop = Event()
    watches = [_Watch(hop, sent, began, stop) for hop in hops]
    waited_for = list(watches)
    end = began + timeout
    try:
        while waited_for and time.monotonic() < end:
            stop.wait(0.05)
            for watch in [watch for watch in waited_for if watch.after is not None]:
                waited_for.remove(watch)
                on_arrival(watch.hop.name, watch.after or 0.0)
            last = watches[-1].after
            if last is not None:
                end = min(end, began + last + grace)
    finally:
        stop.set()
    for index, watch in enumerate(watches):
        further = any(later.after is not None for later in watches[index + 1 :])
        passages.append(_result(watch, max(p.after or 0.0 for p in passages), further=further))
    return tuple(passages)


class _Watch:
    """Looks at one hop again and again, in a thread of its own."""

    def __init__(self, hop: Hop, sent: Sent, began: float, stop: Event) -> None:
        self.hop = hop
        self.after: float | None = None
        self.error: str | None = "no response yet"
        self._sent, self._began, self._stop = sent, began, stop
        Thread(target=self._run, name=f"canary {hop.name}", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self.hop.is_present(self._sent):
                    self.after = time.monotonic() - self._began
                    return
                self.error = None
            except ClientError as error:
                self.error = str(error)
            self._stop.wait(POLL)


def _result(watch: _Watch, before: float, *, further: bool) -> HopResult:
    hop, after, error = watch.hop, watch.after, watch.error
    if after is None:
        outcome = Outcome.UNKNOWN if error else Outcome.SKIPPED if further else Outcome.MISSING
        return HopResult(hop.name, outcome, error=error)
    took = max(0.0, after - before)
    late = hop.late_after is not None and took > hop.late_after
    return HopResult(hop.name, Outcome.LATE if late else Outcome.SEEN, after, took)


def as_dict(journey: Journey) -> dict[str, Any]:
    """Return a journey as JSON-ready data, as docs/canary.md describes it."""
    values = {field.name: plain(getattr(journey, field.name)) for field in fields(journey)}
    return {"schema_version": SCHEMA_VERSION, "version": version(), **values}
