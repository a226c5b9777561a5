"""TLS contexts from settings: the trusted CAs and the client certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

from dataops_core.config import TlsSettings
from dataops_core.errors import ConfigError


def tls_context(settings: TlsSettings | None, where: str) -> ssl.SSLContext:
    """Return Python's TLS context for settings.

    Args:
        settings: Files of certificates. By default, the public CAs are trusted, and there is no client certificate.
        where: Path of the settings, for errors.

    Raises:
        ConfigError: A file cannot be read, or is not a certificate or key.
    """
    if settings is None:
        return ssl.create_default_context()
    for key in ("ca_file", "cert_file", "key_file"):
        path = getattr(settings, key)
        try:
            if path is not None:
                Path(path).read_bytes()
        except OSError as error:
            reason = (error.strerror or "unreadable").lower()
            raise ConfigError(f"{where}: tls.{key}: cannot read {path}: {reason}") from error
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"{where}: tls.ca_file: {settings.ca_file} contains no certificate in PEM format") from error
    if settings.cert_file is not None:
        try:
            # Without a password, OpenSSL would ask for one on the terminal, which the console uses.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except ssl.SSLError as error:
            raise ConfigError(
                f"{where}: tls.cert_file: {settings.cert_file} and its key cannot be used: {error.reason or 'not PEM'}",
                hint="both must be in PEM format and match, and the key must have no password",
            ) from error
    return context
