"""Probe a prefix: its newest object, waiting objects, and incomplete folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from dataops_core.errors import NotFound
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.systems.object_prefix.details import PrefixDetails
from dataops_core.systems.object_prefix.settings import ObjectPrefixStage
from dataops_core.systems.object_prefix.store import ObjectStore, StoredObject
from dataops_core.times import EPOCH


def observe_prefix(stage: ObjectPrefixStage, store: ObjectStore) -> Observation:
    """Return an observation of a prefix.

    With `waits`, all objects older than the oldest one have been read. With a marker, the progress time is that of the
    newest marker, and data in a folder without one waits. Otherwise it is the time of the newest object.
    """
    now = datetime.now(UTC)
    prefixes = prefixes_at(stage.prefix, now)
    listed = _listed(store, prefixes, stage.objects_max)
    data = [each for each in listed if _is_data(each.name, stage)]
    marked = {each.folder: each for each in listed if stage.marker is not None and each.name == stage.marker}
    if stage.waits:
        waiting, done = data, []
    elif stage.marker is not None:
        waiting, done = [each for each in data if each.folder not in marked], list(marked.values())
    else:
        waiting, done = [], data
    oldest, newest = _oldest(waiting), _newest(done)
    progress = (oldest or now) if stage.waits else newest
    held = sum(each.size for each in waiting)
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=progress,
        progress_source=ProgressSource.DERIVED if progress is not None else None,
        position=None if stage.waits else len(data),
        lag_records=len(waiting) if stage.waits or stage.marker is not None else None,
        pending_since=oldest,
        advanced_at=newest,
        details=PrefixDetails(
            prefix=prefixes[0],
            objects=len(data),
            object_bytes=sum(each.size for each in data),
            newest_object=max(data, key=lambda each: each.at or EPOCH).path if data else None,
            newest_object_at=_newest(data),
            objects_waiting=len(waiting),
            bytes_waiting=held,
            folders_marked=len(marked) if stage.marker is not None else None,
            folders_unmarked=len({each.folder for each in data} - set(marked)) if stage.marker is not None else None,
        ),
    )


def prefixes_at(pattern: str, now: datetime) -> tuple[str, ...]:
    """Return the prefixes of a time and of an hour or a day before, because the newest may not exist yet."""
    step = timedelta(hours=1) if "%H" in pattern else timedelta(days=1)
    return tuple(dict.fromkeys(at.strftime(pattern).strip("/") for at in (now, now - step)))


def _listed(store: ObjectStore, prefixes: Sequence[str], most: int) -> list[StoredObject]:
    """Return the objects below the existing prefixes; raise NotFound if none exists."""
    listed: list[StoredObject] = []
    missing: list[NotFound] = []
    for prefix in prefixes:
        try:
            listed += store.objects(prefix, most)
        except NotFound as error:
            missing.append(error)
    if len(missing) == len(prefixes):
        raise missing[0]
    return listed


def _is_data(name: str, stage: ObjectPrefixStage) -> bool:
    return not name.startswith(("_", ".")) and name != stage.marker and fnmatchcase(name, stage.match)


def _oldest(results: Iterable[StoredObject]) -> datetime | None:
    return min((each.at for each in results if each.at is not None), default=None)


def _newest(results: Iterable[StoredObject]) -> datetime | None:
    return max((each.at for each in results if each.at is not None), default=None)
