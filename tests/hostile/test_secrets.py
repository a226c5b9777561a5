"""Secrets in addresses, statements, errors and settings: none of them is shown or written."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dataops_core.actions import AuditLog
from dataops_core.config import SecretSource
from dataops_core.config.secret import without_user_info
from dataops_core.error_log import error_log_path, log_error
from dataops_core.errors import DataopsError
from dataops_core.redaction import redacted

SECRET = "S3CR3T"
ADDRESSES = (
    "postgresql://u:a/S3CR3T@h/db",
    "postgresql://u:S3CR3T/a@h/db",
    "postgresql://u:p@S3CR3T@h",
    "postgresql://u:S3CR3T@p@h/db",
    "postgresql://u:S3CR3T?x@h/db",
    "postgresql://u:S3CR3T#x@h/db",
    "postgresql://S3CR3T@h",
    "postgresql://u:123/S3CR3T@h/db",
    "http://h/?password=S3CR3T",
    "http://h/p?a=b&token=S3CR3T&c=d",
    "http://h/p?access_token=S3CR3T",
    "http://h/p?X-Amz-Signature=S3CR3T",
    "http://h/p?sig=S3CR3T",
    "http://h/#access_token=S3CR3T",
    "https://u:S3CR3T@h:8443/api",
    "https://user:S3CR3T@[::1]:8443/api",
    "s3://key:S3CR3T@bucket/prefix",
    "mysql+pymysql://u:S3CR3T@h/db",
    "amqp://u:S3CR3T@h//",
    "redis://:S3CR3T@h:6379/0",
    "jdbc:postgresql://u:S3CR3T@h/db",
    "jdbc:postgresql://h/db?user=u&password=S3CR3T",
    "jdbc:sqlserver://h;user=u;password=S3CR3T;encrypt=true",
    "jdbc:oracle:thin:u/S3CR3T@h:1521:x",
)
TEXTS = (
    *ADDRESSES,
    "cannot connect to postgresql://u:S3CR3T@h/db: refused",
    "CALL x(pwd => 'S3CR3T')",
    "CALL x(passphrase => 'S3CR3T', a => 1)",
    "CALL x(passphrase=>'it''s S3CR3T')",
    "CREATE CATALOG c USING j WITH (\"connection-password\" = 'S3CR3T')",
    "Authorization: Bearer S3CR3TS3CR3T",
    "Authorization: Basic S3CR3TS3CR3T",
    '{"password": "S3CR3T", "a": 1}',
    "{'client_secret': 'S3CR3T'}",
    "sasl.password=S3CR3T",
    "s3.secret-access-key=S3CR3T",
    "AWS_SECRET_ACCESS_KEY=S3CR3T",
    "-----BEGIN PRIVATE KEY-----\nS3CR3T\n-----END PRIVATE KEY-----",
)
PLAIN = (
    "",
    "kafka: connection refused at kafka-1:9092",
    "http://trino:8080/v1/statement?a=b",
    "https://h/path@v1",
    "user@example.com",
    "trino.token: missing",
    "web: username and password must both be set",
    "SELECT token_count FROM t WHERE token_count = 5",
    "file:///etc/passwd",
)


@pytest.mark.parametrize("text", TEXTS)
def test_no_secret_is_left_in_a_text(text: str) -> None:
    assert SECRET not in redacted(text)
    assert redacted(redacted(text)) == redacted(text)
    assert SECRET not in str(DataopsError(text))


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_secret_is_left_in_an_address_that_is_shown(address: str) -> None:
    assert SECRET not in without_user_info(address)


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("text", [*TEXTS, "SELECT 1 -- password: S3CR3T", "SELECT 1 /* token: S3CR3T */"])
def test_no_secret_is_written_to_the_audit_file_or_the_error_log(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    audit = AuditLog(tmp_path / "audit.jsonl")
    audit.append({"statement": text, "reason": text})
    assert SECRET not in audit.path.read_text()
    assert audit.verify().problem is None
    log_error(ValueError(text), "a test")
    assert SECRET not in error_log_path().read_text()


def test_a_secret_s_command_is_not_in_its_repr() -> None:
    assert SECRET not in repr(SecretSource(command=("vault", "login", SECRET)))


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "a.",
        "jdbc:a:",
        "eyJ-",
        "eyJaaaaaaaa.",
        "password",
        "password=",
        "://a@",
        "-----BEGIN PRIVATE KEY-----",
        "'",
        "/",
    ],
)
def test_a_long_text_is_looked_through_in_time(part: str) -> None:
    began = time.monotonic()
    redacted(part * (200_000 // len(part)), strict=True)
    redacted("postgresql://" + part * (200_000 // len(part)), strict=True)
    assert time.monotonic() - began < 60
