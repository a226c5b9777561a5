"""What `recalibrate_logger` takes from its environment, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dataops_pipeline.jobs.recalibrate_logger import Certificate
from dataops_pipeline.settings import JobError

GIVEN = {
    "BOREAL_PARAM_CALIBRATION_ID": "BL-0701-0004-C9",
    "BOREAL_PARAM_LOGGER_ID": "BL-0701-0004",
    "BOREAL_PARAM_ISSUED_AT": "2013-07-09T09:00:00+02:00",
    "BOREAL_PARAM_VALID_FROM": "2013-07-01T00:00:00Z",
    "BOREAL_PARAM_VALID_UNTIL": "",
    "BOREAL_PARAM_CORRECTION_C": "-0.35",
}


def test_a_certificate_is_read_from_the_environment() -> None:
    assert Certificate.from_env(GIVEN) == Certificate(
        calibration_id="BL-0701-0004-C9",
        logger_id="BL-0701-0004",
        issued_at=datetime(2013, 7, 9, 7, tzinfo=UTC),
        valid_from=datetime(2013, 7, 1, tzinfo=UTC),
        valid_until=None,
        correction_c=-0.35,
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LOGGER_ID", " ", "not given: logger_id: set BOREAL_PARAM_LOGGER_ID"),
        ("CALIBRATION_ID", "a b", "calibration_id 'a b' is not a certificate number"),
        ("CALIBRATION_ID", "x'; DROP TABLE y", "is not a certificate number"),
        ("VALID_FROM", "yesterday", "valid_from 'yesterday' is not a time: write it as 2013-07-01T12:00:00Z"),
        ("VALID_FROM", "2013-02-30T00:00:00Z", "is not a time"),
        ("ISSUED_AT", "2013-07-09T09:00:00", "issued_at '2013-07-09T09:00:00' has no time zone"),
        ("VALID_UNTIL", "2013-07-01T00:00:00Z", "is not after valid_from 2013-07-01T00:00:00+00:00"),
        ("VALID_UNTIL", "2013-06-01T00:00:00Z", "is not after valid_from"),
        ("CORRECTION_C", "warm", "correction_c 'warm' is not a number"),
        ("CORRECTION_C", "nan", "correction_c nan is beyond ±5 °C"),
        ("CORRECTION_C", "-5.1", "correction_c -5.1 is beyond ±5 °C"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(name: str, value: str, told: str) -> None:
    with pytest.raises(JobError) as error:
        Certificate.from_env({**GIVEN, f"BOREAL_PARAM_{name}": value})
    assert told in str(error.value)
    assert "\n" not in str(error.value)
