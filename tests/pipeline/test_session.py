"""The settings of the Spark session."""

from __future__ import annotations

import re
from dataclasses import fields

from dataops_pipeline.session import REDACTED, _catalog
from dataops_pipeline.settings import JobSettings


def test_spark_shows_no_secret_of_the_catalog_or_the_store() -> None:
    settings = JobSettings(**{field.name: f"the-{field.name}" for field in fields(JobSettings)})  # type: ignore[arg-type]
    options = _catalog(settings)
    secrets = ("the-catalog_credential", "the-s3_secret_key", "the-s3_access_key")
    found = {key: value for key, value in options.items() if any(secret in value for secret in secrets)}
    assert set(found.values()) == set(secrets)
    assert options["spark.redaction.regex"] == REDACTED
    for key in found:
        assert re.search(REDACTED, key), key
