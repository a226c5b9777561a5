"""TLS of the services that are asked over HTTP: whom we trust, and the certificate that we show."""

from __future__ import annotations

import ssl
from pathlib import Path

from dataops_core.config import TlsSettings
from dataops_core.errors import ConfigError


def tls_context(settings: TlsSettings | None, where: str) -> ssl.SSLContext:
    """Return the settings as Python's TLS takes them.

    Args:
        settings: Files of certificates; without them the public CA certificates are trusted, and none is shown.
        where: Whose settings they are, for errors.

    Raises:
        ConfigError: A file cannot be read, or is no certificate or key.
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
        raise ConfigError(f"{where}: tls.ca_file: {settings.ca_file} holds no certificate in PEM form") from error
    if settings.cert_file is not None:
        try:
            # A password is asked for on the terminal, which a console cannot have; none is right for a plain key.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except ssl.SSLError as error:
            raise ConfigError(
                f"{where}: tls.cert_file: {settings.cert_file} and its key cannot be used: {error.reason or 'not PEM'}",
                hint="both in PEM form, the key without a password, and belonging together",
            ) from error
    return context
