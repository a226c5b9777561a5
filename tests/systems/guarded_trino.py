"""A real Trino with TLS that accepts authenticated requests only."""

from __future__ import annotations

import subprocess
from contextlib import chdir
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from tests.ports import free_base, free_port
from tests.systems.foreign import until

from dataops_core.errors import QueryFailed
from dataops_core.systems.trino.client import TrinoClient
from dataops_local import fetch, guard
from dataops_local.components import programs, trino_ready
from dataops_local.layout import OFFSETS, Layout


class GuardedTrino:
    """Trino in its own folder.

    Args:
        folder: Folder for its state.
        host: Host name in its URL.
        certificate: Its certificate for that name.
        properties: Properties of its authentication.
    """

    def __init__(self, folder: Path, host: str, certificate: trustme.LeafCert, properties: dict[str, str]) -> None:
        fetch.fetch(print)
        layout = Layout(folder / "state", free_base(OFFSETS.values()))
        (program,) = (each for each in programs(layout) if each.name == "trino")
        port = free_port()
        self.url = f"https://{host}:{port}"
        etc = layout.dir("trino", "etc")
        (etc / "catalog" / "lake.properties").unlink()
        key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (etc / "server.pem").write_bytes(key.private_bytes(*form) + certificate.cert_chain_pems[0].bytes())
        given = {
            "http-server.https.enabled": "true",
            "http-server.https.port": str(port),
            "http-server.https.keystore.path": str(etc / "server.pem"),
            "internal-communication.shared-secret": "shared-by-all-nodes",
            **properties,
        }
        with (etc / "config.properties").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in given.items())
        with (layout.log_dir / "trino.log").open("wb") as out, chdir(layout.dir("trino")):
            argv = guard.command(layout.state, "trino", program.argv)
            self._process = subprocess.Popen(argv, stdout=out, stderr=out)
        until(lambda: trino_ready(layout))

    def await_nodes(self, client: TrinoClient) -> None:
        """Wait until a query finds a node, which takes longer than the first response."""

        def count() -> object:
            try:
                return client.fetch("SELECT count(*) FROM tpch.tiny.nation", 60)
            except QueryFailed as error:
                if "NO_NODES_AVAILABLE" not in str(error):
                    raise
                return None

        until(count, 60)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
