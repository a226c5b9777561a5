"""Checks of topics, and of those who read them."""

from __future__ import annotations

import shlex
from datetime import timedelta

from dataops_core.health.checks.base import Check, Found, Look, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock, count, duration
from dataops_core.systems.kafka.settings import ConsumerGroupStage, ReaderStage, TopicStage

HOT_FROM = 1000
"""Records within the window from which a partition can be hot; below it is chance."""
RECREATED_FOR = timedelta(days=1)
"""How long it is said that a topic was made anew: whoever is on call next must still see it."""
READERS = ("consumer_group", "spark_query")


def _offline(stage: object, look: Look) -> Found | None:
    return _partitions(stage, look, "offline", "offline, without a leader", "unavailable")


def _under_replicated(stage: object, look: Look) -> Found | None:
    what = "with fewer in-sync replicas than replicas"
    return _partitions(stage, look, "under_replicated", what, "under-replicated")


def _partitions(stage: object, look: Look, name: str, what: str, option: str) -> Found | None:
    """Look for partitions of a topic, or of the whole cluster, that are not well."""
    number = look.figure(f"{name}_partitions")
    if not number:
        return None
    topic = f" --topic {shlex.quote(stage.topic)}" if isinstance(stage, TopicStage) else ""
    return Found(
        f"{numbered(number, 'partition')} of {count(look.figure('partitions'))} {what}: {look.seen.fact(name)}",
        evidence=(f"live brokers: {count(look.figure('brokers'))}",),
        command=_tool(look, "kafka-topics", f"--describe{topic} --{option}-partitions"),
    )


def _recreated(stage: TopicStage, look: Look) -> Found | None:
    new, old = look.seen.fact("topic_id"), look.previous.fact("topic_id") if look.previous else None
    if new and old and new != old:
        return Found(f"was deleted and made anew: its id is {new}, before {old}", since=look.now)
    told = next((f for f in look.told if f.check == "topic-recreated"), None)
    if told is None or told.since is None or look.now - told.since > RECREATED_FOR:
        return None
    return Found(told.sentence, told.evidence, told.since)


def _hot(stage: TopicStage, look: Look) -> Found | None:
    partitions, records = look.figure("partitions"), look.figure("records_recent")
    hottest = look.figure("hottest_partition_records")
    if partitions < 2 or records < HOT_FROM:
        return None
    others = (records - hottest) / (partitions - 1)
    if hottest <= stage.hot_partition_factor * others:
        return None
    window = duration(look.figure("recent_window"))
    return Found(
        f"partition {look.figure('hottest_partition'):.0f} got {count(hottest)} of {count(records)} records in {window}"
        f" ({hottest / records:.0%})",
        evidence=(f"the other {count(partitions - 1)} got {count(others)} each on average",),
    )


def _clock_ahead(stage: TopicStage, look: Look) -> Found | None:
    newest = look.seen.progress_time
    ahead = (newest - look.seen.observed_at).total_seconds() if newest else 0.0
    if newest is None or ahead <= stage.clock_ahead_max:
        return None
    return Found(f"its newest record is from {clock(newest, look.now)}, {duration(ahead)} ahead of now")


def _overtaken(stage: ReaderStage, look: Look) -> Found | None:
    lost = look.seen.fact("lost")
    if not lost:
        return None
    return Found(
        f"retention has overtaken it: {count(look.figure('records_lost'))} records that it had not read are gone"
        f" in partition {lost}"
    )


def _position_beyond_end(stage: ReaderStage, look: Look) -> Found | None:
    beyond = look.seen.fact("beyond_end")
    if not beyond:
        return None
    return Found(
        f"it has read further than its topic goes, so the topic was deleted and made anew, or cut off: {beyond}",
        command=(
            _tool(
                look,
                "kafka-consumer-groups",
                f"--group {shlex.quote(stage.group)} --topic {shlex.quote(stage.topic)}"
                " --reset-offsets --to-earliest --execute",
            )
            if isinstance(stage, ConsumerGroupStage)
            else None
        ),
    )


def _retention_near(stage: ReaderStage, look: Look) -> Found | None:
    oldest, retention = look.seen.pending_since, look.seen.figure("retention")
    topic = look.seen.fact("retention_topic") or (stage.topic if isinstance(stage, ConsumerGroupStage) else "")
    if oldest is not None and retention is not None:
        age = (look.now - oldest).total_seconds()
        left = retention - age
        if left < stage.retention_left_min * retention:
            return Found(
                f"its oldest waiting record is {duration(age)} old, and retention deletes records of {topic}"
                f" after {duration(retention)}",
                evidence=(
                    f"deleted in {duration(left)}" if left > 0 else "may be deleted any moment",
                    f"oldest waiting record entered at {clock(oldest, look.now)}",
                ),
                command=_more_retention(look, topic, retention),
            )
    return _size_retention_near(stage, look, topic)


def _size_retention_near(stage: ReaderStage, look: Look, topic: str) -> Found | None:
    left, kept = look.seen.figure("records_until_lost"), look.seen.figure("records_kept")
    if left is None or kept is None or left >= stage.retention_left_min * kept:
        return None
    return Found(
        f"it reads {count(left)} records behind the beginning of {topic}, of which retention by size keeps"
        f" {count(kept)} in that partition",
        command=_tool(
            look,
            "kafka-configs",
            f"--alter --entity-type topics --entity-name {shlex.quote(topic)} --delete-config retention.bytes",
        ),
    )


def _more_retention(look: Look, topic: str, retention: float) -> str | None:
    return _tool(
        look,
        "kafka-configs",
        f"--alter --entity-type topics --entity-name {shlex.quote(topic)}"
        f" --add-config retention.ms={2000 * retention:.0f}",
    )


def _never_committed(stage: ConsumerGroupStage, look: Look) -> Found | None:
    if look.seen.figure("partitions_committed") != 0 or not look.figure("members"):
        return None
    return Found(
        f"has {numbered(look.figure('members'), 'member')}, and has never committed an offset on {stage.topic}"
    )


def _no_members(stage: ConsumerGroupStage, look: Look) -> Found | None:
    if look.seen.figure("members") != 0:
        return None
    committed = numbered(look.figure("partitions_committed"), "partition")
    return Found(f"no consumer is in the group; it has committed offsets of {committed}")


def _uneven_lag(stage: ReaderStage, look: Look) -> Found | None:
    most, waiting = look.figure("hottest_partition_lag"), look.seen.lag_records or 0
    partitions = look.figure("partitions")
    if partitions < 2 or waiting < HOT_FROM or most < 0.9 * waiting:
        return None
    return Found(
        f"partition {look.figure('hottest_partition'):.0f} holds {count(most)} of {count(waiting)} waiting records"
        f" ({most / waiting:.0%})"
    )


def _tool(look: Look, tool: str, arguments: str) -> str | None:
    servers = look.seen.fact("bootstrap_servers")
    return f"{tool} --bootstrap-server {servers} {arguments}" if servers else None


def _no_controller(thresholds: object, look: Look) -> Found | None:
    return Found("the cluster has no controller") if look.seen.fact("controller") == "none" else None


_BRING_BACK_BROKER = "Bring the broker back that has the replicas; look at its log and its disks."
CHECKS = (
    Check(
        "offline-partitions",
        ("topic",),
        Severity.CRITICAL,
        "Partitions have no leader: nothing can be written to them, nor read from them.",
        _BRING_BACK_BROKER,
        _offline,
    ),
    Check(
        "retention-overtook",
        READERS,
        Severity.CRITICAL,
        "Records that the reader had not read were deleted by retention: they are lost to it.",
        "Replay what is lost from another copy, then let the reader go on; give the topic more retention.",
        _overtaken,
    ),
    Check(
        "topic-recreated",
        READERS,
        Severity.CRITICAL,
        "The reader's position lies beyond the end of the topic: the topic was deleted and made anew, or lost its end.",
        "Set the reader back to the beginning of the new topic: a group by resetting its offsets, a Spark query with a"
        " new checkpoint; else it skips what it thinks it has read.",
        _position_beyond_end,
    ),
    Check(
        "topic-recreated",
        ("topic",),
        Severity.WARNING,
        "The topic has another id than before: it was deleted and made anew (said for a day).",
        "Check where its readers stand: positions of the old topic mean nothing in the new one.",
        _recreated,
    ),
    Check(
        "retention-near",
        READERS,
        Severity.WARNING,
        "The oldest record that waits for the reader will soon be deleted by retention, by age or by size.",
        "Give the topic more retention now, then see to the reader.",
        _retention_near,
    ),
    Check(
        "under-replicated",
        ("topic",),
        Severity.WARNING,
        "Partitions have fewer in-sync replicas than replicas: one more broker lost may stop them.",
        _BRING_BACK_BROKER,
        _under_replicated,
    ),
    Check(
        "clock-ahead",
        ("topic",),
        Severity.WARNING,
        "The newest record's timestamp lies in the future: the clock of a producer is wrong.",
        "Correct the producer's clock, or let the broker stamp records: message.timestamp.type=LogAppendTime.",
        _clock_ahead,
    ),
    Check(
        "no-members",
        ("consumer_group",),
        Severity.NOTE,
        "The group has no consumer.",
        "Start a consumer of the group.",
        _no_members,
        explains=True,
    ),
    Check(
        "never-committed",
        ("consumer_group",),
        Severity.NOTE,
        "The group has consumers, but has never committed an offset on the topic: its lag cannot be told.",
        "Look at the consumers' log; let them commit (enable.auto.commit, or commit()).",
        _never_committed,
        explains=True,
    ),
    Check(
        "hot-partition",
        ("topic",),
        Severity.ADVICE,
        "One partition gets many times the records of the others, so that one reader does most of the work.",
        "Choose a record key that spreads, or salt the frequent one.",
        _hot,
        explains=True,
    ),
    Check(
        "hot-partition",
        READERS,
        Severity.NOTE,
        "Nine in ten of the waiting records wait in one partition.",
        "Look whether one key dominates the topic, or the consumer of that partition hangs.",
        _uneven_lag,
        explains=True,
    ),
    Check(
        "no-controller",
        ("kafka",),
        Severity.CRITICAL,
        "The cluster has no controller: no leader can be elected, no topic made.",
        "Bring a majority of the controllers back.",
        _no_controller,
        explains=True,
    ),
    Check(
        "offline-partitions",
        ("kafka",),
        Severity.WARNING,
        "Partitions of any topic of the cluster have no leader.",
        _BRING_BACK_BROKER,
        _offline,
        explains=True,
    ),
    Check(
        "under-replicated",
        ("kafka",),
        Severity.WARNING,
        "Partitions of any topic of the cluster have fewer in-sync replicas than replicas.",
        _BRING_BACK_BROKER,
        _under_replicated,
    ),
)


def of(kind: str) -> tuple[Check, ...]:
    """Return the checks of a kind of stage or component."""
    return tuple(check for check in CHECKS if kind in check.on)
