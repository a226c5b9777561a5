"""Requests that change a connector, as the Connect REST API defines them (KIP-745 for restarts)."""

from __future__ import annotations

from enum import Enum
from urllib.parse import quote


class Change(Enum):
    """A change of a connector: method, and path below the connector's.

    `RESTART_FAILED` restarts the connector and its tasks where they are FAILED, and nothing else; it needs
    Kafka Connect 3.0.
    """

    PAUSE = ("PUT", "pause")
    RESUME = ("PUT", "resume")
    RESTART = ("POST", "restart?includeTasks=true")
    RESTART_FAILED = ("POST", "restart?includeTasks=true&onlyFailed=true")

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.value[0]

    @property
    def verb(self) -> str:
        """The change as a verb: `pause`, `resume` or `restart`."""
        return self.value[1].partition("?")[0]

    def effect(self, connector: str) -> str:
        """Return what the change does, for a refusal and its confirmation."""
        effects = {
            "pause": f"pausing {connector} stops its tasks",
            "resume": f"resuming {connector} starts its tasks",
            "restart": f"restarting {connector} interrupts its tasks",
        }
        return effects[self.verb]

    def path(self, connector: str) -> str:
        """Return the path and the query of the request."""
        return f"{connector_path(connector)}/{self.value[1]}"


def connector_path(connector: str) -> str:
    """Return the path of a connector."""
    return f"/connectors/{quote(connector, safe='')}"
