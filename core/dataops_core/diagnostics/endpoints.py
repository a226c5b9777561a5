"""Where a component is reached, and with which TLS: what the doctor tries, and whose certificates can end."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import certifi
from requests.utils import get_environ_proxies, select_proxy

from dataops_core.config import ContextSettings, TlsSettings, resolve_secret
from dataops_core.health.model import store_of
from dataops_core.transport.tls import tls_context

ENVIRONMENT_AUTHORITIES = "REQUESTS_CA_BUNDLE"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that a component is reached at.

    Attributes:
        tls: TLS as its client has it; `None` where the address is asked without.
        authority_key: Setting that names the authority to trust.
        secure: What to set where it turns out to speak TLS.
    """

    host: str
    port: int
    tls: Callable[[], ssl.SSLContext] | None
    authority_key: str
    secure: str
    proxy: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoints_of(name: str, context: ContextSettings) -> Iterator[Endpoint]:
    """Yield the addresses of a component; none for a file or a database.

    Args:
        name: The component's name.
        context: Where the components are.

    Raises:
        ConfigError: A secret that is part of an address cannot be read.
    """
    if name == "kafka" and context.kafka is not None:
        yield from _kafka_endpoints(context)
        return
    for catalog_name, catalog in context.catalogs.items():
        if name in (catalog_name, store_of(catalog_name)):
            key = "uri" if name == catalog_name else "s3.endpoint"
            url = catalog.properties.get(key)
            if url is not None:
                yield from _url_endpoint(resolve_secret(url), catalog.tls, f"catalogs.{catalog_name}", by_proxy=True)
            return
    service = getattr(context, name, None)
    if service is not None:
        yield from _url_endpoint(service.url, service.tls, name, by_proxy=name != "airflow")


def _url_endpoint(url: str, tls: TlsSettings | None, place: str, *, by_proxy: bool) -> Iterator[Endpoint]:
    parts = urlsplit(url)
    if not parts.hostname:  # a file, an SQLite database
        return
    secure = parts.scheme == "https"
    known = {"https": 443, "http": 80, "thrift": 9083, "postgresql": 5432, "mysql": 3306}
    port = parts.port or known.get(parts.scheme.partition("+")[0])
    if port is None:
        return
    proxy = select_proxy(url, get_environ_proxies(url)) if by_proxy and parts.scheme in ("http", "https") else None
    yield Endpoint(
        parts.hostname,
        port,
        (lambda: _trusting(tls, place)) if secure else None,
        f"{place}.tls.ca_file",
        "an address that begins with https://",
        None if proxy is None else urlsplit(proxy).hostname,
    )


def _kafka_endpoints(context: ContextSettings) -> Iterator[Endpoint]:
    kafka = context.kafka
    if kafka is None:
        return
    properties = {key: resolve_secret(value) for key, value in kafka.properties.items()}
    secure = properties.get("security.protocol", "PLAINTEXT").upper().endswith("SSL")
    for server in kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        yield Endpoint(
            host.rpartition("://")[2].strip("[]"),
            int(port),
            (lambda: _kafka_tls(properties)) if secure else None,
            'kafka.properties."ssl.ca.location"',
            '"security.protocol" = "SSL" or "SASL_SSL"',
        )


def _kafka_tls(properties: Mapping[str, str]) -> ssl.SSLContext:
    # A key with a password is left to librdkafka: whether the broker takes it shows at the next layer.
    plain_key = "ssl.key.password" not in properties and "ssl.certificate.location" in properties
    settings = TlsSettings(
        ca_file=properties.get("ssl.ca.location"),
        cert_file=properties.get("ssl.certificate.location") if plain_key else None,
        key_file=properties.get("ssl.key.location") if plain_key else None,
    )
    context = _trusting(settings, "kafka")
    if properties.get("ssl.ca.pem"):
        context.load_verify_locations(cadata=properties["ssl.ca.pem"])
    if properties.get("ssl.endpoint.identification.algorithm", "https") == "none":
        context.check_hostname = False
    if properties.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trusting(settings: TlsSettings | None, where: str) -> ssl.SSLContext:
    """Return the settings' TLS; without an authority of their own, all that one of the client libraries trusts."""
    context = tls_context(settings, where)
    if settings is None or settings.ca_file is None:
        context.load_verify_locations(certifi.where())
        if os.path.isfile(named := os.environ.get(ENVIRONMENT_AUTHORITIES, "")):  # noqa: PTH113 - empty is no file
            context.load_verify_locations(named)
    return context
