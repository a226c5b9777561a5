"""Consumer groups for tests."""

from __future__ import annotations

from dataops_core.systems.kafka.model import ConsumerGroup, GroupLag, Member


def consumer_group(
    name: str, state: str | None, members: int | None, lags: tuple[GroupLag, ...], unreadable: str | None = None
) -> ConsumerGroup:
    """Return a group with so many members, and with its commits as its positions tell."""
    committed = {(at.topic, at.partition): at.committed for at in lags if at.committed is not None}
    its = None if members is None else tuple(Member(f"m-{n}", "c", "/10.0.0.1") for n in range(members))
    return ConsumerGroup(name, state, its, committed, lags, unreadable=unreadable)
