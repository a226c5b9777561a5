"""Lookup of a logger's shipment and product, for a stream that needs a few hundred of them per batch.

A join in each batch would read or hash a year of shipments. Instead, the tables are joined once, without Spark, into a
file that is sorted by logger. The stream's Python workers map the file into memory and search it.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from dataops_pipeline.settings import NotYet
from dataops_pipeline.transforms.excursions import Limits

Snapshots = tuple[int, int]
"""Snapshot ids of `bronze.shipments` and `bronze.products`."""
SHIPMENTS, PRODUCTS = "bronze.shipments", "bronze.products"


class Box(NamedTuple):
    """The contents of a box with a logger."""

    shipment_id: str
    product_id: str
    lot: str
    limits: Limits


def current(catalog: Catalog) -> Snapshots:
    """Return the current snapshots of the tables; raises NotYet if they have not been loaded."""
    results = []
    for name in (SHIPMENTS, PRODUCTS):
        try:
            snapshot = catalog.load_table(name).current_snapshot()
        except NoSuchTableError:
            snapshot = None
        if snapshot is None:
            raise NotYet(f"{name} has not been loaded: run load_reference_data")
        results.append(snapshot.snapshot_id)
    return results[0], results[1]


def write(catalog: Catalog, snapshots: Snapshots, folder: Path) -> Path:
    """Write the boxes of these snapshots into a folder, as an Arrow file named after them; return its path.

    An existing file of that name already has these contents, and is kept.
    """
    path = folder / f"boxes-{snapshots[0]}-{snapshots[1]}.arrow"
    if path.exists():
        return path
    shipments = catalog.load_table(SHIPMENTS).scan(
        selected_fields=("logger_id", "shipment_id", "product_id", "lot", "packed_at"), snapshot_id=snapshots[0]
    )
    products = catalog.load_table(PRODUCTS).scan(
        selected_fields=("product_id", *Limits._fields), snapshot_id=snapshots[1]
    )
    save(shipments.to_arrow(), products.to_arrow(), path)
    return path


def save(shipments: pa.Table, products: pa.Table, path: Path) -> None:
    """Write shipments with their product's limits, sorted by logger, and by packing time if a logger is reused."""
    boxes = shipments.join(products, "product_id", join_type="inner").sort_by(
        [("logger_id", "ascending"), ("packed_at", "ascending")]
    )
    columns = ["logger_id", "shipment_id", "product_id", "lot", *Limits._fields]
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, boxes.select(columns).schema) as writer:
        # A single record batch, so that a search has no batch to choose.
        writer.write_table(boxes.select(columns).combine_chunks())


class Boxes:
    """The boxes of a file that `save` has written."""

    def __init__(self, path: str) -> None:
        with pa.memory_map(path) as source:
            self._rows = pa.ipc.open_file(source).get_batch(0)
        self._loggers = self._rows.column("logger_id")

    def find(self, logger_id: str) -> Box | None:
        """Return the box that a logger was packed into last; `None` if it is unknown."""
        index = bisect_right(range(len(self._loggers)), logger_id, key=lambda n: self._loggers[n].as_py()) - 1
        if index < 0 or self._loggers[index].as_py() != logger_id:
            return None
        _, shipment_id, product_id, lot, *limits = (column[index].as_py() for column in self._rows.columns)
        return Box(shipment_id, product_id, lot, Limits(*map(float, limits)))


@lru_cache(maxsize=1)
def boxes(path: str) -> Boxes:
    """Return the boxes of a file; a worker opens it once."""
    return Boxes(path)
