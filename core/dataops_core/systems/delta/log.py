"""The log of a Delta Lake table: commits and the pointer to the newest checkpoint, as typed values.

A field that is missing or of another type is unknown. The product reads the newest commits by itself: `history()` of
deltalake waits for the store without releasing Python's global lock, and numbers the versions wrongly where a commit
has no `commitInfo`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dataops_core.bounded import Malformed, load_object, loads
from dataops_core.reasons import line as in_line
from dataops_core.times import known, moment
from dataops_core.transport.fields import Fields, as_time

WRITES = (
    "WRITE",
    "STREAMING UPDATE",
    "MERGE",
    "COPY INTO",
    "CREATE TABLE AS SELECT",
    "REPLACE TABLE AS SELECT",
    "CREATE OR REPLACE TABLE AS SELECT",
)
"""Operations that add data where they add files."""
NO_NEW_DATA = ("DELETE", "UPDATE", "OPTIMIZE", "RESTORE", "REORG", "TRUNCATE", "FSCK", "VACUUM")
"""First words of operations that add no data although they may add files: these hold rows from before."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of a table.

    Attributes:
        version: Its number.
        at: When it was committed, by the writer's clock; by the store's where the writer left no time.
        operation: What it did; `None` where the writer did not say.
        engine: What wrote it.
        adds_data: Whether it added data; `None` where that is unknown.
        stamp: Progress time in its metadata.
        query_id: The streaming query of Spark that made it.
        whole: Whether all of its file was read.
    """

    version: int
    at: datetime | None
    operation: str | None
    engine: str | None
    adds_data: bool | None
    stamp: datetime | None
    query_id: str | None
    whole: bool


def read_commit(data: bytes, version: int, written_at: datetime | None, most: int, key: str) -> Commit:
    """Return the commit of a file of the log.

    Args:
        data: Its content, or the beginning of one that is larger than `most`.
        version: Its version.
        written_at: When the store says that the file was written.
        most: Bytes after which the content ends.
        key: Key of the stamp.

    Raises:
        Malformed: It is not lines of JSON objects.
    """
    whole = len(data) <= most
    lines = data.splitlines() if whole else data[:most].splitlines()[:-1]
    info, added = Fields({}), False
    for line in lines:
        if not line.strip():
            continue
        action = Fields(load_object(line))
        if "commitInfo" in action.names():
            info = action.inner("commitInfo")
        elif "add" in action.names():
            added = added or action.inner("add").flag("dataChange") is not False
    operation = _text(info, "operation")
    return Commit(
        version=version,
        at=_millis(info, "inCommitTimestamp") or _millis(info, "timestamp") or written_at,
        operation=operation,
        engine=_text(info, "engineInfo"),
        adds_data=_adds_data(operation, added, whole),
        stamp=_stamp(info, key),
        query_id=_text(info.inner("operationParameters"), "queryId"),
        whole=whole,
    )


def read_checkpoint(data: bytes) -> int:
    """Return the version of the newest checkpoint, by `_last_checkpoint`; raises Malformed."""
    return Fields(load_object(data)).require_count("version")


def _adds_data(operation: str | None, added: bool, whole: bool) -> bool | None:
    if operation is not None and operation.upper().startswith(NO_NEW_DATA):
        return False
    if added or whole:
        return added
    return True if operation is not None and operation.upper() in WRITES else None


def _stamp(info: Fields, key: str) -> datetime | None:
    """Return the stamp of a commit: a field of its own, as delta-rs writes it, or one of Spark's `userMetadata`."""
    for result in _metadata(info):
        at = as_time(result.raw(key))
        if at is not None:
            return at
    return None


def _metadata(info: Fields) -> Iterator[Fields]:
    yield info
    text = info.text("userMetadata")
    if text is None:
        return
    try:
        value = loads(text)
    except Malformed:
        return
    if isinstance(value, dict):
        yield Fields(value)


def _millis(info: Fields, name: str) -> datetime | None:
    millis = info.count(name)
    return known(moment(millis, "ms")) if millis is not None else None


def _text(info: Fields, name: str) -> str | None:
    text = info.text(name)
    return in_line(text)[:100] if text else None
