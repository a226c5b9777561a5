"""Read PyIceberg's files over connections that stay open between refreshes."""

from __future__ import annotations

from functools import lru_cache, partial

from pyarrow.fs import FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT, Properties

STORES = ("s3.", "client.", "gcs.", "adls.", "hdfs.")
"""Prefixes of the properties of a file system; properties of a table do not matter."""
KEPT = 32
"""Maximum number of cached file systems, one per store and credentials. A catalog may rotate credentials every hour."""


class KeptFileIO(PyArrowFileIO):
    """File IO with one Arrow file system for all tables of a store.

    PyIceberg creates one for each loaded table, as part of a reference cycle. Each refresh then opens new connections,
    and keeps them and their buffers (16 KiB and more each) until the next garbage collection.
    """

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        kept = {name: value for name, value in properties.items() if name.startswith(STORES)}
        self.fs_by_scheme = partial(_file_system, frozenset(kept.items()))


@lru_cache(maxsize=KEPT)
def _file_system(properties: frozenset[tuple[str, str]], scheme: str, netloc: str | None) -> FileSystem:
    return PyArrowFileIO(dict(properties)).fs_by_scheme(scheme, netloc)
