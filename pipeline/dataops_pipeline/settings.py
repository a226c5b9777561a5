"""Settings of the jobs, read from environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

CATALOG = "lake"
"""Name of the Iceberg catalog in Spark, PyIceberg and Trino."""


class JobError(Exception):
    """An error in one line: what is wrong, where, and the fix."""


class NotYet(JobError):
    """A job has no input yet, because an earlier step has not run; this is not a failure."""


@dataclass(frozen=True)
class JobSettings:
    """Addresses of the components and options; each field is the environment variable `BOREAL_<NAME>`.

    Attributes:
        kafka: Bootstrap servers.
        catalog_uri: Address of the Iceberg REST catalog.
        warehouse: Its warehouse, `s3://bucket`.
        catalog_credential: `key:secret` for its token endpoint.
        s3_endpoint: Address of the object store.
        s3_access_key: Key of the object store.
        s3_secret_key: Secret of the object store.
        s3_region: Region of the object store.
        trino: Address of Trino's coordinator.
        raw: Bucket of the raw files, `s3://bucket`.
        checkpoints: Folder of Spark's checkpoints.
        spark_master: Spark's master URL; empty if spark-submit starts the job.
        spark_jars: Folder of additional jars; empty if spark-submit provides them.
        state_hours: How long `detect_excursions` keeps the state of a silent logger.
        trigger_seconds: Interval between the starts of two batches of a stream.
        batch_records: Maximum number of records in a batch of `land_readings`.
    """

    kafka: str
    catalog_uri: str
    warehouse: str
    catalog_credential: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    s3_region: str
    trino: str
    raw: str
    checkpoints: str
    spark_master: str = ""
    spark_jars: str = ""
    state_hours: float = 72.0
    trigger_seconds: float = 5.0
    batch_records: int = 75_000

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raises JobError that lists missing variables or names an invalid number."""
        names = {field.name: f"BOREAL_{field.name.upper()}" for field in fields(cls)}
        needed = [names[field.name] for field in fields(cls) if field.default is MISSING]
        missing = [name for name in needed if not env.get(name)]
        if missing:
            raise JobError(f"not set: {', '.join(missing)}: source the `env` file of the local stack")
        results: dict[str, Any] = {field: env[name] for field, name in names.items() if env.get(name)}
        if "state_hours" in results:
            results["state_hours"] = _number(names["state_hours"], results["state_hours"], "hours", 24 * 365, "a year")
        if "trigger_seconds" in results:
            results["trigger_seconds"] = _number(
                names["trigger_seconds"], results["trigger_seconds"], "seconds", 3600, "an hour"
            )
        if "batch_records" in results:
            results["batch_records"] = int(
                _number(names["batch_records"], results["batch_records"], "records", 10**9, "a billion")
            )
        return cls(**results)

    def s3_properties(self) -> dict[str, Any]:
        """Return the object store's settings, with the names that Iceberg's Spark and Python libraries share."""
        return {
            "s3.endpoint": self.s3_endpoint,
            "s3.access-key-id": self.s3_access_key,
            "s3.secret-access-key": self.s3_secret_key,
        }


def _number(name: str, text: str, unit: str, limit: float, limit_name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < limit:
        raise JobError(f"{name} is {text!r}: a number of {unit}, more than 0 and less than {limit_name}")
    return number


def flag(env: Mapping[str, str], name: str) -> bool:
    """Return a variable that is `true` or `false`, by default false; raises JobError for another value."""
    value = env.get(name, "").lower()
    if value not in {"", "true", "false"}:
        raise JobError(f"{name}: {value!r} is neither true nor false")
    return value == "true"
