"""The doctor: at which layer a connection fails, and what it says to do."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.settings import ContextSettings
from tests.unit.test_clients import Answer, closed_port, silent_port

from dataops_core.cli.app import main
from dataops_core.config import OauthSettings, TlsSettings
from dataops_core.diagnostics.base import Status, Step
from dataops_core.diagnostics.connection import Layer
from dataops_core.diagnostics.doctor import Diagnosis, diagnose
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.systems.trino.settings import TrinoSettings

__all__ = ["closed_port", "silent_port"]

INFO = json.dumps({"nodeVersion": {"version": "999"}, "starting": False, "uptime": "1m"}).encode()


def trino(url: str, tls: TlsSettings | None = None) -> Diagnosis:
    (found,) = diagnose(ContextSettings(trino=TrinoSettings(url=url, tls=tls)), {}, 1.0)
    return found


def broken(found: Diagnosis, layer: Layer, detail: str, mend: str) -> None:
    """Check that this layer, and none before it, has failed."""
    *before, last = found.steps
    assert found.status is Status.FAILED
    assert (last.name, last.status) == (layer, Status.FAILED), last
    assert detail in last.detail
    assert mend in (last.remedy or "")
    assert "\n" not in last.detail + (last.remedy or "")
    assert all(step.status is not Status.FAILED for step in before)


@pytest.fixture
def secured() -> Iterator[Callable[..., Answer]]:
    """Return a maker of servers over TLS: what they answer, for which name, and until when."""
    made: list[Answer] = []

    def make(authority: trustme.CA, name: str = "127.0.0.1", ends: datetime | None = None, status: int = 200) -> Answer:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name, not_after=ends).configure_cert(context)
        made.append(Answer(status, INFO, tls=context))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def answer() -> Iterator[Callable[..., Answer]]:
    made: list[Answer] = []

    def make(*arguments: Any) -> Answer:
        made.append(Answer(*arguments))
        return made[-1]

    yield make
    for server in made:
        server.close()


def test_a_name_that_nobody_knows() -> None:
    broken(trino("http://no-such-host.invalid:8080"), Layer.NAME, "no-such-host.invalid: ", "Correct the name")


def test_nobody_listens(closed_port: int) -> None:
    found = trino(f"http://127.0.0.1:{closed_port}")
    broken(found, Layer.TCP, f"127.0.0.1:{closed_port}: connection refused", "Start it, or correct the port")
    assert found.steps[0] == Step(Layer.NAME, Status.OK, "127.0.0.1")


@pytest.mark.programs
def test_what_takes_connections_and_says_nothing(silent_port: int) -> None:
    broken(trino(f"https://127.0.0.1:{silent_port}"), Layer.TLS, "no handshake within 1s", "sends nothing")
    broken(trino(f"http://127.0.0.1:{silent_port}"), Layer.PROTOCOL, "no response within 1s", "Check what blocks")


def test_a_certificate_that_is_not_trusted_expired_or_of_another_name(
    secured: Callable[..., Answer], tmp_path: Path
) -> None:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    tls = TlsSettings(ca_file=str(file))
    broken(trino(secured(authority).url), Layer.TLS, "certificate", "set the CA that signed it: trino.tls")
    gone = secured(authority, ends=datetime.now(UTC) - timedelta(days=1))
    broken(trino(gone.url, tls), Layer.TLS, "certificate has expired", "Renew the server's certificate")
    broken(trino(secured(authority, "example.org").url, tls), Layer.TLS, "mismatch", "Use a host name")
    well = trino(secured(authority, ends=datetime.now(UTC) + timedelta(days=60)).url, tls)
    assert [step.status for step in well.steps] == [Status.OK] * 6
    soon = trino(secured(authority, ends=datetime.now(UTC) + timedelta(days=9)).url, tls)
    assert soon.status is Status.WARNING
    assert [step.name for step in soon.steps if step.status is Status.WARNING] == [Layer.TLS]


def test_the_token_endpoint_is_tested_before_a_token_is_requested(
    secured: Callable[..., Answer], answer: Callable[..., Answer], tmp_path: Path, closed_port: int
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = answer(200, INFO)

    def tested(token_url: str, tls: TlsSettings | None = None) -> Diagnosis:
        oauth = OauthSettings(token_url=token_url, client_id="i", client_secret="s", tls=tls)
        (found,) = diagnose(ContextSettings(trino=TrinoSettings(url=server.url, oauth=oauth)), {}, 1.0)
        return found

    unknown = tested("https://no-such-idp.invalid/token")
    broken(unknown, Layer.NAME, "token endpoint: no-such-idp.invalid: ", "Correct the name")
    refused = f"token endpoint: 127.0.0.1:{closed_port}: connection refused"
    broken(tested(f"https://127.0.0.1:{closed_port}/token"), Layer.TCP, refused, "Start it, or correct the port")
    url = f"{secured(ca).url}/token"
    broken(tested(url), Layer.TLS, "token endpoint: 127.0.0.1:", "the CA that signed it: trino.oauth.tls.ca_file")
    steps = tested(url, TlsSettings(ca_file=str(tmp_path / "ca.pem"))).steps
    layers = [Layer.NAME, Layer.TCP, Layer.TLS]
    assert [step.name for step in steps[:6]] == layers * 2
    assert [step.detail.startswith("token endpoint: ") for step in steps[:6]] == [False] * 3 + [True] * 3


def test_tls_where_there_is_none_and_none_where_there_is(
    secured: Callable[..., Answer], answer: Callable[..., Answer]
) -> None:
    url = answer(200, INFO).url
    broken(trino(url.replace("http:", "https:")), Layer.TLS, "", "does not use TLS: set the TLS port")
    port = secured(trustme.CA()).url.rpartition(":")[2]
    broken(trino(f"http://127.0.0.1:{port}"), Layer.PROTOCOL, "", f"Port {port} uses TLS: set an https:// address")


@pytest.mark.parametrize(
    ("status", "body", "layer", "mend"),
    [
        (401, b"{}", Layer.AUTHENTICATION, "Renew the credentials of airflow"),
        (403, b"{}", Layer.PERMISSION, "Grant read access to the user"),
        (404, b"{}", Layer.PROTOCOL, "Airflow 2 or 3 is required"),
        (200, b"<html>Sign in</html>", Layer.PROTOCOL, "manually: a proxy or another service"),
    ],
)
def test_what_it_answers_tells_the_layer(
    status: int, body: bytes, layer: Layer, mend: str, answer: Callable[..., Answer]
) -> None:
    settings = AirflowSettings(url=answer(status, body).url, token="t")
    (found,) = diagnose(ContextSettings(airflow=settings), {}, 1.0)
    broken(found, layer, "", mend)


def test_a_secret_that_is_not_there(answer: Callable[..., Answer]) -> None:
    settings = AirflowSettings(url=answer(200, b"{}").url, token="${NO_SUCH_TOKEN}")
    (found,) = diagnose(ContextSettings(airflow=settings), {}, 1.0)
    broken(found, Layer.SETTINGS, "the environment variable NO_SUCH_TOKEN is not set", "settings")


@pytest.mark.programs
def test_of_several_brokers_each_is_tried(closed_port: int, silent_port: int) -> None:
    def kafka(servers: str) -> Diagnosis:
        (found,) = diagnose(ContextSettings(kafka=KafkaSettings(bootstrap_servers=servers)), {}, 1.0)
        return found

    away = f"127.0.0.1:{closed_port}"
    broken(kafka(f"{away},no-such-host.invalid:9092"), Layer.TCP, f"{away}: connection refused", "Start it")
    found = kafka(f"{away},127.0.0.1:{silent_port}")
    assert Step(Layer.TCP, Status.WARNING, f"{away}: connection refused", found.steps[3].remedy) in found.steps
    assert found.steps[-1].name is Layer.PROTOCOL


@pytest.mark.programs
def test_one_that_hangs_delays_no_other(silent_port: int, answer: Callable[..., Answer]) -> None:
    context = ContextSettings(
        airflow=AirflowSettings(url=f"http://127.0.0.1:{silent_port}", token="t"),
        trino=TrinoSettings(url=answer(200, INFO).url),
    )
    by_name = {found.name: found.status for found in diagnose(context, {}, 1.0)}
    assert by_name == {"airflow": Status.FAILED, "trino": Status.OK}


def test_the_command_tells_the_layer_and_the_mend(
    tmp_path: Path, closed_port: int, answer: Callable[..., Answer], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dataops.toml"
    file.write_text(
        f'probe_timeout = 1\n[contexts.dev.trino]\nurl = "{answer(200, INFO).url}"\n'
        f'[contexts.dev.airflow]\nurl = "http://127.0.0.1:{closed_port}"\ntoken = "t"\n'
        '[pipelines.orders]\ncontext = "dev"\n[[pipelines.orders.stages]]\nname = "build"\nkind = "dag"\ndag_id = "b"\n'
    )
    assert main(["--config", str(file), "doctor", "trino"]) == 0
    assert "1 of 1 components up" in capsys.readouterr().out
    assert main(["--config", str(file), "doctor"]) == 1
    said = capsys.readouterr().out
    assert f"✖ airflow tcp: 127.0.0.1:{closed_port}: connection refused" in said
    assert "fix: Start it, or correct the port in the settings." in said
    assert "? not checked, because airflow failed: orders/build" in said
    assert "1 of 2 components up, 0 of 1 stages found" in said
    assert main(["--config", str(file), "doctor", "--output", "json", "airflow"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["diagnoses"]] == ["airflow", "orders/build"]
    assert found["diagnoses"][0]["steps"][-1]["layer"] == "tcp"
    assert main(["--config", str(file), "doctor", "trinity"]) == 2
    assert 'there is no component "trinity"' in capsys.readouterr().err


def test_an_sdk_that_cannot_be_imported_is_the_fault_of_its_own_component(
    answer: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(kind: str) -> None:
        raise ImportError(kind)

    monkeypatch.setattr("dataops_core.diagnostics.doctor.prepare", prepare)
    assert trino(answer(200, INFO).url).status is Status.OK
