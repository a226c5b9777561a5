"""A broker that lets in only whom it knows: TLS with SCRAM and OAUTHBEARER, and what is said where it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization
from tests.brokers import Brokers
from tests.e2e.conftest import until
from tests.ports import free_base
from tests.settings import Settings
from tests.token_server import TokenServer

from dataops_core.config import SecretSource
from dataops_core.diagnostics.base import Status as StepStatus
from dataops_core.diagnostics.connection import Layer
from dataops_core.diagnostics.doctor import Diagnosis, diagnose
from dataops_core.errors import AuthenticationFailed, PermissionDenied
from dataops_core.health.model import HealthSnapshot, StageState, Status
from dataops_core.monitor import Monitor
from dataops_core.systems.kafka import cluster
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.probe import observe_group
from dataops_core.systems.kafka.records import Start, peek
from dataops_core.systems.kafka.settings import ConsumerGroupStage
from dataops_local.layout import OFFSETS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

PORT_BASE = free_base([1, 2, *(50 + offset for offset in OFFSETS.values())])
SCRAM, OAUTH = PORT_BASE + 1, PORT_BASE + 2
TOPIC = "guarded"
READS = ((ResourceType.TOPIC, TOPIC, AclOperation.READ), (ResourceType.TOPIC, TOPIC, AclOperation.DESCRIBE_CONFIGS))
PACKAGE = "org.apache.kafka.common.security"


class Guarded:
    """The broker, the authority that signed its certificate, and the identity provider that it believes."""

    def __init__(self, folder: Path, tokens: TokenServer) -> None:
        self.folder = folder
        self.tokens = tokens
        self.brokers = Brokers(folder / "stack", PORT_BASE + 50)
        authority, other = trustme.CA(), trustme.CA()
        self.ca, self.other_ca = folder / "ca.pem", folder / "other-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        other.cert_pem.write_to_path(str(self.other_ca))
        certificate = authority.issue_cert("127.0.0.1")
        key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
        store = folder / "broker.pem"
        store.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + b"".join(part.bytes() for part in certificate.cert_chain_pems)
        )
        jwks = folder / "jwks.json"
        jwks.write_text(tokens.keys())
        scram, oauth = "listener.name.scram", "listener.name.oauth"
        plain = self.brokers.layout.port("kafka")
        controller = self.brokers.layout.port("kafka controller")
        shown = f"PLAINTEXT://127.0.0.1:{plain},SCRAM://127.0.0.1:{SCRAM},OAUTH://127.0.0.1:{OAUTH}"
        properties = {
            "listeners": f"{shown},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": shown,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,OAUTH:SASL_SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": store,
            f"{scram}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"{scram}.scram-sha-512.sasl.jaas.config": f"{PACKAGE}.scram.ScramLoginModule required;",
            f"{oauth}.sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{oauth}.oauthbearer.sasl.jaas.config": f"{PACKAGE}.oauthbearer.OAuthBearerLoginModule required;",
            f"{oauth}.oauthbearer.sasl.server.callback.handler.class": (
                f"{PACKAGE}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            "sasl.oauthbearer.jwks.endpoint.url": jwks.as_uri(),
            "sasl.oauthbearer.expected.audience": "kafka",
            "sasl.oauthbearer.expected.issuer": "tests",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }
        written = self.brokers.layout.dir("kafka") / "server.properties"
        with written.open("a") as end:  # the last one of a name counts
            end.writelines(f"{name}={value}\n" for name, value in properties.items())
        self.allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks.as_uri()}"
        self.allowed += f" -Dorg.apache.kafka.sasl.oauthbearer.allowed.files={jwks}"

    def user(self, name: str, password: str) -> None:
        """Make a user, or give one another password."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        asked = self.brokers.admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(name, info, password.encode())]
        )
        asked[name].result(20)

    def allow(self, name: str, rights: Sequence[tuple[ResourceType, str, AclOperation]] = READS) -> None:
        """Let a user read the topic, or give it other rights."""
        bindings = [
            AclBinding(kind, what, ResourcePatternType.LITERAL, f"User:{name}", "*", may, AclPermissionType.ALLOW)
            for kind, what, may in rights
        ]
        for done in self.brokers.admin.create_acls(bindings).values():
            done.result(20)

    def settings(self, port: int, **properties: Any) -> Settings:
        """Return settings that come in with these properties; `_` stands for `.` in their names."""
        given = {name.replace("_", "."): value for name, value in properties.items()}
        return Settings.model_validate(
            {
                "contexts": {
                    "test": {
                        "kafka": {
                            "bootstrap_servers": f"127.0.0.1:{port}",
                            "properties": {
                                "security.protocol": "SASL_SSL",
                                "ssl.ca.location": str(self.ca),
                                **given,
                            },
                        }
                    }
                },
                "pipelines": {"p": {"context": "test", "stages": [{"name": TOPIC, "kind": "topic", "topic": TOPIC}]}},
            }
        )

    def look(self, port: int, **properties: Any) -> Monitor:
        """Return a monitor that comes in with these properties."""
        return Monitor(self.settings(port, **properties))

    def doctor(self, port: int, **properties: Any) -> Diagnosis:
        """Return what the doctor says of the broker; SCRAM with the right password, if not told else."""
        who = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "patient", "sasl_password": "fourth"}
        settings = self.settings(port, **{**who, **properties})
        found, stage = diagnose(settings.contexts["test"], settings.pipelines, 8)
        # The topic is not looked for where the broker itself fails: one cause, one finding.
        assert stage.status is (StepStatus.UNKNOWN if found.status is StepStatus.FAILED else StepStatus.OK)
        assert "fourth" not in repr((found, stage))
        return found

    def scram(self, user: str, password: object, **properties: Any) -> Monitor:
        return self.look(
            SCRAM, sasl_mechanism="SCRAM-SHA-512", sasl_username=user, sasl_password=password, **properties
        )

    def oauth(self, secret: str) -> Monitor:
        return self.look(
            OAUTH,
            sasl_mechanism="OAUTHBEARER",
            sasl_oauthbearer_method="oidc",
            sasl_oauthbearer_client_id="dataops",
            sasl_oauthbearer_client_secret=secret,
            sasl_oauthbearer_token_endpoint_url=self.tokens.url,
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    tokens = TokenServer()
    guarded = Guarded(tmp_path_factory.mktemp("guarded"), tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", guarded.allowed)
        try:
            guarded.brokers.start()
            guarded.brokers.topic(TOPIC)
            guarded.brokers.produce(TOPIC, 10)
            guarded.user("reader", "first")
            guarded.allow("reader")
            guarded.user("patient", "fourth")
            guarded.allow("patient")
            guarded.allow("dataops")
            yield guarded
        finally:
            guarded.brokers.stop()
            tokens.stop()


def status(snapshot: HealthSnapshot) -> Status:
    return snapshot.pipelines[0].verdict.status


def refused(snapshot: HealthSnapshot, check: str, *secrets: str) -> str:
    """Assert that nothing is known and why, in one line without secrets; return the line."""
    (pipeline,) = snapshot.pipelines
    assert (pipeline.verdict.status, pipeline.verdict.check_id) == (Status.UNKNOWN, f"kafka/{check}")
    assert pipeline.stages[0].state is StageState.UNKNOWN
    assert "\n" not in pipeline.verdict.sentence
    for secret in secrets:
        assert secret not in repr(snapshot)
    return pipeline.verdict.sentence


def test_scram_lets_a_user_in_and_a_rotated_password_is_picked_up(guarded: Guarded) -> None:
    password = guarded.folder / "password"
    password.write_text("first")
    watch = guarded.scram("reader", {"file": str(password)})
    until("it is let in", watch.once, lambda seen: status(seen) is Status.OK, 30)

    guarded.user("reader", "second")
    fresh = guarded.scram("reader", {"file": str(password)})
    seen = until("it is refused", fresh.once, lambda seen: status(seen) is Status.UNKNOWN, 30)
    assert "reader" not in refused(seen, "credentials-refused", "first", "second")
    password.write_text("second")
    until("it is let in with the new one", fresh.once, lambda seen: status(seen) is Status.OK, 30)


def test_an_unknown_authority_is_refused(guarded: Guarded) -> None:
    watch = guarded.scram("reader", "second", ssl_ca_location=str(guarded.other_ca))
    assert "certificate verify failed" in refused(watch.once(), "credentials-refused", "second")


def test_who_may_not_read_is_told_so(guarded: Guarded) -> None:
    guarded.user("stranger", "third")
    watch = guarded.scram("stranger", "third")
    (pipeline,) = watch.once().pipelines
    assert pipeline.verdict.status is Status.UNKNOWN
    assert "third" not in repr(pipeline)
    guarded.allow("stranger")
    until("it may read now", watch.once, lambda seen: status(seen) is Status.OK, 30)


def test_the_rights_of_a_reader_are_those_of_the_docs(guarded: Guarded) -> None:
    """docs/systems/kafka.md: Read on the topic and Describe on its group, and nothing on the cluster."""
    guarded.brokers.commit("billing", TOPIC, {0: 4})
    guarded.user("counter", "fifth")
    guarded.allow("counter", [READS[0], (ResourceType.GROUP, "billing", AclOperation.DESCRIBE)])
    who = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "counter", "sasl_password": "fifth"}
    client = KafkaClient(guarded.settings(SCRAM, **who).contexts["test"].kafka, 8.0)
    until(
        "it has its rights", lambda: cluster.groups(client), lambda groups: [g.name for g in groups] == ["billing"], 30
    )
    seen = observe_group(ConsumerGroupStage(name="g", kind="consumer_group", group="billing", topic=TOPIC), client)
    assert (seen.lag_records, seen.details.retention) == (6, None), "its retention needs DescribeConfigs"
    assert seen.pending_since is not None
    snapshot = cluster.scan(client, lambda _: True, lambda _: True)
    assert (set(snapshot.topics), snapshot.groups["billing"].lag, snapshot.failures) == ({TOPIC}, 6, ())
    batches = peek(client, TOPIC, Start(tail=3), Event(), follow=False)
    assert sum(len(records) for records, _ in batches) == 3
    with pytest.raises(PermissionDenied, match="Cluster authorization failed"):
        client.send(TOPIC, b"key", b"value")


def test_a_token_of_the_identity_provider_lets_in(guarded: Guarded) -> None:
    watch = guarded.oauth(guarded.tokens.secret)
    until("it is let in", watch.once, lambda seen: status(seen) is Status.OK, 30)


def test_a_token_of_a_command_lets_in_and_is_renewed(guarded: Guarded) -> None:
    source = guarded.folder / "token.json"
    kafka = guarded.settings(OAUTH).contexts["test"].kafka
    settings = kafka.model_copy(update={"token": SecretSource(command=("cat", str(source)))})

    def write(token: str, seconds: float) -> None:
        source.write_text(json.dumps({"access_token": token, "expires_in": seconds}))

    write(guarded.tokens.token(), 300)
    assert KafkaClient(settings, 8.0).topic(TOPIC).name == TOPIC
    source.write_text(guarded.tokens.token())
    assert KafkaClient(settings, 8.0).topic(TOPIC).name == TOPIC
    write(guarded.tokens.token(), 3)
    client = KafkaClient(settings, 8.0)
    assert client.topic(TOPIC).name == TOPIC
    before = guarded.tokens.token()
    write(before, 300)
    time.sleep(4)
    assert client.topic(TOPIC).name == TOPIC, "renewed"
    assert client.properties()["oauth_cb"]("")[0] == before
    write("not-a-token-of-theirs", 300)
    with pytest.raises(AuthenticationFailed) as refused:
        KafkaClient(settings, 8.0).topic(TOPIC)
    assert "\n" not in str(refused.value)
    assert "not-a-token-of-theirs" not in str(refused.value)


def test_without_a_token_nothing_is_known(guarded: Guarded) -> None:
    watch = guarded.oauth("a-wrong-secret")
    refused(watch.once(), "credentials-refused", "a-wrong-secret", guarded.tokens.secret)


@pytest.mark.parametrize(
    ("properties", "layer", "mend"),
    [
        ({"ssl_ca_location": "other"}, Layer.TLS, 'set the CA that signed it: kafka.properties."ssl.ca'),
        ({"security_protocol": "SASL_PLAINTEXT"}, Layer.PROTOCOL, f"Port {SCRAM} uses TLS: set"),
        ({"sasl_password": "wrong"}, Layer.AUTHENTICATION, "Renew the credentials of kafka"),
    ],
    ids=["tls", "protocol", "authentication"],  # a port in an id would differ between the workers
)
def test_the_doctor_says_which_layer_fails(
    guarded: Guarded, properties: dict[str, str], layer: Layer, mend: str
) -> None:
    given = {key: str(guarded.other_ca) if value == "other" else value for key, value in properties.items()}
    found = guarded.doctor(SCRAM, **given)
    assert (found.steps[-1].name, found.steps[-1].status) == (layer, StepStatus.FAILED), found.steps
    assert mend in (found.steps[-1].remedy or "")


def test_the_doctor_finds_all_well_and_tries_what_the_broker_advertises(guarded: Guarded) -> None:
    found = guarded.doctor(SCRAM)
    assert found.status is StepStatus.OK, found.steps
    assert [step.name for step in found.steps] == [
        Layer.NAME, Layer.TCP, Layer.TLS, Layer.PROTOCOL, Layer.AUTHENTICATION, Layer.PERMISSION, Layer.BROKERS,
    ]  # fmt: skip
    assert "certificate until" in found.steps[2].detail
    assert found.steps[-1].detail == f"127.0.0.1:{SCRAM}"
