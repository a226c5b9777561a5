"""Tokens for SASL/OAUTHBEARER: what a source may print, and what is said of one that is wrong."""

from __future__ import annotations

import base64
import json
import time

import pytest

from dataops_core.config import SecretSource
from dataops_core.errors import AuthenticationFailed, ConfigError, DataopsError
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.systems.kafka.token import Tokens


def jwt(**claims: object) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), "s"])


def test_a_token_with_its_expiry() -> None:
    ends = int(time.time()) + 600
    web = jwt(exp=ends)
    assert Tokens(web, "kafka k").current() == (web, ends)
    token, expires = Tokens(json.dumps({"access_token": "abc", "expires_in": 60}), "kafka k").current()
    assert (token, round(expires - time.time())) == ("abc", 60)


def test_the_source_is_read_again_before_the_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_TOKEN", json.dumps({"access_token": "one", "expires_in": 1000}))
    tokens = Tokens("${KAFKA_TOKEN}", "kafka k")
    assert tokens.current()[0] == "one"
    monkeypatch.setenv("KAFKA_TOKEN", json.dumps({"access_token": "two", "expires_in": 1000}))
    assert tokens.current()[0] == "one"
    now = time.time()
    monkeypatch.setattr("dataops_core.systems.kafka.token.time.time", lambda: now + 790)
    assert tokens.current()[0] == "one"
    monkeypatch.setattr("dataops_core.systems.kafka.token.time.time", lambda: now + 810)
    assert tokens.current()[0] == "two"
    monkeypatch.setenv("KAFKA_TOKEN", "broken-S3CR3T")
    monkeypatch.setattr("dataops_core.systems.kafka.token.time.time", lambda: now + 2000)
    with pytest.raises(ConfigError):
        tokens.callback("")
    assert tokens.failure is not None
    assert "S3CR3T" not in str(tokens.failure)
    monkeypatch.setenv("KAFKA_TOKEN", json.dumps({"access_token": "three", "expires_in": 1000}))
    assert tokens.callback("")[0] == "three"
    monkeypatch.setenv("KAFKA_TOKEN", json.dumps({"access_token": "four", "expires_in": 1000}))
    assert tokens.forget() is None, "the last renewal did not fail"
    assert tokens.current()[0] == "four"


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ("opaque-S3CR3T", ConfigError, "not a JSON Web Token"),
        (jwt(sub="S3CR3T"), ConfigError, "a token without an expiry date"),
        (jwt(exp=1_000_000_000), AuthenticationFailed, "has expired"),
        ('{"access_token": "S3CR3T"}', ConfigError, "no expires_in"),
        ('{"access_token": "S3CR3T', ConfigError, "not valid JSON"),
        (SecretSource(command=("false",)), ConfigError, "false failed with exit code 1"),
    ],
)
def test_a_wrong_source_is_one_line(source: str, kind: type[DataopsError], says: str) -> None:
    settings = KafkaSettings(
        bootstrap_servers="127.0.0.1:1", token=source, properties={"security.protocol": "SASL_PLAINTEXT"}
    )
    with pytest.raises(kind, match=says) as caught:
        KafkaClient(settings, 2.0).metadata()
    assert "S3CR3T" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_token_needs_sasl() -> None:
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", token=jwt(exp=int(time.time()) + 60))
    with pytest.raises(ConfigError, match="SASL_SSL"):
        KafkaClient(settings, 2.0).metadata()
