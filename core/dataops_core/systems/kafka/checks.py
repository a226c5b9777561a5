"""Checks of clusters, topics and their readers."""

from __future__ import annotations

import shlex
from datetime import timedelta

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock
from dataops_core.systems.kafka.details import ClusterDetails, GroupDetails, ReaderDetails, TopicDetails
from dataops_core.systems.kafka.settings import ConsumerGroupStage, ReaderStage, TopicStage
from dataops_core.units import UNKNOWN, count, duration

HOT_FROM = 1000
"""Minimum number of records within the window for a hot partition; fewer are not significant."""
RECREATED_FOR = timedelta(days=1)
"""How long a re-created topic is reported, so that the next person on call still sees it."""


def _offline(stage: object, given: CheckInput[TopicDetails | ClusterDetails]) -> Problem | None:
    details = given.details
    state = "offline, without a leader"
    return _partitions(stage, given, details.offline_partitions, details.offline, state, "unavailable")


def _under_replicated(stage: object, given: CheckInput[TopicDetails | ClusterDetails]) -> Problem | None:
    details = given.details
    state = "with fewer in-sync replicas than replicas"
    return _partitions(
        stage, given, details.under_replicated_partitions, details.under_replicated, state, "under-replicated"
    )


def _partitions(
    stage: object,
    given: CheckInput[TopicDetails | ClusterDetails],
    number: int | None,
    names: str | None,
    state: str,
    option: str,
) -> Problem | None:
    """Return the problem of unhealthy partitions of a topic, or of the whole cluster."""
    if not number:
        return None
    partitions, brokers = given.details.partitions, given.details.brokers
    topic = f" --topic {shlex.quote(stage.topic)}" if isinstance(stage, TopicStage) else ""
    total = UNKNOWN if partitions is None else count(partitions)
    return Problem(
        f"{numbered(number, 'partition')} of {total} {state}: {names or UNKNOWN}",
        evidence=(f"live brokers: {UNKNOWN if brokers is None else count(brokers)}",),
        command=_tool(given.details, "kafka-topics", f"--describe{topic} --{option}-partitions"),
    )


def _recreated(_: TopicStage, given: CheckInput[TopicDetails]) -> Problem | None:
    new, old = given.details.topic_id, given.previous.attribute("topic_id") if given.previous else None
    if new and old and new != old:
        return Problem(f"was deleted and re-created: its id is {new}, previously {old}", since=given.now)
    before = next((f for f in given.previous_findings if f.check == "topic-recreated"), None)
    if before is None or before.since is None or given.now - before.since > RECREATED_FOR:
        return None
    return Problem(before.sentence, before.evidence, before.since)


def _hot(stage: TopicStage, given: CheckInput[TopicDetails]) -> Problem | None:
    details = given.details
    partitions, records, hottest = details.partitions, details.records_recent, details.hottest_partition_records
    if partitions is None or records is None or hottest is None or partitions < 2 or records < HOT_FROM:
        return None
    others = (records - hottest) / (partitions - 1)
    if hottest <= stage.hot_partition_factor * others:
        return None
    window = "" if details.recent_window is None else f" in {duration(details.recent_window)}"
    return Problem(
        f"partition {details.hottest_partition} got {count(hottest)} of {count(records)} records{window}"
        f" ({hottest / records:.0%})",
        evidence=(f"the other {count(partitions - 1)} got {count(others)} each on average",),
    )


def _clock_ahead(stage: TopicStage, given: CheckInput[TopicDetails]) -> Problem | None:
    newest = given.observation.progress_time
    ahead = (newest - given.observation.observed_at).total_seconds() if newest else 0.0
    if newest is None or ahead <= stage.clock_ahead_max:
        return None
    return Problem(f"its newest record is from {clock(newest, given.now)}, {duration(ahead)} ahead of now")


def _overtaken(_: ReaderStage, given: CheckInput[ReaderDetails]) -> Problem | None:
    details = given.details
    if not details.lost or details.records_lost is None:
        return None
    return Problem(
        f"retention has deleted {count(details.records_lost)} records that it had not read, in partition {details.lost}"
    )


def _position_beyond_end(stage: ReaderStage, given: CheckInput[ReaderDetails]) -> Problem | None:
    beyond = given.details.beyond_end
    if not beyond:
        return None
    return Problem(
        f"its position is beyond the end of the topic, so the topic was re-created or truncated: {beyond}",
        command=(
            _tool(
                given.details,
                "kafka-consumer-groups",
                f"--group {shlex.quote(stage.group)} --topic {shlex.quote(stage.topic)}"
                " --reset-offsets --to-earliest --execute",
            )
            if isinstance(stage, ConsumerGroupStage)
            else None
        ),
    )


def _retention_near(stage: ReaderStage, given: CheckInput[ReaderDetails]) -> Problem | None:
    oldest, retention = given.observation.pending_since, given.details.retention
    topic = given.details.retention_topic or (stage.topic if isinstance(stage, ConsumerGroupStage) else "")
    if oldest is not None and retention is not None:
        age = (given.now - oldest).total_seconds()
        left = retention - age
        if left < stage.retention_left_min * retention:
            return Problem(
                f"its oldest unread record is {duration(age)} old, and retention deletes records of {topic}"
                f" after {duration(retention)}",
                evidence=(
                    f"deleted in {duration(left)}" if left > 0 else "may be deleted at any moment",
                    f"oldest waiting record entered at {clock(oldest, given.now)}",
                ),
                command=_more_retention(given.details, topic, retention),
            )
    return _size_retention_near(stage, given.details, topic)


def _size_retention_near(stage: ReaderStage, details: ReaderDetails, topic: str) -> Problem | None:
    left, kept = details.records_until_lost, details.records_kept
    if left is None or kept is None or left >= stage.retention_left_min * kept:
        return None
    return Problem(
        f"its position is only {count(left)} records after the beginning of {topic}, and retention by size keeps"
        f" {count(kept)} in that partition",
        command=_tool(
            details,
            "kafka-configs",
            f"--alter --entity-type topics --entity-name {shlex.quote(topic)} --delete-config retention.bytes",
        ),
    )


def _more_retention(details: ReaderDetails, topic: str, retention: float) -> str | None:
    return _tool(
        details,
        "kafka-configs",
        f"--alter --entity-type topics --entity-name {shlex.quote(topic)}"
        f" --add-config retention.ms={2000 * retention:.0f}",
    )


def _never_committed(stage: ConsumerGroupStage, given: CheckInput[GroupDetails]) -> Problem | None:
    if given.details.partitions_committed != 0 or not given.details.members:
        return None
    return Problem(
        f"has {numbered(given.details.members, 'member')}, but has never committed an offset on {stage.topic}"
    )


def _no_members(_: ConsumerGroupStage, given: CheckInput[GroupDetails]) -> Problem | None:
    committed = given.details.partitions_committed
    if given.details.members != 0 or committed is None:
        return None
    return Problem(f"the group has no consumer; it has committed offsets on {numbered(committed, 'partition')}")


def _uneven_lag(_: ReaderStage, given: CheckInput[ReaderDetails]) -> Problem | None:
    details, waiting = given.details, given.observation.lag_records
    most, partitions = details.hottest_partition_lag, details.partitions
    if most is None or partitions is None or waiting is None:
        return None
    if partitions < 2 or waiting < HOT_FROM or most < 0.9 * waiting:
        return None
    return Problem(
        f"partition {details.hottest_partition} holds {count(most)} of {count(waiting)} unread records"
        f" ({most / waiting:.0%})"
    )


def _tool(details: ClusterDetails | TopicDetails | ReaderDetails, tool: str, arguments: str) -> str | None:
    servers = details.bootstrap_servers
    return f"{tool} --bootstrap-server {servers} {arguments}" if servers else None


def _no_controller(_: object, given: CheckInput[ClusterDetails]) -> Problem | None:
    return Problem("the cluster has no controller") if given.details.controller == "none" else None


_BRING_BACK_BROKER = "Restore the broker that holds the replicas. Check its log and its disks."


CLUSTER_CHECKS = (
    Check(
        "no-controller",
        Severity.CRITICAL,
        "The cluster has no controller, so it cannot elect leaders or create topics.",
        "Restore a majority of the controllers.",
        _no_controller,
        explains=True,
    ),
    Check(
        "offline-partitions",
        Severity.WARNING,
        "Partitions of a topic in the cluster have no leader.",
        _BRING_BACK_BROKER,
        _offline,
        explains=True,
    ),
    Check(
        "under-replicated",
        Severity.WARNING,
        "Partitions of a topic in the cluster have fewer in-sync replicas than replicas.",
        _BRING_BACK_BROKER,
        _under_replicated,
    ),
)
TOPIC_CHECKS = (
    Check(
        "offline-partitions",
        Severity.CRITICAL,
        "Partitions have no leader, so they can be neither written nor read.",
        _BRING_BACK_BROKER,
        _offline,
    ),
    Check(
        "topic-recreated",
        Severity.WARNING,
        "The topic has a new id: it was deleted and re-created (reported for 1 day).",
        "Check the positions of its readers: offsets of the old topic are not valid in the new one.",
        _recreated,
    ),
    Check(
        "under-replicated",
        Severity.WARNING,
        "Partitions have fewer in-sync replicas than replicas: the loss of one more broker may make them unavailable.",
        _BRING_BACK_BROKER,
        _under_replicated,
    ),
    Check(
        "clock-ahead",
        Severity.WARNING,
        "The newest record's timestamp lies in the future: the clock of a producer is wrong.",
        "Correct the producer's clock, or let the broker stamp records: message.timestamp.type=LogAppendTime.",
        _clock_ahead,
    ),
    Check(
        "hot-partition",
        Severity.ADVICE,
        "One partition gets far more records than the others, so one reader does most of the work.",
        "Choose a record key that spreads evenly, or salt the frequent key.",
        _hot,
        explains=True,
    ),
)
READER_CHECKS = (
    Check(
        "retention-overtook",
        Severity.CRITICAL,
        "Retention deleted records before the reader read them.",
        "Extend the topic's retention, reload the lost records from another copy, then restart the reader.",
        _overtaken,
    ),
    Check(
        "topic-recreated",
        Severity.CRITICAL,
        "The reader's position is beyond the end of the topic: the topic was re-created or truncated.",
        "Reset the offsets of the group to the beginning of the new topic, or start the Spark query with a new"
        " checkpoint. Otherwise the reader skips records up to its old position.",
        _position_beyond_end,
    ),
    Check(
        "retention-near",
        Severity.WARNING,
        "Retention, by age or by size, will soon delete the oldest record that the reader has not read.",
        "Extend the topic's retention now, then fix the reader.",
        _retention_near,
    ),
    Check(
        "hot-partition",
        Severity.NOTE,
        "At least 90 % of the unread records are in one partition.",
        "Check whether one key dominates the topic, or whether the consumer of that partition hangs.",
        _uneven_lag,
        explains=True,
    ),
)
_OF_GROUPS = (
    Check(
        "no-members",
        Severity.NOTE,
        "The group has no consumer.",
        "Start a consumer of the group.",
        _no_members,
        explains=True,
    ),
    Check(
        "never-committed",
        Severity.NOTE,
        "The group has consumers but has never committed an offset on the topic, so its lag is unknown.",
        "Check the consumers' log, and make them commit (enable.auto.commit, or commit()).",
        _never_committed,
        explains=True,
    ),
)
GROUP_CHECKS = (*READER_CHECKS, *_OF_GROUPS)
