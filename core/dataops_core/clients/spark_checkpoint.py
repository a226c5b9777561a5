"""A Structured Streaming query, seen through its checkpoint; Spark commits nothing to Kafka.

The layout is that of Spark's `StreamExecution`: `metadata` holds the query's id; `offsets/N` is written before batch N
runs (line 1 a version, line 2 the batch's own metadata, then one line of JSON for each source, with exclusive end
offsets); `commits/N` is written once batch N is done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dataops_core.errors import BadAnswer, NotFound

Offsets = Mapping[str, Mapping[int, int]]
"""End offsets (exclusive) by topic and partition."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch.

    Attributes:
        number: Its number; Iceberg calls it the epoch.
        at: When its file was written: planned, or committed.
        offsets: Up to where it reads.
    """

    number: int
    at: datetime
    offsets: Offsets


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A query's checkpoint.

    Attributes:
        query_id: The query's id; a new one means that the checkpoint was lost.
        planned: The newest batch that was planned; `None` before the first one.
        committed: The newest batch that was committed; `None` before the first one.
    """

    query_id: str
    planned: Batch | None
    committed: Batch | None


def read_checkpoint(path: str) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        NotFound: There is none.
        BadAnswer: A file in it is not what Spark writes.
    """
    folder = Path(path)
    metadata = folder / "metadata"
    try:
        text = metadata.read_text()
    except FileNotFoundError as error:
        raise NotFound(f"no checkpoint at {path}: the query has never run, or its folder was removed") from error
    except OSError as error:
        raise BadAnswer(f"{metadata}: {error.strerror}") from error
    try:
        query_id = str(json.loads(text)["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadAnswer(f"{metadata} is not Spark's: no query id") from error
    # Commits first: a batch that is committed between the two looks was planned before both.
    committed = _newest(folder / "commits")
    planned = _newest(folder / "offsets")
    return Checkpoint(
        query_id=query_id,
        planned=_batch(folder, *planned) if planned else None,
        committed=_batch(folder, *committed) if committed else None,
    )


def _newest(folder: Path) -> tuple[int, datetime] | None:
    """Return the number and time of the newest batch; temporary files and checksums have no number for a name."""
    try:
        numbers = [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()]
        if not numbers:
            return None
        number = max(numbers)
        return number, datetime.fromtimestamp((folder / str(number)).stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadAnswer(f"{folder}: {error.strerror}") from error


def _batch(folder: Path, number: int, at: datetime) -> Batch | None:
    path = folder / "offsets" / str(number)
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        raise BadAnswer(f"{path} is missing, although batch {number} was committed") from error
    except OSError as error:
        raise BadAnswer(f"{path}: {error.strerror}") from error
    if len(lines) < 3 or not lines[0].startswith("v"):
        raise BadAnswer(f"{path} is not Spark's, or half written: {len(lines)} lines")
    offsets: dict[str, dict[int, int]] = {}
    for line in lines[2:]:
        try:
            source = json.loads(line)
            for topic, partitions in source.items():
                offsets.setdefault(topic, {}).update({int(p): int(end) for p, end in partitions.items()})
        except (ValueError, AttributeError, TypeError) as error:
            raise BadAnswer(f"{path} has a source that is not Kafka's: {line[:80]}") from error
    return Batch(number=number, at=at, offsets=offsets)
