"""Kafka: clusters, schema registries, topics and consumer groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from dataops_core.config.check import web_problems
from dataops_core.health.observation import Observation
from dataops_core.systems.base import (
    Clients,
    ComponentKind,
    ComponentProbe,
    ComponentReport,
    Need,
    StageKind,
    StageObject,
    System,
    web_identity,
)
from dataops_core.systems.draft import Draft
from dataops_core.systems.kafka import checks
from dataops_core.systems.kafka.details import ClusterDetails, GroupDetails, TopicDetails
from dataops_core.systems.kafka.settings import ConsumerGroupStage, KafkaSettings, SchemaRegistrySettings, TopicStage
from dataops_core.transport.credentials import Identity

if TYPE_CHECKING:
    from dataops_core.systems.kafka.client import KafkaClient
    from dataops_core.systems.kafka.model import Sent
    from dataops_core.systems.kafka.schema_registry import SchemaRegistry


def _connect(_name: str, settings: KafkaSettings, timeout: float) -> KafkaClient:
    from dataops_core.systems.kafka.client import KafkaClient

    return KafkaClient(settings, timeout)


def _connect_registry(_name: str, settings: SchemaRegistrySettings, timeout: float) -> SchemaRegistry:
    from dataops_core.systems.kafka.schema_registry import SchemaRegistry

    return SchemaRegistry(settings, timeout)


def _probes(name: str, settings: KafkaSettings, client: KafkaClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.kafka.endpoints import endpoints
    from dataops_core.systems.kafka.probe import observe_cluster

    path = settings.properties.get("ssl.certificate.location")
    return {
        name: ComponentProbe(
            "kafka",
            client.target,
            lambda: ComponentReport(*observe_cluster(client, name)),
            Identity(lambda: endpoints(settings, name), None if path is None else ("ssl.certificate.location", path)),
            further_addresses=client.addresses,
        )
    }


def _registry_probes(
    name: str, settings: SchemaRegistrySettings, client: SchemaRegistry
) -> Mapping[str, ComponentProbe]:
    ask = lambda: ComponentReport(client.ping())  # noqa: E731 - short enough for a lambda
    return {name: ComponentProbe("schema_registry", client.target, ask, web_identity(name, settings), always=False)}


def _problems(settings: KafkaSettings) -> Iterator[str]:
    for server in settings.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal():
            yield ".bootstrap_servers: must be host:port, several separated by commas"
            return


def _observe_topic(stage: TopicStage, clients: Clients) -> Observation:
    from dataops_core.systems.kafka.probe import observe_topic

    return observe_topic(stage, clients.need("kafka", stage.on))


def _observe_group(stage: ConsumerGroupStage, clients: Clients) -> Observation:
    from dataops_core.systems.kafka.probe import observe_group

    return observe_group(stage, clients.need("kafka", stage.on))


def _find_canary(stage: ConsumerGroupStage, clients: Clients, _where: str) -> Callable[[Sent], bool]:
    client: KafkaClient = clients.need("kafka", stage.on)
    return lambda sent: (client.group(stage.group).committed or {}).get((sent.topic, sent.partition), 0) > sent.offset


def _needs(stage: TopicStage | ConsumerGroupStage) -> tuple[Need, ...]:
    return (Need("kafka", stage.on),)


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.kafka.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="kafka",
    tested="Apache Kafka 4.4.0 (KRaft); schema registry: Apicurio Registry 2.5.11, by `make test-systems`",
    discover=_discover,
    discovery_turn=1,
    components=(
        ComponentKind(
            name="kafka",
            settings=KafkaSettings,
            details=ClusterDetails,
            title="The Kafka cluster.",
            connect=_connect,
            probes=_probes,
            checks=checks.CLUSTER_CHECKS,
            problems=_problems,
        ),
        ComponentKind(
            name="schema_registry",
            settings=SchemaRegistrySettings,
            title="The schema registry of the Kafka cluster.",
            connect=_connect_registry,
            probes=_registry_probes,
            problems=lambda settings: web_problems(settings, settings.url, settings.tls),
        ),
    ),
    stage_kinds=(
        StageKind(
            name="topic",
            object_of=lambda stage: StageObject("kafka_topic", (stage.topic,)),
            settings=TopicStage,
            details=TopicDetails,
            observe=_observe_topic,
            checks=checks.TOPIC_CHECKS,
            needs=_needs,
        ),
        StageKind(
            name="consumer_group",
            settings=ConsumerGroupStage,
            details=GroupDetails,
            observe=_observe_group,
            checks=checks.GROUP_CHECKS,
            needs=_needs,
            canary="offsets",
            find_canary=_find_canary,
        ),
    ),
)
