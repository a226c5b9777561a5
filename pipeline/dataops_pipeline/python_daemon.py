"""The process that forks Spark's Python workers: PySpark's own, with less work for each task.

Spark puts two zips and its own jar on the import path of its workers, and PySpark invalidates the import caches for
each task. Before Python 3.13 all 6,700 entries of these archives are then read again (python/cpython#103200). All that
they hold is installed in folders, too. After each task PySpark collects garbage, which takes longer the more is loaded.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import sys
from pathlib import Path


def drop_archives() -> None:
    """Remove the archives of the installed PySpark from the import path."""
    folders = [entry for entry in sys.path if not Path(entry).is_file()]
    installed = importlib.machinery.PathFinder.find_spec("pyspark", folders)
    if installed is None or installed.origin is None:
        return
    home = Path(installed.origin).parent
    for entry in [entry for entry in sys.path if Path(entry).is_file() and Path(entry).is_relative_to(home)]:
        sys.path.remove(entry)
        sys.path_importer_cache.pop(entry, None)


if __name__ == "__main__":
    drop_archives()
    from pyspark.daemon import manager

    importlib.import_module("dataops_pipeline.worker")  # once for all workers
    gc.freeze()
    manager()  # type: ignore[no-untyped-call]
