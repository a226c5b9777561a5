"""A connection to a Kafka cluster: clients, deadlines, and the translation of errors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it does not declare what it exports
    AdminClient,
    ClusterMetadata,
)

from dataops_core.config import resolve_secret
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.systems.kafka.end_history import EndHistory
from dataops_core.systems.kafka.errors import (
    AUTHENTICATION,
    CONNECTION,
    DENIED,
    NOT_FOUND,
    TIMED_OUT,
    UNREACHABLE,
    kafka_error,
    reason,
)
from dataops_core.systems.kafka.model import PartitionKey
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.systems.kafka.token import Tokens
from dataops_core.transport.deadlines import Deadline
from dataops_core.units import duration

UNUSED_GROUP = "dataops-peek"
"""Group id, which the library needs; nobody joins the group."""
OFFSET_CONSUMER_KEPT = 300.0
"""Seconds that a consumer for offsets is kept; less than `metadata.max.age.ms`, after which it forgets leaders."""


@dataclass(frozen=True)
class OffsetConsumer:
    """A consumer for `offsets_for_times`.

    Attributes:
        consumer: The library's consumer.
        leaders: Node id of each partition's leader in its metadata.
        loaded_at: When it got this metadata, in seconds of the monotonic clock.
    """

    consumer: Consumer
    leaders: Mapping[PartitionKey, int]
    loaded_at: float

    def knows(self, leaders: Mapping[PartitionKey, int]) -> bool:
        """Return whether its metadata has these leaders and is recent."""
        recent = time.monotonic() - self.loaded_at < OFFSET_CONSUMER_KEPT
        return recent and leaders.items() <= self.leaders.items()


class Connection:
    """A Kafka cluster; safe to share between threads.

    Args:
        settings: Address and credentials.
        timeout: Deadline of each call, in seconds.
    """

    def __init__(self, settings: KafkaSettings, timeout: float = 8.0) -> None:
        self.target = settings.bootstrap_servers
        self.plain: dict[PartitionKey, float] = {}
        """Partitions whose last offset is a record and not a transaction marker, with the time of that result."""
        self.ends: dict[PartitionKey, EndHistory] = {}
        """End offsets over time of the partitions that groups read."""
        self.ends_lock = Lock()
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._admin: AdminClient | None = None
        self._refused: KafkaError | None = None
        self._tokens = Tokens(settings.token, f"kafka {self.target}") if settings.token is not None else None
        self._no_broker: str | None = None
        self._offset_consumer: OffsetConsumer | None = None

    @property
    def timeout(self) -> float:
        """Deadline of each call, in seconds."""
        return self._timeout

    @contextmanager
    def admin(self, about: str | None = None) -> Iterator[AdminClient]:
        """Yield the library's admin client; raise its errors as ClientError.

        Args:
            about: Object of the request, for errors: `topic orders`.
        """
        with self.errors(about):
            yield self._client()

    @contextmanager
    def consumer(self, about: str | None = None, **properties: object) -> Iterator[Consumer]:
        """Yield a consumer for `assign`, which joins no group and commits nothing; raise ClientError.

        Args:
            about: Object of the request, for errors: `topic orders`.
            properties: Further librdkafka properties.
        """
        with self.errors(about):
            consumer = Consumer(
                {
                    **self.properties(),
                    "group.id": UNUSED_GROUP,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    **properties,
                }
            )
            try:
                yield consumer
            finally:
                consumer.close()

    @contextmanager
    def offset_consumer(self, leaders: Mapping[PartitionKey, int]) -> Iterator[Consumer]:
        """Yield a consumer for `offsets_for_times` that has these leaders; raise ClientError.

        Calls share it, because the metadata of 10,000 partitions takes 75 ms, 10 ms of them with the GIL held. Call
        `drop_offset_consumer` after a failure.

        Args:
            leaders: Node id of each partition's leader.
        """
        with self.errors():
            kept = self._offset_consumer
            if kept is None or not kept.knows(leaders):
                kept = self._load_offset_consumer()
                if self._tokens is None:  # a consumer that nobody polls does not renew its token
                    self._offset_consumer = kept
            yield kept.consumer

    def drop_offset_consumer(self) -> None:
        """Let the next call of `offset_consumer` connect again."""
        self._offset_consumer = None

    def metadata(self, topic: str | None = None) -> ClusterMetadata:
        """Return the metadata of one topic or of all; raise NotFound or another ClientError.

        The library asks the broker that it used last. If that one hangs, the library drops it after
        `socket.timeout.ms`, and the second request goes to another.
        """
        names = [topic] if topic is not None else []
        with self.admin(f"topic {topic}" if topic is not None else None) as admin:
            deadline = Deadline(self._timeout)
            try:
                metadata = admin.list_topics(*names, timeout=self._timeout)
            except KafkaException as error:
                if deadline.passed or kafka_error(error).code() not in TIMED_OUT:
                    raise
                metadata = admin.list_topics(*names, timeout=deadline.left)
            for name in names:
                if metadata.topics[name].error is not None:
                    raise KafkaException(metadata.topics[name].error)
            return metadata

    def properties(self) -> dict[str, Any]:
        """Return the properties of a client of the library; raise DataopsError if there is no token."""
        further = {name: resolve_secret(value) for name, value in self._settings.properties.items()}
        access: dict[str, Any] = {}
        if self._tokens is not None:
            if not further.get("security.protocol", "").upper().startswith("SASL_"):
                raise ConfigError(
                    f"kafka {self.target}: kafka.token needs SASL",
                    hint='set kafka.properties."security.protocol" to SASL_SSL',
                )
            self._tokens.current()  # the library would wait for 10 seconds, and not pass on the reason
            access = {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": self._tokens.callback}
        return {
            "bootstrap.servers": self._settings.bootstrap_servers,
            "client.id": "dataops",
            "socket.connection.setup.timeout.ms": 5000,
            "socket.timeout.ms": max(2000, int(self._timeout * 500)),  # time for a second broker if one hangs
            "reconnect.backoff.max.ms": 2000,
            "error_cb": self._on_error,
            "log_level": 0,  # the library would write to stderr, into the console's screen
            **access,
            **further,
        }

    @contextmanager
    def errors(self, about: str | None = None) -> Iterator[None]:
        """Translate the library's errors; drop a client whose credentials were rejected."""
        try:
            yield
        except (KafkaException, TimeoutError) as raised:
            raise self.translated(raised, about) from raised
        self._no_broker = self._refused = None

    def translated(self, raised: object, about: str | None = None) -> ClientError:
        """Return the ClientError for an error that the library raised or returned.

        Args:
            raised: A `KafkaException`, a `KafkaError`, or any other error of a future of the library.
            about: Object of the request: `topic orders`.
        """
        error = kafka_error(raised)
        with self._lock:  # waits for another thread that polls
            if self._admin is not None:
                self._admin.poll(0)  # calls `_on_error` with the cause
        code, text = error.code(), reason(error)
        where = f"kafka {self.target}"
        refused = self._refused  # kept for other threads that wait for this client
        if code in AUTHENTICATION or (refused is not None and code in (*UNREACHABLE, *TIMED_OUT)):
            with self._lock:
                self._admin = None  # a rotated secret is read again
            failure = self._tokens.forget() if self._tokens is not None else None
            text = reason(refused) if refused is not None else text
            return AuthenticationFailed(failure.message if failure is not None else f"{where}: {text}")
        if code in UNREACHABLE or (self._no_broker and code in TIMED_OUT):
            return Unreachable(f"{where}: no broker can be reached: {self._no_broker or text}")
        if code in TIMED_OUT:
            return TimedOut(f"{where}: no response within {duration(self._timeout, precise=True)}")
        if code in NOT_FOUND and about is not None:
            return NotFound(f"{where}: no {about}")
        message = f"{where}: {about}: {text}" if about is not None else f"{where}: {text}"
        if code in DENIED:
            return PermissionDenied(message)
        return NotFound(message) if code in NOT_FOUND else BadAnswer(message)

    def _client(self) -> AdminClient:
        with self._lock:
            if self._admin is None:
                self._refused = None
                self._admin = AdminClient(self.properties())
            return self._admin

    def _load_offset_consumer(self) -> OffsetConsumer:
        # all written records count, not only committed ones
        consumer = Consumer({**self.properties(), "group.id": UNUSED_GROUP, "isolation.level": "read_uncommitted"})
        # After a request for one topic, the library ends requests to a broker that hangs with _DESTROY_BROKER.
        metadata = consumer.list_topics(timeout=self._timeout)
        leaders = {
            (name, number): partition.leader
            for name, topic in metadata.topics.items()
            for number, partition in topic.partitions.items()
        }
        return OffsetConsumer(consumer, leaders, time.monotonic())

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in AUTHENTICATION:
            self._refused = error
        elif error.code() in CONNECTION and "SSL" not in error.str():
            self._refused = None
            why = error.str().partition(" (after ")[0].rpartition(": ")[2]
            self._no_broker = None if "timed out" in why else why  # a broker that accepts connections is up but hangs
