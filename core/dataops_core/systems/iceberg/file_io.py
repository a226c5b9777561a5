"""Read PyIceberg's files over connections that are kept between refreshes."""

from __future__ import annotations

from functools import lru_cache, partial

from pyarrow.fs import FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT, Properties

STORES = ("s3.", "client.", "gcs.", "adls.", "hdfs.")
"""How the properties begin that make a file system; a table's own have no part in it."""
KEPT = 32
"""File systems that are kept: one for each store and its credentials. A catalog may change credentials every hour."""


class KeptFileIO(PyArrowFileIO):
    """Arrow's file systems, one for all tables of a store.

    PyIceberg's own is new for each loaded table, and part of a reference cycle: so each refresh opened
    new connections, and left them and their buffers (16 KiB and more each) until the next garbage collection.
    """

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        kept = {name: value for name, value in properties.items() if name.startswith(STORES)}
        self.fs_by_scheme = partial(_file_system, frozenset(kept.items()))


@lru_cache(maxsize=KEPT)
def _file_system(properties: frozenset[tuple[str, str]], scheme: str, netloc: str | None) -> FileSystem:
    return PyArrowFileIO(dict(properties)).fs_by_scheme(scheme, netloc)
