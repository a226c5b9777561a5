"""What a server says of an error is one line, of a class that fits the status, with a remedy that fits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trino

from dataops_core.cli.terminal import Exit, exit_code
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    DataopsError,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
)
from dataops_core.systems.iceberg.store import store_error
from dataops_core.systems.trino.responses import read_http_error
from dataops_core.transport.http import refusal

TITLE = "<!doctype html><html><head><title>502 Bad\n Gateway</title></head><body>nginx</body></html>"
BODIES = {
    "FastAPI": ({"detail": "Internal Server Error"}, "Internal Server Error"),
    "Airflow, an integrity error": (
        {"detail": {"reason": "Unique constraint violation", "statement": "hidden", "orig_error": "hidden"}},
        "Unique constraint violation",
    ),
    "FastAPI, a field": (
        {"detail": [{"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required", "input": {}}]},
        "body.logical_date: Field required",
    ),
    "RFC 9457": ({"type": "about:blank", "title": "Not allowed", "status": 405, "detail": "use GET"}, "use GET"),
    "RFC 9457 without a detail": ({"title": "Bad Request", "status": 400}, "Bad Request"),
    "Iceberg REST": (
        {"error": {"message": "Malformed request", "type": "BadRequestException", "code": 400}},
        "Malformed request",
    ),
    "Prometheus": ({"status": "error", "errorType": "bad_data", "error": "parse error"}, "parse error"),
    "schema registry": ({"error_code": 50001, "message": "Error in the backend"}, "Error in the backend"),
    "OAuth": ({"error": "invalid_client", "error_description": "no such client"}, "no such client"),
    "Alertmanager": ("bad label name", "bad label name"),
    "dbt": (
        {"status": {"code": 404, "is_success": False, "user_message": "No such job."}, "data": None},
        "No such job.",
    ),
    "several lines": ({"detail": "a\n  b\n\tc"}, "a b c"),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 429, 500, 503])
def test_a_body_of_json_is_one_line(name: str, status: int) -> None:
    body, said = BODIES[name]
    error = refusal("service", status, json.dumps(body).encode())
    assert error is not None
    assert error.message.endswith(f": {said}")
    assert not set("{}[]\n") & set(str(error)), "no raw JSON"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, b'{"detail": "conf is wrong"}', RequestRefused, Exit.USAGE),
        (409, b'{"detail": "already exists"}', RequestRefused, Exit.USAGE),
        (422, b'{"detail": [{"msg": "x"}]}', RequestRefused, Exit.USAGE),
        (400, b"<html>The plain HTTP request was sent to HTTPS port</html>", BadAnswer, Exit.CONNECTION),
        (401, b"", AuthenticationFailed, Exit.CONNECTION),
        (403, b"", PermissionDenied, Exit.CONNECTION),
        (404, b"", NotFound, Exit.FAILED),
        (500, b'{"detail": "x"}', BadAnswer, Exit.CONNECTION),
        (502, TITLE.encode(), BadAnswer, Exit.CONNECTION),
    ],
)
def test_a_status_is_an_error_of_its_kind(status: int, body: bytes, kind: type[ClientError], code: Exit) -> None:
    error = refusal("service", status, body)
    assert type(error) is kind
    assert exit_code(error) is code


def test_a_page_is_its_title_and_a_text_its_first_line() -> None:
    assert str(refusal("trino", 502, TITLE)).startswith("trino: HTTP 502: 502 Bad Gateway: ")
    assert "no healthy upstream: " in str(refusal("trino", 503, b"no healthy upstream\nmore"))
    assert str(refusal("trino", 418, b"{broken")) == "trino: HTTP 418"
    assert str(refusal("trino", 418, b"")) == "trino: HTTP 418"


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("120", 120), (" 0 ", 0), ("86400", 86400), ("86401", None), ("9" * 5000, None), ("-1", None), ("1.5", None),
        ("", None), (None, None), ("soon", None), ("\u0661\u0662", None), ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("Fri, 31 Dec 2999 23:59:59", None),
    ],
)  # fmt: skip
def test_a_limited_rate_names_the_time_to_wait(retry_after: str | None, seconds: float | None) -> None:
    error = refusal("service", 429, b"", retry_after)
    assert isinstance(error, RateLimited)
    assert error.seconds == seconds
    assert str(error).startswith("service: HTTP 429: Wait " if seconds is not None else "service: HTTP 429: It limits")


def test_a_limited_rate_may_end_at_a_date() -> None:
    error = refusal("service", 429, b"", format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert isinstance(error, RateLimited)
    assert error.seconds == pytest.approx(90, abs=5)


def test_a_server_that_fails_or_limits_is_not_called_a_proxy() -> None:
    hints = {status: error.hint for status in (429, 500, 503) if (error := refusal("x", status)) is not None}
    assert all(hints.values())
    assert len(set(hints.values())) == 3
    assert not any("proxy" in hint for hint in hints.values() if hint)


@pytest.mark.parametrize("body", ["", 'b\'{"message": "queue is full"}\'', "b'\\xff", "b'" + "[" * 5000, "plain"])
def test_the_text_of_trino_s_driver_is_read_as_the_body_that_it_is(body: str) -> None:
    text = f"error 500: {body}" if body else "error 500"
    status, found = read_http_error(trino.exceptions.HttpError(text))
    assert status == 500
    error = refusal("trino", status, found)
    assert isinstance(error, BadAnswer)
    if "queue" in body:
        assert error.message == "trino: HTTP 500: queue is full"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(2, "No such file"), NotFound),
        (PermissionError(13, "Permission denied"), PermissionDenied),
        (NotADirectoryError(20, "Not a directory"), NotFound),
        (OSError("AWS Error NO_SUCH_BUCKET during HeadBucket"), NotFound),
        (OSError("AWS Error ACCESS_DENIED during GetObject"), PermissionDenied),
        (OSError(5, "Input/output error"), BadAnswer),
    ],
)
def test_what_a_store_fails_with_is_of_its_kind(error: OSError, kind: type[DataopsError]) -> None:
    assert type(store_error("checkpoint /c", error)) is kind
