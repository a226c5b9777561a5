"""Reading a secret from where it is kept, and showing settings without any."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from dataops_core.config.base import Secret, SecretSource
from dataops_core.errors import ConfigError
from dataops_core.redaction import MASK, redacted

COMMAND_TIMEOUT = 10.0
"""Seconds that a secret's command may take."""

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
_ONLY_PLACEHOLDERS = re.compile(r"(\$\{[A-Za-z_][A-Za-z0-9_]*\})+")
_PLAIN_PROPERTIES = frozenset(
    (
        *(
            "type",
            "uri",
            "warehouse",
            "scope",
            "prefix",
            "client.id",
            "client.region",
            "py-io-impl",
            "rest.sigv4-enabled",
        ),
        *("s3.endpoint", "s3.region", "s3.path-style-access", "s3.force-virtual-addressing"),
        *("security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.kerberos.service.name"),
        *("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.endpoint.identification.algorithm"),
        *("enable.ssl.certificate.verification", "client.dns.lookup", "broker.address.family"),
    )
)
"""Properties of Kafka's and Iceberg's clients that hold no secret. All others are masked: a list of the secret ones
could never be complete."""


def resolve_secret(secret: Secret, where: str = "secret", *, timeout: float = COMMAND_TIMEOUT) -> str:
    """Return the secret itself, read again.

    In a text `${VARIABLE}` stands for an environment variable, and `$${` for `${`.

    Args:
        secret: A text, or where the secret is kept.
        where: The secret's place in the settings, for errors.
        timeout: Seconds that a command may take.

    Raises:
        ConfigError: It cannot be read. Names the place, never what was read.
    """
    if isinstance(secret, str):
        return _interpolate(secret, where)
    if secret.file is not None:
        return _read(Path(secret.file).expanduser(), where)
    return _run(secret, where, timeout)


def _interpolate(text: str, where: str) -> str:
    def value(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        name = found["name"]
        if name is None:
            raise ConfigError(
                f"{where}: a ${{…}} is not closed or has no variable name", hint="write $${ for a literal ${"
            )
        if name not in os.environ:
            raise ConfigError(f"{where}: the environment variable {name} is not set")
        return os.environ[name]

    return _PLACEHOLDER.sub(value, text)


def _read(path: Path, where: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {path}: {(error.strerror or 'unreadable').lower()}") from error
    return _text(content, f"{where}: {path}")


def _run(secret: SecretSource, where: str, timeout: float) -> str:
    command = secret.command or ()
    program = command[0]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    except OSError as error:
        raise ConfigError(f"{where}: cannot run {program}: {(error.strerror or 'not started').lower()}") from error
    except subprocess.TimeoutExpired:
        # without its cause: that shows all arguments
        raise ConfigError(f"{where}: {program} returned no secret within {timeout:g} s") from None
    if done.returncode != 0:
        raise ConfigError(
            f"{where}: {program} ended with {done.returncode}", hint="run the command manually to see why"
        )
    return _text(done.stdout, f"{where}: the output of {program}")


def _text(content: bytes, where: str) -> str:
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        # without its cause: that carries the content
        raise ConfigError(f"{where} is not UTF-8") from None
    if not text:
        raise ConfigError(f"{where} is empty")
    return text


def masked(secret: Secret) -> str | dict[str, Any]:
    """Return a secret's place for showing: never the secret, and of a command only the program."""
    if isinstance(secret, SecretSource):
        if secret.file is not None:
            return {"file": secret.file}
        program, *arguments = secret.command or ()
        return {"command": [program, MASK] if arguments else [program]}
    return secret if _ONLY_PLACEHOLDERS.fullmatch(secret) else MASK


def without_user_info(url: str) -> str:
    """Return an address without user, password and secret parameters."""
    return redacted(url)


def masked_property(name: str, value: Secret) -> str | dict[str, Any]:
    """Return a client property for showing: as it is only where its name is known to hold no secret."""
    if name in _PLAIN_PROPERTIES and isinstance(value, str):
        return without_user_info(value)
    return masked(value)
