"""Settings of Kafka: the cluster, its schema registry, topics and consumer groups."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, Secret, StageSettings, WebSettings


class KafkaSettings(ComponentSettings):
    """A Kafka cluster."""

    component: ClassVar[str] = "kafka"
    bootstrap_servers: str
    """Comma-separated `host:port`."""
    properties: dict[str, Secret] = Field(default={}, repr=False)
    """Additional librdkafka properties (TLS, SASL …), such as `security.protocol`."""
    token: Secret | None = Field(default=None, repr=False)
    """Token for SASL/OAUTHBEARER: a JSON Web Token with `exp`, or JSON with `access_token` and `expires_in` in seconds.
    It is read again before it expires."""
    schema_registry: str | None = None
    """Name of the schema registry that decodes its records, needed only if the context has several."""


class SchemaRegistrySettings(ComponentSettings, WebSettings):
    """A Confluent Schema Registry, which decodes the records of a topic."""

    component: ClassVar[str] = "schema_registry"


class TopicStage(StageSettings):
    """A Kafka topic."""

    kind: Literal["topic"]
    """Always `topic`."""
    topic: str
    """The topic's name."""
    hot_partition_factor: float = Field(default=5.0, gt=1)
    """Maximum records of one partition within 5 minutes, as a multiple of the average of the others."""
    clock_ahead_max: float = Field(default=60.0, gt=0)
    """Maximum time by which the newest record's timestamp may be in the future, in seconds."""


class ReaderStage(StageSettings):
    """Common settings of readers of a topic."""

    retention_left_min: float = Field(default=0.2, ge=0, lt=1)
    """Minimum share of the topic's retention that must remain for the oldest unread record."""


class ConsumerGroupStage(ReaderStage):
    """A Kafka consumer group (classic or new protocol) on one topic.

    Share groups (KIP-932) are not supported: librdkafka 2.16 can neither describe them nor read their offsets.
    """

    kind: Literal["consumer_group"]
    """Always `consumer_group`."""
    group: str
    """The group's id."""
    topic: str
    """The topic that it consumes."""
