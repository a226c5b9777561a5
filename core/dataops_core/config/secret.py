"""Read secrets from their sources, and mask secrets in settings that are shown."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from dataops_core.config.base import Secret, SecretSource
from dataops_core.errors import ConfigError
from dataops_core.redaction import MASK, redacted
from dataops_core.units import duration

COMMAND_TIMEOUT = 10.0
"""Timeout of a secret's command, in seconds."""

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
"""Properties of Kafka's and Iceberg's clients that contain no secret. All others are masked, because a list of secret
properties could never be complete."""


def resolve_secret(secret: Secret, where: str = "secret", *, timeout: float = COMMAND_TIMEOUT) -> str:
    """Return the value of a secret, read from its source at each call.

    In a text, `${VARIABLE}` is replaced by an environment variable, and `$${` by `${`.

    Args:
        secret: A text, or the source of the secret.
        where: Path of the secret in the settings, for errors.
        timeout: Timeout of a command, in seconds.

    Raises:
        ConfigError: It cannot be read. The message contains the path, never the content.
    """
    if isinstance(secret, str):
        return _interpolate(secret, where)
    if secret.file is not None:
        return _read(Path(secret.file).expanduser(), where)
    return _run(secret, where, timeout)


def _interpolate(text: str, where: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name = match["name"]
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
        # without the cause, which shows all arguments
        raise ConfigError(f"{where}: {program} returned no secret within {duration(timeout, precise=True)}") from None
    if done.returncode != 0:
        raise ConfigError(
            f"{where}: {program} failed with exit code {done.returncode}", hint="run the command manually to see why"
        )
    return _text(done.stdout, f"{where}: the output of {program}")


def _text(content: bytes, where: str) -> str:
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        # without the cause, which contains the content
        raise ConfigError(f"{where} is not UTF-8") from None
    if not text:
        raise ConfigError(f"{where} is empty")
    return text


def masked(secret: Secret) -> str | dict[str, Any]:
    """Return the source of a secret without the secret, and without the arguments of a command."""
    if isinstance(secret, SecretSource):
        if secret.file is not None:
            return {"file": secret.file}
        program, *arguments = secret.command or ()
        return {"command": [program, MASK] if arguments else [program]}
    return secret if _ONLY_PLACEHOLDERS.fullmatch(secret) else MASK


def without_user_info(url: str) -> str:
    """Return a URL without user, password and secret parameters."""
    return redacted(url)


def masked_property(name: str, value: Secret) -> str | dict[str, Any]:
    """Return a client property for display, masked unless its name is known to contain no secret."""
    if name in _PLAIN_PROPERTIES and isinstance(value, str):
        return without_user_info(value)
    return masked(value)
