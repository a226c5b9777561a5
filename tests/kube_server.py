"""A Kubernetes of etcd and kube-apiserver alone: it admits, validates and keeps, and runs nothing."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.monitoring import program

Resource = dict[str, Any]

ADMIN = "admin"
"""May do everything."""
DEPLOYER = "deployer"
"""May do what is granted to it."""

READY = 240
"""Seconds until the server has to be ready: a few, on a machine that does nothing else."""


class Answer(NamedTuple):
    """What the server said: its status, the object or `Status`, and its warnings."""

    status: int
    body: Resource
    warnings: list[str]


class Key(NamedTuple):
    """What names an object within a namespace."""

    kind: str
    name: str


@dataclass
class Kubernetes:
    """A server that runs, and clients for it.

    Attributes:
        folder: Where everything is: certificates, logs, a kubeconfig for each client.
        port: Port of the server on 127.0.0.1.
    """

    folder: Path
    port: int
    _paths: dict[tuple[str, str], str] = field(default_factory=dict)

    def kubeconfig(self, who: str) -> Path:
        """Return the file with which `who` comes in."""
        return self.folder / f"{who}.kubeconfig"

    def ask(self, method: str, path: str, body: Resource | None = None, **query: str) -> Answer:
        """Ask as the admin."""
        merged = "application/merge-patch+json" if method == "PATCH" else "application/json"
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self._tls)
        try:
            url = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, url, json.dumps(body) if body else None, {"Content-Type": merged})
            response = connection.getresponse()
            text = response.read().decode()
            warnings = response.headers.get_all("Warning") or []
        finally:
            connection.close()
        return Answer(response.status, json.loads(text) if text.startswith("{") else {"message": text}, warnings)

    def get(self, path: str) -> Resource:
        """Return what is there."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def create(self, resource: Resource, namespace: str = "", **query: str) -> Answer:
        """Make an object, or with `dryRun="All"` only have it judged."""
        return self.ask("POST", self.path(resource, namespace), resource, **query)

    def make(self, resource: Resource, namespace: str = "") -> Resource:
        """Make an object that has to be taken."""
        answer = self.create(resource, namespace)
        assert answer.status == 201, answer
        return answer.body

    def path(self, resource: Resource, namespace: str) -> str:
        """Return where objects of this kind are."""
        version, kind = resource["apiVersion"], resource["kind"]
        if (version, kind) not in self._paths:
            root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
            for found in self.get(root)["resources"]:
                if "/" not in found["name"]:
                    within = "/namespaces/{}" if found["namespaced"] else ""
                    self._paths[version, found["kind"]] = f"{root}{within}/{found['name']}"
        return self._paths[version, kind].format(namespace)

    def objects(self, namespace: str) -> dict[Key, Resource]:
        """Return everything that is in a namespace, of whatever kind that the server knew at the first call."""
        found = {}
        for root, plural, kind in self._namespaced:
            for item in self.get(f"{root}/namespaces/{namespace}/{plural}")["items"]:
                found[Key(kind, item["metadata"]["name"])] = item
        return found

    @cached_property
    def _namespaced(self) -> list[tuple[str, str, str]]:
        """Where all kinds are that a namespace can have."""
        roots = [f"/api/{version}" for version in self.get("/api")["versions"]]
        roots += [f"/apis/{group['preferredVersion']['groupVersion']}" for group in self.get("/apis")["groups"]]
        return [
            (root, kind["name"], kind["kind"])
            for root in roots
            for kind in self.get(root)["resources"]
            if kind["namespaced"] and "list" in kind["verbs"]
        ]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.load_cert_chain(self.folder / f"{ADMIN}.pem", self.folder / f"{ADMIN}.key")
        return context


@contextmanager
def running_kubernetes(folder: Path) -> Iterator[Kubernetes]:
    """Start etcd and kube-apiserver in this folder; stop them whatever happens."""
    client, peer, port = free_ports(3)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    _certificate(authority, folder, "server", "127.0.0.1")
    _certificate(authority, folder, ADMIN, "admin.invalid", "system:masters")
    _certificate(authority, folder, DEPLOYER, "deployer.invalid", "developers")
    _service_account_key(folder)
    etcd, peers = f"https://127.0.0.1:{client}", f"https://127.0.0.1:{peer}"
    server = Kubernetes(folder, port)
    for who in (ADMIN, DEPLOYER):
        server.kubeconfig(who).write_text(_kubeconfig(server, who))
        server.kubeconfig(who).chmod(0o600)  # helm warns of others
    ca, cert, key = (str(folder / name) for name in ("ca.pem", "server.pem", "server.key"))
    with ExitStack() as stack:
        tls = [f"--cert-file={cert}", f"--key-file={key}", f"--trusted-ca-file={ca}", "--client-cert-auth"]
        tls += [f"--peer-{option.removeprefix('--')}" for option in tls]
        stack.enter_context(
            _running(
                folder / "etcd.log",
                program("etcd"),
                *tls,
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}",
                "--unsafe-no-fsync",
            )
        )
        process = stack.enter_context(
            _running(
                folder / "kube-apiserver.log",
                program("kube-apiserver"),
                f"--etcd-servers={etcd}",
                f"--etcd-cafile={ca}",
                f"--etcd-certfile={cert}",
                f"--etcd-keyfile={key}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={port}",
                f"--tls-cert-file={cert}",
                f"--tls-private-key-file={key}",
                f"--client-ca-file={ca}",
                "--authorization-mode=RBAC",
                "--anonymous-auth=false",
                # By default they are on, too; the tests are about them.
                "--enable-admission-plugins=PodSecurity,ServiceAccount,Priority",
                # As in any cluster: it is for PodSecurity to refuse them.
                "--allow-privileged=true",
                "--service-cluster-ip-range=10.0.0.0/24",
                f"--service-account-issuer=https://127.0.0.1:{port}",
                f"--service-account-key-file={folder / 'service-account.pub'}",
                f"--service-account-signing-key-file={folder / 'service-account.key'}",
                "--endpoint-reconciler-type=none",
            )
        )
        _wait(server, process)
        yield server


def free_ports(number: int) -> list[int]:
    """Return ports on which nobody listens."""
    with ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in free]


def _certificate(authority: trustme.CA, folder: Path, name: str, identity: str, group: str | None = None) -> None:
    """Write a certificate; Kubernetes takes its common name for the user, and its organization for the group."""
    issued = authority.issue_cert(identity, common_name=name, organization_name=group)
    (folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(folder / f"{name}.key")


def _service_account_key(folder: Path) -> None:
    """Write the key with which the server signs service accounts' tokens."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "service-account.key").write_bytes(private)
    (folder / "service-account.pub").write_bytes(public)


def _kubeconfig(server: Kubernetes, who: str) -> str:
    cluster = {"server": f"https://127.0.0.1:{server.port}", "certificate-authority": str(server.folder / "ca.pem")}
    user = {
        "client-certificate": str(server.folder / f"{who}.pem"),
        "client-key": str(server.folder / f"{who}.key"),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": who, "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": who}}],
            "current-context": "here",
        }
    )


@contextmanager
def _running(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own, which ends with the block, and where it can, with this process."""
    guard: Sequence[str] = ("setpriv", "--pdeathsig=KILL") if shutil.which("setpriv") else ()
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [*guard, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=log.parent, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            # What it keeps is thrown away anyway.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _wait(server: Kubernetes, process: subprocess.Popen[bytes]) -> None:
    """Return when the server is ready, its own roles and priority classes included."""
    deadline = time.monotonic() + READY
    while True:
        try:
            ready = server.ask("GET", "/readyz").status == 200
        except OSError:  # it does not listen yet
            ready = False
        if ready:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            logs = {path.name: path.read_text()[-3000:] for path in server.folder.glob("*.log")}
            raise TimeoutError("\n".join(f"{name}: {text}" for name, text in logs.items()))
        time.sleep(0.2)
