"""Delta Lake tables: their state through deltalake, and their newest commits through Arrow's file systems."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dataops_core.bounded import Malformed
from dataops_core.config import resolve_secret
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.plain import visible
from dataops_core.reasons import line
from dataops_core.systems.delta.log import Commit, read_checkpoint, read_commit
from dataops_core.systems.delta.settings import OPTIONS, DeltaSettings, DeltaTableStage
from dataops_core.systems.object_prefix.store import Content, ObjectStore
from dataops_core.times import known, moment
from dataops_core.transport.fields import as_count
from dataops_core.transport.worker import StillRunning, call_within
from dataops_core.units import duration

VERSIONS = 30
"""Newest versions that are read of a log, and kept."""
COMMIT_BYTES = 2 * 2**20
"""Bytes that are read of a commit; the beginning of a larger one says what it did."""
LOG = "_delta_log"
INSTALL = "pip install 'dataops-tui[delta]'"
RESTORE = "restore the files of _delta_log from a backup or from object versions"

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FRAMES = re.compile(r"\n\s+0: .*", re.DOTALL)
_GAP = re.compile(r"found gap: .*?version: (\d+),.*-> .*?version: (\d+),", re.DOTALL)
_STORE: tuple[tuple[tuple[str, ...], type[ClientError], str], ...] = (
    (
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401 Unauthorized", "NoCredentials"),
        AuthenticationFailed,
        "rejected our credentials",
    ),
    (("AccessDenied", "403 Forbidden", "PermissionDenied"), PermissionDenied, "denied permission"),
    (("timed out",), TimedOut, "no response in time"),
    (("client error (Connect)", "dns error", "connection error"), Unreachable, "cannot be reached"),
    (("NoSuchBucket",), NotFound, "there is no such bucket"),
)
"""What delta-rs says of an error of the store, and what it is."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest version of a table, by its checkpoint and the commits after it.

    Attributes:
        table_id: Id of the table; a table that replaced another one has a new one.
        version: Its number.
        files: Data files.
        file_bytes: Their size.
        small_files: Those below a size.
        rows: Their rows by the statistics; `None` where a file has none.
        newest: Newest value of the column that was asked for; `None` where no file has statistics of it.
        timestamps: Names of the timestamp columns.
        checkpoint_interval: The table's own; `None` where it sets none.
        reader_version: Version of the protocol that readers need.
        reader_features: Features that readers need.
    """

    table_id: str
    version: int
    files: int
    file_bytes: int | None
    small_files: int | None
    rows: int | None
    newest: datetime | None
    timestamps: tuple[str, ...]
    checkpoint_interval: int | None
    reader_version: int
    reader_features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableState:
    """A table.

    Attributes:
        commits: The newest commits that are in the log, oldest first.
        checkpoint: Version of the newest checkpoint; `None` where none is known.
        uncheckpointed: Versions after it; `None` where that is unknown.
        unreadable: Why a commit cannot be read; `None` where all can.
    """

    snapshot: Snapshot
    commits: tuple[Commit, ...]
    checkpoint: int | None
    uncheckpointed: int | None
    unreadable: str | None


@dataclass(slots=True)
class _Memory:
    """What is kept of a table: commits never change.

    Attributes:
        commits: By version; `None` for one that is not in the log any more.
        data: The newest one that added data, also where it is not among the newest ones any more.
        optimized: As `data`, the newest compaction.
    """

    busy: threading.Lock = field(default_factory=threading.Lock)
    table_id: str = ""
    commits: dict[int, Commit | None] = field(default_factory=dict)
    data: Commit | None = None
    optimized: Commit | None = None


class DeltaClient:
    """Tables below a location; safe to share between threads. Methods raise DataopsError.

    Args:
        name: The component's name.
        settings: Where the tables are.
        timeout: Deadline of opening a table, and of reading its log, in seconds.
    """

    def __init__(self, name: str, settings: DeltaSettings, timeout: float = 8.0) -> None:
        self.name = name
        self.store = ObjectStore(name, settings, timeout)
        self.target = self.store.target
        self._settings = settings
        self._timeout = timeout
        self._memories: dict[tuple[str, str], _Memory] = {}

    def ping(self) -> str:
        """Check that the location exists; return the version of deltalake."""
        version = str(self._sdk().__version__)
        self.store.ping()
        return version

    def table(self, stage: DeltaTableStage) -> TableState:
        """Return the state of a table."""
        memory = self._memories.setdefault((stage.table, stage.progress_key), _Memory())
        snapshot = self._open(stage.table, memory.busy, stage.progress_column, stage.small_file_bytes)
        return self._with_log(stage, snapshot, memory)

    def tables(self, most: int, levels: int) -> tuple[str, ...]:
        """Return the paths of the tables below the location.

        Args:
            most: Objects after which the listing is given up with BadAnswer.
            levels: Levels of folders that are listed.
        """
        return self.store.folders_with(LOG, most, levels)

    def _with_log(self, stage: DeltaTableStage, snapshot: Snapshot, memory: _Memory) -> TableState:
        if memory.table_id != snapshot.table_id:  # the first time, or another table has replaced it
            memory.commits, memory.data, memory.optimized = {}, None, None
            memory.table_id = snapshot.table_id
        commits = dict(memory.commits)
        folder = f"{stage.table.strip('/')}/{LOG}"
        newest = range(snapshot.version, max(-1, snapshot.version - VERSIONS), -1)
        wanted = {version: f"{folder}/{version:020}.json" for version in newest if version not in commits}
        pointer = f"{folder}/_last_checkpoint"
        result = self.store.read(dict.fromkeys((pointer, *wanted.values())), COMMIT_BYTES, cut=True)
        unreadable = None
        for version, path in wanted.items():
            content = result.get(path)
            try:
                if content is not None:
                    at = content.stamp.at
                    commits[version] = read_commit(content.data, version, at, COMMIT_BYTES, stage.progress_key)
                elif version < snapshot.version:
                    commits[version] = None
            except Malformed as error:
                unreadable = f"version {version} of its log cannot be read: it {error}"
        memory.commits = {version: commits[version] for version in newest if version in commits}
        kept = tuple(each for version in reversed(newest) if (each := commits.get(version)) is not None)
        memory.data = next((each for each in reversed(kept) if each.adds_data), memory.data)
        memory.optimized = next((each for each in reversed(kept) if _compacts(each)), memory.optimized)
        older = {each for each in (memory.data, memory.optimized) if each is not None and each not in kept}
        checkpoint, uncheckpointed = self._checkpoint(snapshot.version, result.get(pointer), folder)
        return TableState(
            snapshot=snapshot,
            commits=(*sorted(older, key=lambda each: each.version), *kept),
            checkpoint=checkpoint,
            uncheckpointed=uncheckpointed,
            unreadable=unreadable,
        )

    def _checkpoint(self, version: int, pointer: Content | None, folder: str) -> tuple[int | None, int | None]:
        """Return the version of the newest checkpoint, and the number of versions after it."""
        if pointer is None:  # the pointer is optional: without a checkpoint, the log begins with version 0
            first = f"{folder}/{0:020}.json"
            return None, version + 1 if self.store.read({first: None}, 0, cut=True) else None
        try:
            checkpoint = read_checkpoint(pointer.data)
        except Malformed:
            return None, None
        return (checkpoint, version - checkpoint) if checkpoint <= version else (None, None)

    def _open(self, table: str, busy: threading.Lock, column: str | None, small: float) -> Snapshot:
        sdk, where = self._sdk(), f"{self.store.where}: table {table}"
        options = self._options()
        try:
            return call_within(
                lambda: _snapshot(sdk.DeltaTable(self._uri(table), storage_options=options), column, small),
                self._timeout,
                busy,
                where,
            )
        except StillRunning:
            raise TimedOut(f"{where}: an earlier reading has not ended") from None
        except TimeoutError:
            raise TimedOut(f"{where}: no response within {duration(self._timeout, precise=True)}") from None
        except (_Missing, _NoTimestamp) as error:
            kind = NotFound if isinstance(error, _Missing) else BadAnswer
            raise kind(f"{where}: {error}", hint="correct progress_column") from None
        except OSError as error:
            raise _store_error(where, _plain(error)) from error
        except sdk.exceptions.TableNotFoundError as error:
            raise NotFound(f"{where}: there is no Delta table: no {LOG} with a version was found") from error
        except sdk.exceptions.DeltaError as error:
            raise _log_error(where, _plain(error), sdk.__version__) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of the Rust library; it is no Exception
                raise
            raise BadAnswer(f"{where}: its log cannot be read: {line(_plain(error))}", hint=RESTORE) from error

    def _sdk(self) -> Any:  # noqa: ANN401 - a module that need not be installed
        try:
            import deltalake  # noqa: PLC0415 - an extra
            import deltalake.exceptions  # noqa: PLC0415 - as above
        except ModuleNotFoundError:
            raise ConfigError(f"{self.store.where}: deltalake is not installed", hint=INSTALL) from None
        return deltalake

    def _uri(self, table: str) -> str:
        parts = urlsplit(self._settings.location)
        if parts.scheme in ("", "file"):
            return str(Path(parts.path).expanduser() / table)
        return f"{self._settings.location.rstrip('/')}/{table.strip('/')}"

    def _options(self) -> dict[str, str]:
        scheme = urlsplit(self._settings.location).scheme
        if scheme in ("", "file"):
            return {}
        given = {name: resolve_secret(value, name) for name, value in self._settings.properties.items()}
        return storage_options(scheme, given, self._timeout)


def storage_options(scheme: str, given: Mapping[str, str], timeout: float) -> dict[str, str]:
    """Return the options of delta-rs for the properties of Arrow's file system.

    Args:
        scheme: Scheme of the location.
        given: The properties.
        timeout: Deadline of a request in seconds.
    """
    limit = f"{max(1, int(timeout * 1000))}ms"
    names = OPTIONS.get(scheme, {})
    results = {"timeout": limit, "connect_timeout": limit, "max_retries": "1", "retry_timeout": limit}
    results |= {names[name]: value for name, value in given.items() if names.get(name)}
    endpoint = results.get("aws_endpoint")
    if endpoint is not None and "://" not in endpoint:
        endpoint = f"{given.get('scheme', 'https')}://{endpoint}"
        results["aws_endpoint"] = endpoint
    if endpoint is not None and endpoint.startswith("http://"):
        results["aws_allow_http"] = "true"
    return results


class _Missing(Exception):
    """The table has no such column."""


class _NoTimestamp(Exception):
    """The column holds no timestamps."""


def _snapshot(table: Any, column: str | None, small: float) -> Snapshot:  # noqa: ANN401 - deltalake's own
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.compute as pc  # noqa: PLC0415 - as above

    files = pa.table(table.get_add_actions(flatten=True))
    sizes = files["size_bytes"].combine_chunks()
    rows = files["num_records"].combine_chunks() if "num_records" in files.column_names else None
    kinds = {each.name: str(getattr(each.type, "type", "")) for each in table.schema().fields}
    timestamps = tuple(name for name, kind in kinds.items() if kind.startswith("timestamp"))
    metadata, protocol = table.metadata(), table.protocol()
    interval = metadata.configuration.get("delta.checkpointInterval", "")
    known_sizes = not sizes.null_count and not pc.any(pc.less(sizes, 0)).as_py()
    return Snapshot(
        table_id=str(metadata.id),
        version=table.version(),
        files=files.num_rows,
        file_bytes=as_count(pc.sum(sizes, min_count=0).as_py()) if known_sizes else None,
        small_files=pc.sum(pc.less(sizes, small), min_count=0).as_py() if known_sizes else None,
        rows=_rows(rows),
        newest=_newest(files, column, kinds) if column is not None else None,
        timestamps=timestamps,
        checkpoint_interval=int(interval) if re.fullmatch(r"\d{1,9}", interval) else None,
        reader_version=protocol.min_reader_version,
        reader_features=tuple(sorted(protocol.reader_features or ())),
    )


def _rows(numbers: Any) -> int | None:  # noqa: ANN401 - an array of Arrow's
    import pyarrow.compute as pc  # noqa: PLC0415 - heavy

    if numbers is None or numbers.null_count or pc.any(pc.less(numbers, 0)).as_py():
        return None
    return as_count(pc.sum(numbers, min_count=0).as_py())


def _newest(files: Any, column: str, kinds: Mapping[str, str]) -> datetime | None:  # noqa: ANN401 - a table of Arrow's
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.compute as pc  # noqa: PLC0415 - as above

    if column not in kinds:
        raise _Missing(f"it has no column {column}")
    if not kinds[column].startswith("timestamp"):
        raise _NoTimestamp(f"its column {column} is not a timestamp")
    name = next((name for name in (f"max.{column}", f"partition.{column}") if name in files.column_names), None)
    if name is None or not pa.types.is_timestamp(files[name].type):
        return None
    result = pc.max(files[name].cast(pa.timestamp("us", "UTC")))
    return known(moment(result.value, "us")) if result.is_valid else None


def _compacts(commit: Commit) -> bool:
    return commit.operation is not None and commit.operation.upper().startswith("OPTIMIZE")


def _plain(error: BaseException) -> str:
    """Return the text of an error of delta-rs in one line, without colours and stack frames."""
    return visible(" ".join(_FRAMES.sub("", _COLOURS.sub("", str(error))).split()))


def _store_error(where: str, text: str) -> Exception:
    for words, kind, said in _STORE:
        if any(word in text for word in words):
            return kind(f"{where}: {said}")
    if "Config error" in text or "failed to parse" in text:
        return ConfigError(f"{where}: invalid properties: {line(text)}")
    return BadAnswer(f"{where}: {line(text)}")


def _log_error(where: str, text: str, version: str) -> Exception:
    gap = _GAP.search(text)
    if gap is not None:
        return BadAnswer(
            f"{where}: its log has a gap: commits between the versions {gap[1]} and {gap[2]} are missing", hint=RESTORE
        )
    if "No table metadata or protocol" in text:
        return BadAnswer(
            f"{where}: its log is truncated: the first commits are missing, and there is no checkpoint", hint=RESTORE
        )
    reason = line(text.removeprefix("Kernel error: "))
    if "Unsupported" in text:
        return BadAnswer(
            f"{where}: deltalake {version} cannot read it: {reason.removeprefix('Unsupported: ')}",
            hint="install a newer deltalake, or downgrade the protocol of the table",
        )
    known_kind = next((kind(f"{where}: {said}") for words, kind, said in _STORE if any(w in text for w in words)), None)
    return known_kind or BadAnswer(f"{where}: its log cannot be read: {reason}", hint=RESTORE)
