"""The connection to a context: its monitor, and the clients of its components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dataops_core.config import ContextSettings
from dataops_core.config.check import no_such
from dataops_core.errors import ClientError
from dataops_core.health.model import HealthSnapshot
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.systems.trino.settings import TrinoSettings

if TYPE_CHECKING:  # the clients bring their vendors' SDKs, which take seconds to import
    from dataops_core.recorder.recording import Recording
    from dataops_core.systems.airflow.client import AirflowClient
    from dataops_core.systems.clients import Clients
    from dataops_core.systems.connect.client import ConnectClient
    from dataops_core.systems.iceberg.catalog import CatalogClient
    from dataops_core.systems.kafka.client import KafkaClient
    from dataops_core.systems.kafka.schema_registry import SchemaRegistry
    from dataops_core.systems.trino.client import TrinoClient

CONNECTING = "still connecting; try again in a moment"
ONE_AT_A_TIME = ("airflow", "kafka", "trino", "connect", "schema_registry")
"""Kinds of components that the screens show one at a time."""


class Watching(Protocol):
    """The part of `dataops_core.recorder.recorded.RecordedMonitor` that the console uses."""

    not_recorded: str | None
    """Why the recorder fails; `None` if it works or is disabled."""
    replays: bool
    """Whether it replays a recording."""

    @property
    def clients(self) -> Clients:
        """The clients of the context."""

    def recording(self) -> Recording:
        """Return the recording; raises RecordingError."""

    def start(self, on_snapshot: Callable[[HealthSnapshot], None]) -> None:
        """Start probing in the background."""

    def refresh(self) -> None:
        """Refresh now."""

    def stop(self) -> None:
        """Stop probing."""


@dataclass(frozen=True, slots=True)
class ConnectedClients:
    """The clients of a context.

    Attributes:
        monitor: `None` before the context is connected.
        context: Settings of the context.
        chosen: The component that the user has selected, by kind.
    """

    monitor: Watching | None
    context: ContextSettings
    chosen: Mapping[str, str] = field(default_factory=dict)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of the components of a kind, in the order of the settings."""
        configured = self.context.configured().items()
        return tuple(name for name, settings in configured if settings.component == kind)

    def name(self, kind: str) -> str | None:
        """Return the name of the component of a kind that the screens show.

        Returns:
            The selected one, or the schema registry of the Kafka that the screens show, or the one that is named like
            its kind, or the first; `None` if the context has none.
        """
        known = self.names(kind)
        wanted = self.chosen.get(kind) or (self._registry_of_kafka if kind == "schema_registry" else None) or kind
        return wanted if wanted in known else next(iter(known), None)

    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names of the components by kind, for each kind with more than one."""
        several = {kind: self.names(kind) for kind in ONE_AT_A_TIME}
        return {kind: names for kind, names in several.items() if len(names) > 1}

    @property
    def airflow(self) -> AirflowClient | None:
        """The client of Airflow; `None` as `why_not` explains."""
        return self.airflow_named(None)

    def airflow_named(self, name: str | None) -> AirflowClient | None:
        """Return the client of a named Airflow, or of the one that the screens show; `None` if there is none."""
        result: AirflowClient | None = self._client("airflow", name)
        return result

    @property
    def trino(self) -> TrinoClient | None:
        """The client of Trino; `None` as `why_not` explains."""
        result: TrinoClient | None = self._client("trino")
        return result

    @property
    def trino_settings(self) -> TrinoSettings | None:
        """The settings of Trino; `None` if the context has none."""
        name = self.name(TrinoSettings.component)
        return None if name is None else self.context.of(TrinoSettings)[name]

    def require_airflow(self) -> AirflowClient:
        """Return the client of Airflow; raises ClientError if there is none."""
        if self.airflow is None:
            raise ClientError(self.why_not("Airflow"))
        return self.airflow

    def airflow_page(self, *names: str | None) -> str | None:
        """Return the address of the web UI's page of a DAG, run or task; `None` without a client or a name."""
        known = [name for name in names if name]
        return self.airflow.page(*known) if self.airflow is not None and len(known) == len(names) else None

    def require_catalogs(self) -> Mapping[str, CatalogClient]:
        """Return the clients of the Iceberg catalogs; raises ClientError if there is none."""
        catalogs = self.monitor.clients.all("iceberg") if self.monitor is not None else {}
        if not catalogs:
            raise ClientError(self.why_not("catalogs"))
        return catalogs

    def require_catalog(self, name: str) -> CatalogClient:
        """Return the client of an Iceberg catalog; raises ClientError if there is none."""
        catalogs = self.require_catalogs()
        if name not in catalogs:
            raise ClientError(f"this context has no catalog {name}; it has {', '.join(catalogs)}")
        return catalogs[name]

    @property
    def connect(self) -> ConnectClient:
        """The client of Kafka Connect; raises ClientError where there is none."""
        client: ConnectClient | None = self._client("connect")
        if client is None:
            raise ClientError(self.why_not("Kafka Connect"))
        return client

    @property
    def kafka(self) -> KafkaClient:
        """The client of Kafka; raises ClientError if there is none."""
        result: KafkaClient | None = self._client("kafka")
        if result is None:
            raise ClientError(self.why_not("Kafka"))
        return result

    @property
    def schema_registry(self) -> SchemaRegistry | None:
        """The schema registry of the Kafka that the screens show; `None` if it has none."""
        wanted = self._registry_of_kafka
        return self.monitor.clients.get("schema_registry", wanted) if self.monitor is not None else None

    @property
    def _registry_of_kafka(self) -> str | None:
        """The name that the settings of the Kafka on the screens give; `None` if they give none."""
        kafka = self.name(KafkaSettings.component)
        return self.context.of(KafkaSettings)[kafka].schema_registry if kafka is not None else None

    def require_schema_registry(self) -> SchemaRegistry:
        """Return the schema registry that the screens show; raises ClientError if there is none."""
        named, known = self._registry_of_kafka, self.names("schema_registry")
        if named is not None and named not in known and "schema_registry" not in self.chosen:
            kafka = self.name(KafkaSettings.component)
            raise ClientError(f"kafka {kafka}: {no_such('schema registry', named, known)}")
        result: SchemaRegistry | None = self._client("schema_registry")
        if result is None:
            raise ClientError(self.why_not("schema registry"))
        return result

    def why_not(
        self, name: Literal["Airflow", "Kafka", "Kafka Connect", "Trino", "catalogs", "schema registry"]
    ) -> str:
        """Return why a client is missing."""
        if self.monitor is not None and self.monitor.replays:
            return f"{name}: not available in a replay"
        kinds = {"catalogs": "iceberg", "Kafka Connect": "connect", "schema registry": "schema_registry"}
        if not self.names(kinds.get(name, name.lower())):
            fix = ": set url in [contexts.NAME.schema_registry]" if name == "schema registry" else ""
            return f"this context has no {name}{fix}"
        return CONNECTING

    def _client(self, kind: str, name: str | None = None) -> Any:  # noqa: ANN401 - the kind's own client
        name = name or self.name(kind)
        return self.monitor.clients.get(kind, name) if self.monitor is not None and name is not None else None
