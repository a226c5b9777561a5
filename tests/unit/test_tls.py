"""Services over TLS: who is trusted, the certificate that we show, and files that are none."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.unit.test_clients import Answer, fails

from dataops_core.config import TlsSettings
from dataops_core.errors import BadAnswer, ConfigError, Unreachable
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.settings import CatalogSettings
from dataops_core.systems.prometheus.alerts import AlertsClient
from dataops_core.systems.prometheus.settings import AlertsSettings
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.settings import TrinoSettings

DEADLINE = 5.0
ASK: dict[str, Callable[[str, TlsSettings | None], Any]] = {
    "airflow": lambda url, tls: AirflowClient(AirflowSettings(url=url, token="t", tls=tls), DEADLINE).pools(),
    "airflow's token": lambda url, tls: AirflowClient(
        AirflowSettings(url=url, username="u", password="p", tls=tls), DEADLINE
    ).pools(),
    "trino": lambda url, tls: TrinoClient(TrinoSettings(url=url, tls=tls), DEADLINE).info(),
    "trino's queries": lambda url, tls: TrinoClient(TrinoSettings(url=url, tls=tls), DEADLINE).queries(),
    "trino's statements": lambda url, tls: TrinoClient(TrinoSettings(url=url, tls=tls), DEADLINE).fetch("SELECT 1", 9),
    "prometheus": lambda url, tls: AlertsClient("prometheus", AlertsSettings(url=url, tls=tls), DEADLINE).alerts(),
    "catalog": lambda url, tls: CatalogClient(
        "lake", CatalogSettings(properties={"type": "rest", "uri": url}, tls=tls), DEADLINE
    ).ping(),
}


@dataclass
class Server:
    """A server whose certificate an authority of our own has signed, and that asks for ours."""

    answer: Answer
    tls: TlsSettings


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue_cert("dataops@example.org")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    for blob in ours.cert_chain_pems:
        blob.write_to_path(files["cert"], append=True)
    ours.private_key_pem.write_to_path(files["key"])
    answer = Answer(200, b"no answer of any of them", tls=context)
    yield Server(
        answer, TlsSettings(ca_file=str(files["ca"]), cert_file=str(files["cert"]), key_file=str(files["key"]))
    )
    answer.close()


@pytest.mark.parametrize("who", ASK)
def test_an_authority_and_a_certificate_of_our_own_are_used(who: str, server: Server) -> None:
    fails(lambda: ASK[who](server.answer.url, server.tls), BadAnswer)
    assert server.answer.asked, "it came through, and what was answered is nonsense"


@pytest.mark.parametrize("who", ASK)
@pytest.mark.parametrize("missing", ["ca_file", "cert_file"])
def test_without_them_there_is_no_connection(who: str, missing: str, server: Server) -> None:
    left = server.tls.model_dump(exclude={missing, "key_file" if missing == "cert_file" else missing})
    fails(lambda: ASK[who](server.answer.url, TlsSettings(**left)), Unreachable)
    assert not server.answer.asked


def test_the_settings_outrank_the_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    for who in ("trino's statements", "prometheus"):
        fails(lambda who=who: ASK[who](server.answer.url, server.tls), BadAnswer)  # type: ignore[misc]


@pytest.mark.parametrize("who", ASK)
@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("ca_file", None, "tls.ca_file: cannot read {}: no such file or directory"),
        ("ca_file", b"no certificate", "tls.ca_file: {} contains no certificate in PEM format"),
        ("cert_file", b"no certificate", "tls.cert_file: {} and its key cannot be used"),
        ("key_file", None, "tls.key_file: cannot read {}: no such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    who: str, key: str, content: bytes | None, said: str, server: Server, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    settings = TlsSettings(**{**server.tls.model_dump(), key: str(bad)})
    with pytest.raises(ConfigError) as raised:
        ASK[who](server.answer.url, settings)
    assert said.format(bad) in str(raised.value)


def test_the_key_may_stand_in_the_certificate_s_file(server: Server, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(Path(path or "").read_bytes() for path in (server.tls.cert_file, server.tls.key_file)))
    for ask in ASK.values():
        server.answer.asked.clear()
        with pytest.raises(BadAnswer):
            ask(server.answer.url, TlsSettings(ca_file=server.tls.ca_file, cert_file=str(both)))
        assert server.answer.asked


def test_trino_is_shown_a_token(server: Server) -> None:
    client = TrinoClient(TrinoSettings(url=server.answer.url, tls=server.tls, token="web-token"), DEADLINE)
    fails(client.queries, BadAnswer)
    fails(lambda: client.fetch("SELECT 1", 9), BadAnswer)
    assert [headers["Authorization"] for _, headers in server.answer.asked] == ["Bearer web-token"] * 2
