"""When credentials end: certificates of both sides, and tokens."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.settings import ContextSettings
from tests.unit.test_clients import Answer, closed_port

from dataops_core.config import OauthSettings, SecretSource, TlsSettings
from dataops_core.diagnostics.base import Status
from dataops_core.diagnostics.connection import Layer
from dataops_core.diagnostics.doctor import diagnose
from dataops_core.systems.clients import Clients
from dataops_core.systems.iceberg.settings import CatalogSettings
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.systems.trino.settings import TrinoSettings
from dataops_core.transport import credentials
from dataops_core.transport.credentials import Credential, Credentials, Identity, certificate, ours, shown_by, web_token

__all__ = ["closed_port"]

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def identity(name: str, context: Any) -> Identity:
    return Clients(context).probes()[name].identity


INFO = json.dumps({"nodeVersion": {"version": "999"}, "starting": False, "uptime": "1m"}).encode()


def token(**claims: Any) -> str:
    """Return a JSON web token with these claims, and a signature that nobody verifies."""
    parts = ({"alg": "none"}, claims)
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts), "c2ln"])


@pytest.mark.parametrize(
    ("life", "left"),
    [
        (timedelta(hours=1), timedelta(minutes=10)),
        (90 * DAY, 15 * DAY),
        (365 * DAY, 21 * DAY),
        (None, 21 * DAY),
    ],
)
def test_it_is_due_in_the_last_sixth_of_its_life_and_21_days_before_its_end_at_the_latest(
    life: timedelta | None, left: timedelta
) -> None:
    found = Credential("a token", None if life is None else NOW - life, NOW)
    assert found.due == NOW - left


def test_a_token_tells_its_end() -> None:
    begins, ends = NOW.timestamp(), (NOW + DAY).timestamp()
    assert web_token(token(iat=begins, exp=ends)) == Credential("our token", NOW, NOW + DAY)
    assert web_token(token(nbf=begins, exp=ends)).begins == NOW
    assert web_token(token(exp=ends)) == Credential("our token", None, NOW + DAY)


@pytest.mark.parametrize(
    "text",
    ["opaque", "a.b.c", "", "..", token(), token(exp="soon"), token(exp=1e300), f"x.{'A' * 5}.y", "x.WzFd.y", "x.é.y"],
)
def test_a_token_that_tells_none_is_no_failure(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)token"):
        web_token(text)


def test_the_first_certificate_of_a_file_is_the_holder_s_own() -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("x.example.org", not_after=NOW + 5 * DAY)
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems) + authority.cert_pem.bytes()
    assert certificate("ours", chain).ends == NOW + 5 * DAY
    assert certificate("ours", leaf.private_key_pem.bytes() + chain).ends == NOW + 5 * DAY
    with pytest.raises(ValueError, match="parsing asn1"):
        certificate("ours", b"no certificate")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Answer, TlsSettings]]:
    """A Trino whose certificate lasts ten days more, and a certificate of ours that lasts three."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", not_before=NOW - 200 * DAY, not_after=NOW + 10 * DAY).configure_cert(context)
    own = authority.issue_cert("dataops@example.org", not_before=NOW - 200 * DAY, not_after=NOW + 3 * DAY)
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    answer = Answer(200, INFO, tls=context)
    yield answer, TlsSettings(ca_file=str(tmp_path / "ca.pem"), cert_file=str(tmp_path / "own.pem"))
    answer.close()


def test_all_of_a_component_are_seen_and_the_one_that_is_due_first_is_told(server: tuple[Answer, TlsSettings]) -> None:
    answer, tls = server
    secret = token(iat=(NOW - DAY).timestamp(), exp=(NOW + 300 * DAY).timestamp())
    context = ContextSettings(trino=TrinoSettings(url=answer.url, tls=tls, token=secret))
    trino = identity("trino", context)
    (shown,) = shown_by(trino)
    assert shown.what == f"the certificate that {answer.url.removeprefix('https://')} shows"
    assert shown.ends == NOW + 10 * DAY
    found = {credential.what: credential.ends for credential in ours(trino)}
    assert found == {"our certificate own.pem (tls.cert_file)": NOW + 3 * DAY, "our token": NOW + 300 * DAY}
    seen = Clients(context, 5.0).probes()["trino"].ask().observation
    assert seen is not None
    assert seen.attribute("credentials_end") == "our certificate own.pem (tls.cert_file)"
    assert seen.measurement("credentials_end") == (NOW + 3 * DAY).timestamp()
    assert secret not in repr(seen)


def test_the_doctor_says_which_of_ours_is_to_be_renewed(server: tuple[Answer, TlsSettings]) -> None:
    answer, tls = server
    (found,) = diagnose(ContextSettings(trino=TrinoSettings(url=answer.url, tls=tls)), {}, 5.0)
    step = next(step for step in found.steps if step.name is Layer.AUTHENTICATION)
    assert step.status is Status.WARNING
    assert step.detail.startswith("our certificate own.pem (tls.cert_file) expires at ")
    assert "Renew it" in (step.remedy or "")


def test_the_token_endpoint_has_certificates_too(server: tuple[Answer, TlsSettings], closed_port: int) -> None:
    answer, tls = server
    oauth = OauthSettings(token_url=f"{answer.url}/token", client_id="i", client_secret="s", tls=tls)
    trino = identity("trino", ContextSettings(trino=TrinoSettings(url=f"https://127.0.0.1:{closed_port}", oauth=oauth)))
    (shown,) = shown_by(trino)
    assert (shown.what, shown.ends) == (f"the certificate that {answer.url[8:]} shows", NOW + 10 * DAY)
    (own,) = ours(trino)
    assert (own.what, own.ends) == ("our certificate own.pem (oauth.tls.cert_file)", NOW + 3 * DAY)


def test_where_nothing_tells_an_end_nothing_is_said(server: tuple[Answer, TlsSettings], closed_port: int) -> None:
    answer, tls = server
    lost = TlsSettings(cert_file="/no/such/file.pem")
    for context in (
        ContextSettings(trino=TrinoSettings(url=f"http://127.0.0.1:{closed_port}", password="p")),
        ContextSettings(trino=TrinoSettings(url=f"https://127.0.0.1:{closed_port}", tls=lost)),
        ContextSettings(trino=TrinoSettings(url=f"https://127.0.0.1:{closed_port}", token="${NOT_SET_ANYWHERE}")),
        ContextSettings(trino=TrinoSettings(url=answer.url), kafka=KafkaSettings(bootstrap_servers="no-port")),
    ):
        for name, probe in Clients(context).probes().items():
            assert Credentials(probe.identity).current(NOW) == (), name
    assert Credentials(identity("trino", ContextSettings(trino=TrinoSettings(url=answer.url, tls=tls)))).current(NOW)


def test_those_of_kafka_and_of_a_catalog_are_seen_too(tmp_path: Path) -> None:
    own = trustme.CA().issue_cert("dataops@example.org", not_after=NOW + 3 * DAY)
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    (tmp_path / "token").write_text(token(exp=(NOW + DAY).timestamp()))
    context = ContextSettings(
        kafka=KafkaSettings(
            bootstrap_servers="127.0.0.1:1", properties={"ssl.certificate.location": str(tmp_path / "own.pem")}
        ),
        catalogs={
            "lake": CatalogSettings(
                properties={"type": "rest", "uri": "x", "token": SecretSource(file=str(tmp_path / "token"))}
            )
        },
    )
    assert [c.ends for c in ours(identity("kafka", context))] == [NOW + 3 * DAY]
    assert [c.ends for c in ours(identity("lake", context))] == [NOW + DAY]


def test_they_are_looked_at_seldom_and_seen_anew_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counted(identity: Identity) -> Iterator[Credential]:
        reads.append("trino")
        yield from ours(identity)

    monkeypatch.setattr(credentials, "ours", counted)
    path = tmp_path / "token"
    path.write_text(token(exp=(NOW + DAY).timestamp()))
    trino = TrinoSettings(url="http://x", token=SecretSource(file=str(path)))
    seen = Credentials(identity("trino", ContextSettings(trino=trino)))
    assert [c.ends for c in seen.current(NOW)] == [NOW + DAY]
    path.write_text(token(exp=(NOW + 9 * DAY).timestamp()))
    assert [c.ends for c in seen.current(NOW + credentials.CHECK_EVERY / 2)] == [NOW + DAY]
    assert [c.ends for c in seen.current(NOW + credentials.CHECK_EVERY)] == [NOW + 9 * DAY]
    assert reads == ["trino", "trino"]
