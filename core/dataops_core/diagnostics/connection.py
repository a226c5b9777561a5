"""The layers of a connection, and tests of those that need no client: DNS, TCP and TLS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

from dataops_core.diagnostics.base import Report, Status, Step
from dataops_core.reasons import line
from dataops_core.transport.credentials import Credential, certificate
from dataops_core.transport.endpoints import Endpoint
from dataops_core.units import duration

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""OpenSSL's reasons for a response that is not TLS."""


class Layer(StrEnum):
    """A layer of a connection; each depends on the previous ones."""

    SETTINGS = "settings"
    """Secrets and certificates of the settings are readable."""
    NAME = "name"
    """The host name resolves."""
    TCP = "tcp"
    """The host accepts connections."""
    TLS = "tls"
    """The certificate is trusted."""
    PROTOCOL = "protocol"
    """The component responds in time with the expected protocol."""
    AUTHENTICATION = "authentication"
    """The component accepts the credentials."""
    PERMISSION = "permission"
    """The user may read everything that the probes read."""
    BROKERS = "brokers"
    """The addresses that Kafka's brokers advertise are reachable."""
    OBJECT = "object"
    """The topic, group, checkpoint, table, DAG or relation of a stage exists and is readable."""


def reach(report: Report[Layer], endpoints: Sequence[Endpoint], timeout: float, prefix: str = "") -> bool:
    """Test DNS, TCP and TLS of each address, and return whether one of them works.

    Args:
        report: The report to add the steps to.
        endpoints: The addresses of one service.
        timeout: Timeout of each step, in seconds.
        prefix: Start of the detail of each step.
    """
    tested = [
        [replace(step, detail=prefix + step.detail) for step in network(endpoint, timeout)] for endpoint in endpoints
    ]
    usable = [steps for steps in tested if steps[-1].status is not Status.FAILED]
    # One of several servers is enough; the unavailable ones are warnings.
    report.steps += next(iter(usable), tested[0])
    if usable:
        for steps in tested:
            if steps[-1].status is Status.FAILED:
                report.steps.append(replace(steps[-1], status=Status.WARNING))
    return bool(usable)


def network(endpoint: Endpoint, timeout: float) -> Iterator[Step[Layer]]:
    """Yield the results of DNS, TCP and TLS of an address, up to the first failure."""
    if endpoint.proxy is not None:
        yield Step(Layer.TCP, Status.NOT_USED, f"through the proxy {endpoint.proxy}, as set in the environment")
        return
    try:
        result = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        remedy = "Correct the name in the settings, or add it to DNS or /etc/hosts."
        yield Step(Layer.NAME, Status.FAILED, f"{endpoint.host}: {(error.strerror or line(error)).lower()}", remedy)
        return
    yield Step(Layer.NAME, Status.OK, ", ".join(dict.fromkeys(str(at[4][0]) for at in result)))
    began = time.monotonic()
    try:
        connection = socket.create_connection((endpoint.host, endpoint.port), timeout)
    except OSError as error:
        yield _no_connection(endpoint, error, timeout)
        return
    with connection:
        yield Step(Layer.TCP, Status.OK, f"{endpoint} in {duration(time.monotonic() - began, precise=True)}")
        if endpoint.tls is None:
            yield Step(Layer.TLS, Status.NOT_USED, "not used")
        else:
            yield _handshake(endpoint, connection, endpoint.tls(), timeout)


def _no_connection(endpoint: Endpoint, error: OSError, timeout: float) -> Step[Layer]:
    if isinstance(error, TimeoutError):
        return Step(
            Layer.TCP,
            Status.FAILED,
            f"{endpoint} sent no response within {duration(timeout)}",
            "Check the address, firewalls and network policies: packets are dropped.",
        )
    return Step(
        Layer.TCP,
        Status.FAILED,
        f"{endpoint}: {(error.strerror or line(error)).lower()}",
        "Start it, or correct the port in the settings.",
    )


def _handshake(endpoint: Endpoint, connection: socket.socket, context: ssl.SSLContext, timeout: float) -> Step[Layer]:
    try:
        with context.wrap_socket(connection, server_hostname=endpoint.host) as secured:
            verified = context.verify_mode is not ssl.CERT_NONE
            shown = certificate("its certificate", secured.getpeercert(binary_form=True) or b"")
            return _certificate(shown, secured.version() or "TLS", verified=verified)
    except ssl.SSLCertVerificationError as error:
        detail, remedy = error.verify_message.rstrip("."), _remedy_of_certificate(endpoint, error)
    except ssl.SSLError as error:
        detail = (error.reason or line(error)).replace("_", " ").lower()
        remedy = "Check which TLS versions and certificates the server accepts."
        if error.reason in NO_TLS:
            remedy = f"Port {endpoint.port} does not use TLS: set the TLS port, or disable TLS."
    except TimeoutError:
        detail = f"no handshake within {duration(timeout)}"
        remedy = "It accepts connections but sends nothing: check whether it hangs, or expects another protocol."
    except OSError as error:
        detail = (error.strerror or line(error)).lower()
        remedy = f"Check whether it uses TLS at port {endpoint.port}."
    return Step(Layer.TLS, Status.FAILED, f"{endpoint}: {detail}", remedy)


def _certificate(shown: Credential, version: str, *, verified: bool) -> Step[Layer]:
    detail = f"{version}, certificate until {shown.ends:%Y-%m-%d}"
    if not verified:
        return Step(Layer.TLS, Status.WARNING, f"{detail}, not verified", "Enable certificate verification.")
    if shown.due <= datetime.now(UTC):
        return Step(
            Layer.TLS, Status.WARNING, detail, "Renew the server's certificate, and check why automatic renewal failed."
        )
    return Step(Layer.TLS, Status.OK, detail)


def _remedy_of_certificate(endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message.lower()
    if "expired" in message:
        return "Renew the server's certificate."
    if "mismatch" in message or "not valid for" in message:
        return "Use a host name from the certificate, or issue a certificate for this name."
    return f"If you trust it, set the CA that signed it: {endpoint.ca_key}."


def speaks_tls(endpoint: Endpoint, timeout: float) -> bool:
    """Return whether an address accepts a TLS handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only a handshake, no data is sent
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout) as connection,
            context.wrap_socket(connection, server_hostname=endpoint.host),
        ):
            return True
    except OSError:
        return False
