"""Who may read the exporter, and over what."""

from __future__ import annotations

import base64
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest
import trustme
from tests.exposition import CONFIG

from dataops_core.errors import ConfigError
from dataops_core.systems.registry import load_settings
from dataops_exporter.pages import Pages
from dataops_exporter.server import Server
from dataops_exporter.service import Service
from dataops_exporter.web import WebConfigFile, load

CA = trustme.CA()
SALT = b"$2b$04$" + b"." * 22  # always the same: parallel workers name their tests alike
ALICE = bcrypt.hashpw(b"wonder", SALT).decode()
BLOCK = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  "
MUTUAL = "client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a certificate, its key, the authority's certificate, and settings."""
    write_certificate(tmp_path, CA)
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "dataops.toml").write_text(CONFIG)
    return tmp_path


def write_certificate(folder: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")


def write(folder: Path, content: str) -> Path:
    """Write the web configuration in place of the one before, as a mounted secret changes: by a rename."""
    path = folder / "web.yml"
    fresh = folder / "web.yml.new"
    fresh.write_text(content)
    fresh.replace(path)
    return path


class Running:
    def __init__(self, folder: Path, said: list[str]) -> None:
        self.web = WebConfigFile(folder / "web.yml", said.append)
        service = Service(lambda: load_settings(folder / "dataops.toml"), None, self.web)
        self.server = Server("127.0.0.1", 0, Pages(service), self.web)
        self.said = said
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def status(
        self,
        path: str = "/metrics",
        authorization: str = "",
        context: ssl.SSLContext | None = None,
        scheme: str = "http",
    ) -> int:
        headers = {"Authorization": authorization} if authorization else {}
        scheme = "https" if context else "http"
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{self.server.server_port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                answer.read()
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                challenge = error.headers["WWW-Authenticate"]
                return error.code if challenge or error.code != 401 else 0


@contextmanager
def serving(folder: Path, content: str) -> Iterator[Running]:
    write(folder, content)
    running = Running(folder, [])
    try:
        yield running
    finally:
        running.server.stop(1)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def trusting(authority: trustme.CA, client: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if client is not None:
        client.issue_cert("client@example.org").configure_cert(context)
    return context


def test_basic_auth_and_bearer_tokens(folder: Path) -> None:
    (folder / "token").write_text("s3cret\n")
    with serving(folder, f"basic_auth_users:\n  alice: {ALICE}\nbearer_token_files: [token]\n") as running:
        assert running.status() == 401
        assert running.status(authorization=basic("alice", "wonder")) == 200
        assert running.status(authorization=basic("alice", "wonder")) == 200, "again, from memory"
        assert running.status(authorization=basic("alice", "wrong")) == 401
        assert running.status(authorization=basic("bob", "wonder")) == 401
        assert running.status(authorization="Basic no-base64") == 401
        assert running.status(authorization="Basic é") == 401, "no ASCII"
        assert running.status(authorization=basic("al\0ice", "wonder")) == 401
        assert running.status(authorization=basic("alice", "wonder\0")) == 401
        assert running.status(authorization=basic("alice", "\0")) == 401
        assert running.status(authorization="Bearer é") == 401
        assert running.status(authorization="Bearer s3cret") == 200
        assert running.status(authorization="Bearer wrong") == 401
        assert running.status("/probe?pipeline=p") == 401
        assert running.status("/") == 401
        assert running.status("/-/healthy") == 200, "kubelet has no credentials"


def test_tls_and_a_certificate_that_is_replaced(folder: Path) -> None:
    with serving(folder, TLS) as running:
        assert running.status(context=trusting(CA)) == 200
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            running.status()
        other = trustme.CA()
        write_certificate(folder, other)
        assert running.status(context=trusting(other)) == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            running.status(context=trusting(CA))
        assert running.said == []


def test_a_client_certificate_is_asked_for(folder: Path) -> None:
    with serving(folder, BLOCK + MUTUAL) as running:
        assert running.status(context=trusting(CA, client=CA)) == 200
        for context in (trusting(CA), trusting(CA, client=trustme.CA())):
            with pytest.raises((urllib.error.URLError, OSError)):
                running.status(context=context)


def test_a_change_is_picked_up_and_a_broken_one_is_refused(folder: Path) -> None:
    with serving(folder, "# nobody is asked\n") as running:
        assert running.status() == 200
        write(folder, f"basic_auth_users: {{alice: {ALICE}}}\n")
        assert running.status() == 401
        write(folder, "basic_auth_user: {}\n")
        assert running.status() == 401, "the one before goes on"
        assert running.web.last_reload_successful is False
        (line,) = running.said
        assert "basic_auth_user: unknown or not supported here; known are" in line
        write(folder, "")
        assert running.status() == 200
        assert running.web.last_reload_successful is True


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("tls_server_config: {cert_file: cert.pem}", "tls_server_config.key_file: missing"),
        ("tls_server_config: {cert_file: no.pem, key_file: key.pem}", "no such file or directory"),
        ("tls_server_config: {cert_file: ca.pem, key_file: key.pem}", "not a matching certificate and key"),
        (
            BLOCK + "curve_preferences: [X]",
            "not supported here",
        ),
        (BLOCK + "client_ca_file: ca.pem", "client_ca_file requires"),
        (
            BLOCK + "client_auth_type: RequestClientCert",
            "must be 'NoClientCert', 'VerifyClientCertIfGiven' or 'RequireAndVerifyClientCert'",
        ),
        (
            BLOCK + "min_version: TLS13\n  max_version: TLS12",
            "min_version is above max_version",
        ),
        ("basic_auth_users:\n  alice: hunter2\n", "basic_auth_users.alice: is not a bcrypt hash"),
        (f"basic_auth_users:\n  alice: {ALICE.replace('$04$', '$99$')}\n", "alice: is not a bcrypt hash"),
        (f"basic_auth_users:\n  alice: {ALICE.replace('$04$', '$3$')}9\n", "alice: is not a bcrypt hash"),
        ("basic_auth_users:\n  alice: $2b$10$" + "a" * 53 + "\n", "alice: is not a bcrypt hash"),
        ("basic_auth_users:\n  alice: $2b$10$" + "é" * 53 + "\n", "alice: is not a bcrypt hash"),
        (f'basic_auth_users:\n  "al\\0ice": {ALICE}\n', "basic_auth_users: has a U+0000"),
        (f'basic_auth_users:\n  alice: "{ALICE}\\0"\n', "alice: has a U+0000"),
        (f"basic_auth_users:\n  al\0ice: {ALICE}\n", "line 2: YAML does not allow U+0000"),
        ('bearer_token_files: ["to\\0ken"]\n', "bearer_token_files: has a U+0000"),
        ('bearer_token_files: ["to\\uD800ken"]\n', "bearer_token_files: has a U+D800"),
        ('tls_server_config: {cert_file: "a\\0b", key_file: key.pem}\n', "cert_file: has a U+0000"),
        ("basic_auth_users:\n  a: x\n  a: y\n", "line 3: Duplicate key 'a' found"),
        ("rate_limit: {burst: 3}\n", "rate_limit: unknown or not supported here"),
        ("bearer_token_files: [nowhere]\n", "nowhere: no such file or directory"),
        ("bearer_token_files: [empty]\n", "is empty"),
        ("[]\n", "must be a mapping"),
        ("a: [\n", "line 2"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_secrets(folder: Path, content: str, said: str) -> None:
    (folder / "empty").touch()
    with pytest.raises(ConfigError) as caught:
        load(write(folder, content))
    line = str(caught.value)
    assert said in line
    assert "\n" not in line
    assert "hunter2" not in line
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, OSError)


def test_a_key_that_is_encrypted_is_refused_and_nobody_is_asked(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    with pytest.raises(ConfigError, match="the key is encrypted"):
        load(write(folder, TLS))
