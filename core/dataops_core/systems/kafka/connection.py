"""A connection to a Kafka cluster: its clients, its deadlines, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from dataops_core.config import resolve_secret
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
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


class Connection:
    """A Kafka cluster; safe to share between threads.

    Args:
        settings: Where it is.
        timeout: Deadline of each call, in seconds.
    """

    def __init__(self, settings: KafkaSettings, timeout: float = 8.0) -> None:
        self.target = settings.bootstrap_servers
        self.plain: dict[PartitionKey, float] = {}
        """Partitions that end with a record, and not with a transaction marker, and when that was found."""
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._admin: AdminClient | None = None
        self._refused: KafkaError | None = None
        self._no_broker: str | None = None

    @property
    def timeout(self) -> float:
        """Deadline of each call, in seconds."""
        return self._timeout

    @contextmanager
    def admin(self, about: str | None = None) -> Iterator[AdminClient]:
        """Lend the library's admin client; what it raises inside is raised as a ClientError.

        Args:
            about: The object that is asked about, for the errors: `topic orders`.
        """
        with self.errors(about):
            yield self._client()

    @contextmanager
    def consumer(self, about: str | None = None, **properties: object) -> Iterator[Consumer]:
        """Lend a consumer that joins no group and commits nothing, to be used with `assign`; raises ClientError.

        Args:
            about: The object that is read, for the errors: `topic orders`.
            properties: Further librdkafka properties.
        """
        with self.errors(about):
            consumer = Consumer(
                {
                    **self.properties(),
                    "group.id": "dataops-peek",  # needed by the library; with assign() no group is joined
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    **properties,
                }
            )
            try:
                yield consumer
            finally:
                consumer.close()

    def properties(self) -> dict[str, Any]:
        """Return the properties of a client of the library."""
        further = {name: resolve_secret(value) for name, value in self._settings.properties.items()}
        return {
            "bootstrap.servers": self._settings.bootstrap_servers,
            "client.id": "dataops",
            "socket.connection.setup.timeout.ms": 5000,
            "reconnect.backoff.max.ms": 2000,
            "error_cb": self._on_error,
            "log_level": 0,  # the library writes to stderr, which a console cannot have
            **further,
        }

    @contextmanager
    def errors(self, about: str | None = None) -> Iterator[None]:
        """Raise our own errors in place of the library's; forget a client whose credentials were refused."""
        try:
            yield
        except (KafkaException, TimeoutError) as raised:
            raise self.translated(raised, about) from raised
        self._no_broker = self._refused = None

    def translated(self, raised: object, about: str | None = None) -> ClientError:
        """Return our own error for what the library raised or put into an answer.

        Args:
            raised: A `KafkaException`, a `KafkaError` or what else a future of the library raises.
            about: The object that was asked about: `topic orders`.
        """
        error = kafka_error(raised)
        with self._lock:  # whoever polls beside us has to have been told first
            if self._admin is not None:
                self._admin.poll(0)  # only now are we told what the library met with: `_on_error`
        code, text = error.code(), reason(error)
        where = f"kafka {self.target}"
        refused = self._refused  # left for what waits for the same client beside us
        if code in AUTHENTICATION or (refused is not None and code in (*UNREACHABLE, *TIMED_OUT)):
            with self._lock:
                self._admin = None  # a rotated secret is read again
            return AuthenticationFailed(f"{where}: {reason(refused) if refused is not None else text}")
        if code in UNREACHABLE or (self._no_broker and code in TIMED_OUT):
            return Unreachable(f"{where}: no broker can be reached: {self._no_broker or text}")
        if code in TIMED_OUT:
            return TimedOut(f"{where}: no response within {self._timeout:g} s")
        if code in NOT_FOUND and about is not None:
            return NotFound(f"{where}: no {about}")
        said = f"{where}: {about}: {text}" if about is not None else f"{where}: {text}"
        if code in DENIED:
            return PermissionDenied(said)
        return NotFound(said) if code in NOT_FOUND else BadAnswer(said)

    def _client(self) -> AdminClient:
        with self._lock:
            if self._admin is None:
                self._refused = None
                self._admin = AdminClient(self.properties())
            return self._admin

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in AUTHENTICATION:
            self._refused = error
        elif error.code() in CONNECTION and "SSL" not in error.str():
            self._refused = None
            why = error.str().partition(" (after ")[0].rpartition(": ")[2]
            self._no_broker = None if "timed out" in why else why  # what takes connections is there, and hangs
