"""A real KDC, and a real Trino that accepts its tickets only."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.systems.guarded_trino import GuardedTrino
from tests.systems.kerberos import REALM, Kdc, installed

from dataops_core.cli.app import main
from dataops_core.config import KerberosSettings, TlsSettings
from dataops_core.errors import AuthenticationFailed, ClientError, QueryFailed, TimedOut, Unreachable
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.settings import TrinoSettings
from dataops_core.transport.kerberos import KerberosTicket

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.systems,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not installed(), reason="needs MIT Kerberos: apt-get install krb5-kdc krb5-admin-server krb5-user"
    ),
]
URL = "https://localhost:1"
CONFIG = """
[contexts.here.trino]
url = "{url}"
tls = {{ ca_file = "{ca}" }}

[contexts.here.trino.kerberos]
keytab = "{keytab}"
"""


@pytest.fixture(scope="module", autouse=True)
def _library() -> Iterator[None]:
    """The client's library, which has an environment of its own because it is compiled."""
    folders = [str(path) for path in ROOT.glob(".local/kerberos-venv/lib/python*/site-packages")]
    sys.path += folders
    pytest.importorskip("gssapi", reason="make test-systems installs it")
    yield
    for folder in folders:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    kdc = Kdc(tmp_path_factory.mktemp("kdc"))
    for principal in ("dataops", "trino/localhost"):
        kdc.add(principal)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KRB5_CONFIG", str(kdc.config))
        yield kdc
    kdc.stop()


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", str(tmp_path / "cache"))


def ticket(timeout: float = 10, **given: Any) -> KerberosTicket:
    return KerberosTicket(KerberosSettings.model_validate(given), URL, "eu.kerberos", timeout)


def keytab(kdc: Kdc, principal: str = "dataops") -> str:
    return str(kdc.folder / f"{principal}.keytab")


def test_a_keytab_gives_a_ticket_for_each_request(kdc: Kdc) -> None:
    shared = ticket(keytab=keytab(kdc), principal=f"dataops@{REALM}")
    tickets = {shared.current() for _ in range(3)}
    assert len(tickets) == 3
    requested = [line for line in (kdc.folder / "kdc.log").read_text().splitlines() if "trino/localhost" in line]
    assert len(requested) == 1, "the ticket of the service is kept"
    assert ticket(keytab=keytab(kdc)).current(), "without a principal, the first one of the keytab counts"


def test_a_ticket_of_a_keytab_is_renewed(kdc: Kdc) -> None:
    kdc.add("brief")
    kdc.change("modprinc", "-maxlife", "4seconds", "brief")
    shared = ticket(keytab=keytab(kdc, "brief"))
    assert shared.current()
    time.sleep(5)
    assert shared.current()
    requested = [line for line in (kdc.folder / "kdc.log").read_text().splitlines() if "brief@" in line]
    assert len([line for line in requested if "AS_REQ" in line and "ISSUE" in line]) == 2


def test_the_credential_cache_of_the_environment(kdc: Kdc, tmp_path: Path) -> None:
    with pytest.raises(
        AuthenticationFailed, match=r"No Kerberos credentials.*: run kinit, or set eu\.kerberos\.keytab$"
    ):
        ticket().current()
    kdc.sign_in(Path(keytab(kdc)), "dataops", tmp_path / "cache", "-l", "2s")
    assert ticket().current()
    with pytest.raises(AuthenticationFailed, match=r"other@.*: run kinit, or set eu\.kerberos\.keytab$"):
        ticket(principal=f"other@{REALM}").current()
    time.sleep(3)
    with pytest.raises(AuthenticationFailed, match=r"Ticket expired: run kinit, or set eu"):
        ticket().current()
    kdc.sign_in(Path(keytab(kdc)), "dataops", tmp_path / "cache")
    assert ticket().current()


def failure(kdc: Kdc, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        ticket(**given).current()
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("kerberos ")
    return text


def test_an_error_names_the_cause_and_the_fix(kdc: Kdc, tmp_path: Path) -> None:
    mine = keytab(kdc)
    for principal in ("gone", "old", "locked"):
        kdc.add(principal)
    kdc.change("delprinc", "-force", "gone")
    kdc.change("cpw", "-randkey", "old")
    kdc.change("modprinc", "-allow_tix", "locked")
    found = failure(kdc, keytab=keytab(kdc, "gone"))
    assert f"Client 'gone@{REALM}' not found" in found
    assert "correct eu.kerberos.principal, or create it in the KDC" in found
    assert "export the keytab again" in failure(kdc, keytab=keytab(kdc, "old"))
    assert "unlock the principal in the KDC" in failure(kdc, keytab=keytab(kdc, "locked"))
    found = failure(kdc, keytab=mine, principal=f"other@{REALM}")
    assert f"{mine} has no key of other@{REALM}: correct eu.kerberos.principal or eu.kerberos.keytab" in found
    found = failure(kdc, keytab=mine, hostname="other")
    assert found.startswith("kerberos trino/other: ")
    assert "correct eu.kerberos.service_name and eu.kerberos.hostname" in found


def test_the_clock_of_the_kdc_differs(kdc: Kdc) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("needs faketime")
    kdc.stop()
    kdc.start("faketime", "-f", "+20m")
    try:
        assert "synchronize the clocks" in failure(kdc, keytab=keytab(kdc))
    finally:
        kdc.stop()
        kdc.start()


def test_the_kdc_is_unavailable(kdc: Kdc) -> None:
    kdc.stop()
    try:
        with pytest.raises(
            Unreachable, match=r"Cannot contact any KDC.*: check the KDC, and its address in krb5\.conf$"
        ):
            ticket(keytab=keytab(kdc)).current()
    finally:
        kdc.start()


def test_a_kdc_that_hangs_does_not_hang_the_probe(kdc: Kdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        other = kdc.config.read_text().replace(f":{kdc.port}", f":{silent.getsockname()[1]}")
        (tmp_path / "krb5.conf").write_text(other)
        monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
        began = time.monotonic()
        with pytest.raises(TimedOut, match=r"no ticket within 1s: check the KDC"):
            ticket(1, keytab=keytab(kdc)).current()
        assert time.monotonic() - began < 3


class Guarded:
    def __init__(self, folder: Path, kdc: Kdc) -> None:
        ca = trustme.CA()
        self.ca = str(folder / "ca.pem")
        ca.cert_pem.write_to_path(self.ca)
        kind = "http-server.authentication"
        given = {
            f"{kind}.type": "KERBEROS",
            f"{kind}.krb5.service-name": "trino",
            f"{kind}.krb5.principal-hostname": "localhost",
            f"{kind}.krb5.keytab": keytab(kdc, "trino-localhost"),
            f"{kind}.krb5.user-mapping.pattern": "([^@]*)@.*",
            "http.authentication.krb5.config": str(kdc.config),
        }
        self._trino = GuardedTrino(folder, "localhost", ca.issue_cert("localhost"), given)
        self.url = self._trino.url
        self._trino.await_nodes(self.client(KerberosSettings(keytab=keytab(kdc))))

    def client(self, kerberos: KerberosSettings | None, user: str = "dataops") -> TrinoClient:
        settings = TrinoSettings(url=self.url, user=user, kerberos=kerberos, tls=TlsSettings(ca_file=self.ca))
        return TrinoClient(settings, 60)

    def stop(self) -> None:
        self._trino.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, kdc: Kdc) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path_factory.mktemp("guarded"), kdc)
    yield guarded
    guarded.stop()


def test_a_ticket_is_accepted(guarded: Guarded, kdc: Kdc) -> None:
    client = guarded.client(KerberosSettings(keytab=keytab(kdc)))
    assert client.fetch("SELECT current_user, (SELECT count(*) FROM tpch.tiny.nation)", 120) == [("dataops", 25)]
    assert [node.coordinator for node in client.nodes(60)] == [True]
    assert {query.user for query in client.queries()} == {"dataops"}


def test_the_ticket_of_kinit_is_accepted(guarded: Guarded, kdc: Kdc, tmp_path: Path) -> None:
    kdc.sign_in(Path(keytab(kdc)), "dataops", tmp_path / "cache")
    assert guarded.client(KerberosSettings()).fetch("SELECT 1", 60) == [(1,)]


def test_without_a_ticket_trino_rejects_it(guarded: Guarded) -> None:
    with pytest.raises(AuthenticationFailed, match="rejected our credentials"):
        guarded.client(None).queries()


def test_a_ticket_for_another_service_is_rejected(guarded: Guarded, kdc: Kdc) -> None:
    kdc.add("HTTP/localhost")
    with pytest.raises(
        AuthenticationFailed, match=r"kerberos HTTP/localhost: .*\(401\): check trino.kerberos.service_name"
    ):
        guarded.client(KerberosSettings(service_name="HTTP", keytab=keytab(kdc))).queries()


def test_the_principal_may_not_be_another_user(guarded: Guarded, kdc: Kdc) -> None:
    client = guarded.client(KerberosSettings(keytab=keytab(kdc)), "other")
    with pytest.raises(QueryFailed, match="User dataops cannot impersonate user other"):
        client.fetch("SELECT 1", 60)
    with pytest.raises(AuthenticationFailed, match=r"our credentials are those of user dataops, not of other"):
        client.queries()


def test_the_doctor_requests_a_ticket(
    guarded: Guarded, kdc: Kdc, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dataops.toml"
    for name, status, said in (
        (keytab(kdc), 0, "1 of 1 components up"),
        ("none", 1, "trino.kerberos.keytab: cannot read"),
    ):
        path.write_text(CONFIG.format(url=guarded.url, ca=guarded.ca, keytab=name))
        found = main(["--config", str(path), "doctor"])
        out = capsys.readouterr().out
        assert said in out
        assert found == status, out
