"""The addresses and TLS settings of a Kafka cluster."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping

from dataops_core.config import TlsSettings, resolve_secret
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.transport.endpoints import Endpoint, trusting


def endpoints(settings: KafkaSettings, where: str) -> Iterator[Endpoint]:
    """Yield the addresses of a cluster's bootstrap servers.

    Args:
        settings: The cluster.
        where: Its path in the context.

    Raises:
        ConfigError: A secret in its properties cannot be read.
    """
    properties = {key: resolve_secret(value) for key, value in settings.properties.items()}
    secure = properties.get("security.protocol", "PLAINTEXT").upper().endswith("SSL")
    for server in settings.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        yield Endpoint(
            host.rpartition("://")[2].strip("[]"),
            int(port),
            (lambda: _tls(properties, where)) if secure else None,
            f'{where}.properties."ssl.ca.location"',
            '"security.protocol" = "SSL" or "SASL_SSL"',
        )


def _tls(properties: Mapping[str, str], where: str) -> ssl.SSLContext:
    # librdkafka checks a key with a password; an error shows at the next layer
    plain_key = "ssl.key.password" not in properties and "ssl.certificate.location" in properties
    settings = TlsSettings(
        ca_file=properties.get("ssl.ca.location"),
        cert_file=properties.get("ssl.certificate.location") if plain_key else None,
        key_file=properties.get("ssl.key.location") if plain_key else None,
    )
    context = trusting(settings, where)
    if properties.get("ssl.ca.pem"):
        context.load_verify_locations(cadata=properties["ssl.ca.pem"])
    if properties.get("ssl.endpoint.identification.algorithm", "https") == "none":
        context.check_hostname = False
    if properties.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
