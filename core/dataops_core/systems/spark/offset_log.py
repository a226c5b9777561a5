"""Parse the files in `offsets` and `metadata` of a checkpoint, for any source.

See `OffsetSeqLog` in Spark: line 1 is the version, line 2 the batch's metadata in JSON, then one line for each
source. A source without data yet is `-`. Version 2 (Spark 4.1) puts the source's id and a colon before each offset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dataops_core.bounded import Malformed, load_object, loads
from dataops_core.errors import BadAnswer
from dataops_core.reasons import line
from dataops_core.times import known, moment
from dataops_core.transport.fields import MAX_COUNT, Fields, as_count

Offsets = Mapping[str, Mapping[int, int]]
"""End offsets (exclusive) of Kafka's sources by topic and partition."""
VERSIONS = (1, 2)
"""Versions of the format that Spark writes."""
NOTHING_YET = "-"
"""Offset of a source without data."""
NEVER_WRITTEN = "Stop the query, keep a copy of the checkpoint, and remove this file: Spark plans the batch again."
ONCE_WRITTEN = "Stop the query, and restore this file from a copy of the checkpoint: its batch is committed."
NOT_SPARK = "Check which program writes to this folder, or correct `checkpoint` in the settings."
NEWER = "Use a version of DataOps TUI that reads this version of Spark."
RESTORE = "Restore the file from a copy of the checkpoint, or start the query with a new checkpoint."
KAFKA, NONE, UNKNOWN = "kafka", "none", "unknown"
_NUMBER = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Source:
    """A source of a query, at the end of a batch.

    Attributes:
        kind: `kafka`, `file`, `delta`, `iceberg`, `kinesis`, `rate`, `number`, `none` without data yet, or `unknown`
            if its offset has another form.
        offset: Its offset if that is one number.
    """

    kind: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The content of a file in `offsets`.

    Attributes:
        offsets: End offsets of its Kafka topics.
        sources: All sources, in the order of the query.
        watermark: Event-time watermark of the batch; `None` for a query without one, or before the first event.
    """

    offsets: Offsets
    sources: tuple[Source, ...]
    watermark: datetime | None


def read_query_id(text: str, where: str) -> str:
    """Return the query's id from the text of `metadata`; raise BadAnswer."""
    if not text.strip():
        raise BadAnswer(f"{where} is empty: the last write of the checkpoint is incomplete", hint=RESTORE)
    try:
        return Fields(load_object(text)).require_text("id")
    except Malformed as error:
        raise BadAnswer(
            f"{where} is not a Spark file: it {error}, so the query id is unknown", hint=NOT_SPARK
        ) from error


def read_plan(text: str, where: str, *, committed: bool = False) -> Plan:
    """Return the plan in the text of a file in `offsets`.

    Args:
        text: The text.
        where: Path of the file, for errors.
        committed: Whether its batch is committed.

    Raises:
        BadAnswer: The file is incomplete, or not in Spark's format.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    version = _version(lines[0] if lines else "", where, committed=committed)
    if len(lines) < 3:
        raise _incomplete(where, f"it ends after line {len(lines)}, before the offsets", committed=committed)
    try:
        watermark = _watermark(lines[1])
    except Malformed as error:
        raise _incomplete(where, f"its metadata {error}", committed=committed) from error
    offsets: dict[str, dict[int, int]] = {}
    sources = []
    for each in lines[2:]:
        offset = (each.partition(":")[2] if version == 2 else each).strip()
        if offset == NOTHING_YET:
            sources.append(Source(NONE))
            continue
        result = _value(offset)
        if result is None and offset.startswith(("{", "[")):
            raise _incomplete(where, "it ends in the middle of an offset", committed=committed)
        kafka = _kafka(result)
        for topic, partitions in (kafka or {}).items():
            offsets.setdefault(topic, {}).update(partitions)
        sources.append(Source(KAFKA) if kafka is not None else _source(result))
    return Plan(offsets, tuple(sources), watermark)


def words(sources: tuple[Source, ...]) -> str:
    """Return sources as text: `file (offset 12), 2 of an unknown format`."""
    counted = Counter(sources)
    named = []
    for source, number in counted.items():
        many = f"{number} " if number > 1 else ""
        at = f" (offset {source.offset:,})" if source.offset is not None else ""
        odd = {UNKNOWN: "of an unknown format", NONE: "without data yet"}.get(source.kind)
        named.append(f"{many or '1 '}{odd}" if odd else f"{many}{source.kind}{at}")
    return ", ".join(named)


def _version(first: str, where: str, *, committed: bool) -> int:
    if not first.strip():
        raise _incomplete(where, "it is empty", committed=committed)
    match = re.fullmatch(r"v([0-9]{1,9})", first.rstrip("\r"))
    if match is None:
        raise BadAnswer(f"{where} is not a Spark log: its first line is {line(first)[:40]!r}", hint=NOT_SPARK)
    number = int(match[1])
    if number not in VERSIONS:
        known_ones = " and ".join(f"v{each}" for each in VERSIONS)
        raise BadAnswer(f"{where} has the format version v{number}, but Spark writes {known_ones}", hint=NEWER)
    return number


def _incomplete(where: str, why: str, *, committed: bool) -> BadAnswer:
    hint = ONCE_WRITTEN if committed else NEVER_WRITTEN
    return BadAnswer(f"the last write of the checkpoint is incomplete: {where}: {why}", hint=hint)


def _watermark(metadata: str) -> datetime | None:
    if not metadata.strip():
        return None
    millis = Fields(load_object(metadata)).count("batchWatermarkMs")
    return known(moment(millis, "ms")) if millis else None


def _value(text: str) -> object:
    """Return the value of an offset, or `None` if it is not JSON."""
    try:
        return loads(text)
    except Malformed:
        return None


def _kafka(answer: object) -> dict[str, dict[int, int]] | None:
    """Return Kafka's offsets, `{"topic": {"0": 23}}`, or `None` for another source."""
    if not isinstance(answer, Mapping):
        return None
    offsets: dict[str, dict[int, int]] = {}
    for topic, partitions in answer.items():
        if not isinstance(partitions, Mapping) or not all(
            _NUMBER.fullmatch(str(number)) and type(end) is int and abs(end) <= MAX_COUNT
            for number, end in partitions.items()
        ):
            return None
        offsets[str(topic)] = {int(number): end for number, end in partitions.items()}
    return offsets


_NAMED = (("file", "logOffset"), ("delta", "reservoirVersion"), ("rate", "offset"))
"""Sources whose offset is an object, with the relevant field."""


def _source(answer: object) -> Source:
    if isinstance(answer, bool):
        return Source(UNKNOWN)
    if isinstance(answer, int):
        return Source("number", answer if abs(answer) <= MAX_COUNT else None)
    if isinstance(answer, Mapping):
        for kind, name in _NAMED:
            if (offset := as_count(answer.get(name))) is not None:
                return Source(kind, offset)
        if "snapshot_id" in answer and "position" in answer:
            return Source("iceberg")
        if answer and all(str(name).startswith(("shardId-", "metadata")) for name in answer):
            return Source("kinesis")
    return Source(UNKNOWN)
