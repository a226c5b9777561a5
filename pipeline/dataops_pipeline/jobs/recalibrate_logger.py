"""Batch job: add a later certificate of one logger, and restate the logger's readings with it.

The certificate goes into `bronze.recalibrations`, and `conform_readings` uses it from then on. The job first tags
`silver.readings` as `before_<certificate>`, so that the earlier values stay readable. The job is idempotent, and
continues after an interrupted run.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from typing import Self

from pyiceberg.catalog import Catalog
from pyiceberg.expressions import EqualTo
from pyspark.sql import SparkSession

from dataops_pipeline import tables
from dataops_pipeline.catalog import TEN_YEARS_MS, open_catalog
from dataops_pipeline.jobs.runner import run
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import CATALOG, JobError, JobSettings, NotYet
from dataops_pipeline.transforms.readings import restated

PREFIX = "BOREAL_PARAM_"
NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Pattern of a certificate's number, which is part of a tag's name."""
MAX_CORRECTION_C = 5.0
"""Maximum correction; a logger with a larger error is defective."""
SILVER, CALIBRATIONS, RECALIBRATIONS = (
    name.removeprefix(f"{CATALOG}.") for name in (tables.SILVER, tables.CALIBRATIONS, tables.RECALIBRATIONS)
)


@dataclass(frozen=True)
class Certificate:
    """A row of `bronze.recalibrations`; each field is the environment variable `BOREAL_PARAM_<NAME>`.

    Attributes:
        calibration_id: The certificate's number.
        logger_id: The calibrated logger.
        issued_at: If several certificates are valid at a time, the one that was issued last applies.
        valid_from: Start of the validity.
        valid_until: End of the validity, exclusive; `None` if it has no end.
        correction_c: Degrees Celsius, added to the logger's values.
    """

    calibration_id: str
    logger_id: str
    issued_at: datetime
    valid_from: datetime
    valid_until: datetime | None
    correction_c: float

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the certificate from environment variables; raises JobError for a missing or invalid one."""
        given = {name: env.get(f"{PREFIX}{name.upper()}", "").strip() for name in cls.__dataclass_fields__}
        missing = [name for name, value in given.items() if not value and name != "valid_until"]
        if missing:
            raise JobError(f"not given: {', '.join(missing)}: set {PREFIX}{missing[0].upper()} and so on")
        if not NUMBER.fullmatch(given["calibration_id"]):
            raise JobError(
                f"calibration_id {given['calibration_id']!r} is not a certificate number: letters, digits, . _ -"
            )
        times = {
            name: _instant(name, given[name]) if given[name] else None
            for name in ("issued_at", "valid_from", "valid_until")
        }
        result = cls(
            calibration_id=given["calibration_id"],
            logger_id=given["logger_id"],
            correction_c=_degrees(given["correction_c"]),
            **times,  # type: ignore[arg-type] # only valid_until may be None, by the check above
        )
        if result.valid_until is not None and result.valid_until <= result.valid_from:
            raise JobError(
                f"valid_until {result.valid_until.isoformat()} is not after valid_from {result.valid_from.isoformat()}"
            )
        return result


def _instant(name: str, text: str) -> datetime:
    try:
        result = datetime.fromisoformat(text)
    except ValueError as error:
        raise JobError(f"{name} {text!r} is not a time: write it as 2013-07-01T12:00:00Z") from error
    if result.tzinfo is None:
        raise JobError(f"{name} {text!r} has no time zone: write it as 2013-07-01T12:00:00Z")
    return result.astimezone(UTC)


def _degrees(text: str) -> float:
    try:
        result = float(text)
    except ValueError as error:
        raise JobError(f"correction_c {text!r} is not a number") from error
    if not math.isfinite(result) or abs(result) > MAX_CORRECTION_C:
        raise JobError(f"correction_c {text} is beyond ±{MAX_CORRECTION_C:g} °C: the logger is defective")
    return result


def recalibrate(settings: JobSettings) -> str:
    """Add the certificate and restate the logger's readings; return a summary."""
    certificate = Certificate.from_env()
    catalog = open_catalog(settings)
    missing = [name for name in (SILVER, CALIBRATIONS, "bronze.shipments") if not catalog.table_exists(name)]
    if missing:
        raise NotYet(f"not created yet: {', '.join(missing)}: run load_reference_data and conform_readings first")
    known = _known(catalog, certificate)
    spark = spark_session(settings, "recalibrate_logger")
    try:
        tables.create(spark, tables.RECALIBRATIONS)
        tag = _tag(catalog, certificate)
        if not known:
            # Through Spark, which would otherwise keep an older state of the table.
            row = spark.createDataFrame([astuple(certificate)], tables.COLUMNS[tables.RECALIBRATIONS])
            row.writeTo(tables.RECALIBRATIONS).append()
        count = _restate(spark, certificate.logger_id)
    finally:
        spark.stop()
    what = f"{certificate.calibration_id} of logger {certificate.logger_id}"
    if not count:
        return f"nothing to restate: all readings use {what} or a later certificate"
    return f"restated {count} readings with {what}; the earlier values are at the tag {tag} of {tables.SILVER}"


def _known(catalog: Catalog, certificate: Certificate) -> bool:
    """Return whether the certificate exists already.

    Raises:
        JobError: It exists with other values, or no shipment and no certificate names the logger.
    """
    of_logger = EqualTo(term="logger_id", value=certificate.logger_id)
    if not any(
        catalog.load_table(name).scan(of_logger, selected_fields=("logger_id",), limit=1).to_arrow().num_rows
        for name in ("bronze.shipments", CALIBRATIONS)
    ):
        raise JobError(f"no shipment and no certificate names the logger {certificate.logger_id!r}")
    for name in (CALIBRATIONS, RECALIBRATIONS):
        if not catalog.table_exists(name):
            continue
        same_id = EqualTo(term="calibration_id", value=certificate.calibration_id)
        for row in catalog.load_table(name).scan(same_id).to_arrow().to_pylist():
            differs = [field for field, value in asdict(certificate).items() if row[field] != value]
            if differs:
                raise JobError(
                    f"{certificate.calibration_id} is in {CATALOG}.{name} with another {' and '.join(differs)}:"
                    " a certificate is never changed, give the new one an id of its own"
                )
            return True
    return False


def _tag(catalog: Catalog, certificate: Certificate) -> str:
    """Tag the current snapshot of `silver.readings` unless the tag exists; return the tag's name."""
    tag = f"before_{certificate.calibration_id.lower()}"
    silver = catalog.load_table(SILVER)
    current = silver.current_snapshot()
    if current is not None and tag not in silver.metadata.refs:
        with silver.manage_snapshots() as refs:
            refs.create_tag(current.snapshot_id, tag, max_ref_age_ms=TEN_YEARS_MS)
    return tag


def _restate(spark: SparkSession, logger_id: str) -> int:
    """Restate the logger's readings to which another certificate applies now; return their number.

    The commit carries no stamps, because it adds no records; readers find the stamps of earlier commits in the history.
    """
    silver = spark.table(tables.SILVER)
    changed = restated(silver.where(silver["logger_id"] == logger_id), tables.certificates(spark)).persist()
    count = changed.count()
    if count:
        changed.createOrReplaceTempView("changed")
        spark.sql(
            f"MERGE INTO {tables.SILVER} AS s USING changed AS n"
            " ON s.logger_id = n.logger_id AND s.sequence = n.sequence"
            " WHEN MATCHED THEN UPDATE SET s.temperature_c = n.temperature_c, s.calibration_id = n.calibration_id"
        )
    return count


if __name__ == "__main__":
    run(recalibrate)
