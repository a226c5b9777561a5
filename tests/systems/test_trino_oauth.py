"""A real Trino that accepts signed tokens only, and a token endpoint that issues them for a client's secret."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.systems.guarded_trino import GuardedTrino
from tests.token_server import TokenServer

from dataops_core.cli.app import main
from dataops_core.config import OauthSettings, TlsSettings
from dataops_core.errors import AuthenticationFailed
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.settings import TrinoSettings

pytestmark = [pytest.mark.systems, pytest.mark.timeout(600)]
CONFIG = """
[contexts.here.trino]
url = "{url}"
tls = {{ ca_file = "{ca}" }}

[contexts.here.trino.oauth]
token_url = "{token_url}"
client_id = "dataops"
client_secret = "{secret}"
tls = {{ ca_file = "{ca}" }}
"""


class Guarded:
    """Trino, the token endpoint, and the CA of both."""

    def __init__(self, folder: Path) -> None:
        ca = trustme.CA()
        self.ca = str(folder / "ca.pem")
        ca.cert_pem.write_to_path(self.ca)
        certificate = ca.issue_cert("127.0.0.1")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(tls)
        self.tokens = TokenServer(tls)
        (folder / "issuer.pem").write_bytes(self.tokens.public_key())
        kind = "http-server.authentication"
        given = {f"{kind}.type": "JWT", f"{kind}.jwt.key-file": str(folder / "issuer.pem")}
        self._trino = GuardedTrino(folder, "127.0.0.1", certificate, given)
        self.url = self._trino.url
        self._trino.await_nodes(self.client())

    def client(self, secret: str = TokenServer.secret, *, oauth: bool = True) -> TrinoClient:
        """Return a client with another secret, or without any."""
        tls = TlsSettings(ca_file=self.ca)
        given = OauthSettings(token_url=self.tokens.url, client_id="dataops", client_secret=secret, tls=tls)
        return TrinoClient(TrinoSettings(url=self.url, oauth=given if oauth else None, tls=tls), 60)

    def stop(self) -> None:
        self._trino.stop()
        self.tokens.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path_factory.mktemp("guarded"))
    yield guarded
    guarded.stop()


def test_a_token_of_the_endpoint_is_accepted(guarded: Guarded) -> None:
    client, before = guarded.client(), guarded.tokens.issued
    assert client.fetch("SELECT current_user, (SELECT count(*) FROM tpch.tiny.nation)", 120) == [("dataops", 25)]
    assert [node.coordinator for node in client.nodes(60)] == [True]
    assert {query.user for query in client.queries()} == {"dataops"}
    assert guarded.tokens.issued == before + 1


def test_without_a_token_trino_rejects_it(guarded: Guarded) -> None:
    with pytest.raises(AuthenticationFailed, match="rejected our credentials"):
        guarded.client(oauth=False).queries()


def test_the_endpoint_rejects_another_secret(guarded: Guarded) -> None:
    with pytest.raises(AuthenticationFailed, match=r"^oauth https://127.0.0.1:\d+/token: .*invalid_client") as caught:
        guarded.client("another-S3CR3T").fetch("SELECT 1", 60)
    assert "S3CR3T" not in str(caught.value)


def test_the_doctor_signs_in(guarded: Guarded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"url": guarded.url, "ca": guarded.ca, "token_url": guarded.tokens.url}
    path = tmp_path / "dataops.toml"
    for secret, status, said in ((TokenServer.secret, 0, "1 of 1 components up"), ("other", 1, "invalid_client")):
        path.write_text(CONFIG.format(**given, secret=secret))
        found = main(["--config", str(path), "doctor"])
        out = capsys.readouterr().out
        assert said in out
        assert found == status, out


def test_a_token_of_another_key_is_renewed_once(guarded: Guarded) -> None:
    client, key = guarded.client(), guarded.tokens._key
    guarded.tokens.rotate()
    before = guarded.tokens.issued
    with pytest.raises(AuthenticationFailed, match="rejected our credentials"):
        client.fetch("SELECT 1", 60)
    assert guarded.tokens.issued == before + 2
    guarded.tokens._key = key
    assert client.fetch("SELECT 1", 60) == [(1,)]
    assert guarded.tokens.issued == before + 3
