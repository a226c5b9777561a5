"""The process that forks Spark's Python workers: PySpark's own, with less work for each task.

Spark puts two zips and its own jar on the import path of its workers, and PySpark invalidates the import caches for
each task. Before Python 3.12 all 6,700 entries of these archives are then read again (python/cpython#103200). All that
they hold is installed in folders, too. After each task PySpark collects garbage, which takes longer the more is loaded.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import sys
from pathlib import Path


def drop_archives() -> None:
    """Remove archives from the import path, unless PySpark is only in one of them."""
    folders = [entry for entry in sys.path if not Path(entry).is_file()]
    if importlib.machinery.PathFinder.find_spec("pyspark", folders) is not None:
        sys.path[:] = folders
        for entry in [entry for entry in sys.path_importer_cache if Path(entry).is_file()]:
            del sys.path_importer_cache[entry]


if __name__ == "__main__":
    drop_archives()
    from pyspark.daemon import manager

    importlib.import_module("dataops_pipeline.worker")  # once for all workers
    gc.freeze()
    manager()  # type: ignore[no-untyped-call]
