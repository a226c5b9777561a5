"""The doctor: each connection of a context, layer by layer, and each object that its pipelines name.

A probe says that a component does not answer. The doctor says up to which layer it does: is its name known, does it
take connections, is its certificate one that we trust, does it speak the protocol, does it know us, may we read.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from threading import Thread

from dataops_core.config import ContextSettings, PipelineSettings, StageSettings
from dataops_core.errors import ClientError, ConfigError, DataopsError
from dataops_core.health.as_json import plain
from dataops_core.health.checks.unreachable import failure_of
from dataops_core.health.text import clock, duration
from dataops_core.systems.base import ComponentKind, ComponentProbe, ComponentReport, DoctorStep, StageKind
from dataops_core.systems.clients import Clients, prepare
from dataops_core.transport.credentials import Credential, certificate, ours
from dataops_core.transport.deadlines import Deadline
from dataops_core.transport.endpoints import Endpoint
from dataops_core.transport.reasons import line

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL says of an answer that is not TLS."""
SCHEMA_VERSION = 1
"""Version of the JSON form; raised when a field changes its meaning or goes away."""


class Layer(StrEnum):
    """What has to work for the next one to work."""

    SETTINGS = "settings"
    """What the settings refer to can be read: secrets, certificates."""
    NAME = "name"
    """The host's name is known."""
    TCP = "tcp"
    """It takes connections."""
    TLS = "tls"
    """Its certificate is one that we trust."""
    PROTOCOL = "protocol"
    """It answers in time, and is what we take it for."""
    AUTHENTICATION = "authentication"
    """It knows us."""
    PERMISSION = "permission"
    """We may read what the probes read."""
    BROKERS = "brokers"
    """The addresses that Kafka's brokers name for themselves can be reached."""
    OBJECT = "object"
    """The topic, group, checkpoint, table, DAG or relation of a stage is there and can be read."""


class Result(StrEnum):
    """What was found at a layer."""

    OK = "ok"
    WARNING = "warning"
    """It works, and will not for long, or not wholly."""
    UNKNOWN = "unknown"
    """Not tried, or in vain: what it needs has failed."""
    FAILED = "failed"
    NOT_USED = "not_used"


def worst(results: Iterable[Result]) -> Result:
    """Return the worst of them; what is not used is well."""
    found = set(results)
    return next((r for r in (Result.FAILED, Result.UNKNOWN, Result.WARNING) if r in found), Result.OK)


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of a connection.

    Attributes:
        detail: What was found, in one line.
        mend: What to do about it, where something is wrong.
    """

    layer: Layer
    result: Result
    detail: str
    mend: str | None = None


@dataclass(slots=True)
class Diagnosis:
    """One connection, or one stage.

    Attributes:
        kind: `component` or `stage`.
        name: The component's name; a stage's after its pipeline's, `orders/bronze.orders`.
        target: Its address; of a stage, the component that answers for it.
        steps: The layers that were tried, in their order; none after the first that has failed.
        needs: Names of the components without which a stage cannot be observed.
    """

    kind: str
    name: str
    target: str
    steps: list[Step] = field(default_factory=list)
    needs: tuple[str, ...] = ()

    @property
    def result(self) -> Result:
        """The worst that was found."""
        return worst(step.result for step in self.steps)

    def add(self, layer: Layer, result: Result, detail: str, mend: str | None = None) -> None:
        """Note what was found at the next layer."""
        self.steps.append(Step(layer, result, detail, mend))


def diagnose(
    context: ContextSettings, pipelines: Mapping[str, PipelineSettings], timeout: float, only: Sequence[str] = ()
) -> tuple[Diagnosis, ...]:
    """Try each connection of a context, and look for each object that its pipelines name; nothing is changed.

    All are tried beside each other, so one that hangs delays none.

    Args:
        context: Where the components are.
        pipelines: Those of the context.
        timeout: Deadline of each layer, in seconds.
        only: Names of the components to try, with the stages that they answer for; all where none are named.

    Returns:
        The components first, in the order of the settings, then the stages.

    Raises:
        ConfigError: There is no such component.
    """
    clients = Clients(context, timeout)
    probes = clients.probes(all_of_them=True)
    stages = [(pipeline, stage) for pipeline, settings in pipelines.items() for stage in settings.stages]
    names = {*probes, *(clients.component_of(stage) for _, stage in stages)}
    for name in only:
        if name not in names:
            raise ConfigError(f'there is no component "{name}" in this context; there are {", ".join(sorted(names))}')
    jobs: list[tuple[Diagnosis, Callable[[Diagnosis], None]]] = []
    for name, probe in probes.items():
        if not only or name in only:
            _prepare(clients.kind_of(name))
            further = clients.diagnose(name)
            jobs.append((Diagnosis("component", name, probe.target), _component(probe, further, timeout)))
    for pipeline, stage in stages:
        component = clients.component_of(stage)
        if not only or component in only:
            _prepare(clients.registry.stage_kind(stage.kind))
            diagnosis = Diagnosis(
                "stage", f"{pipeline}/{stage.name}", component, needs=(component, *clients.needed_by(stage))
            )
            jobs.append((diagnosis, _stage(stage, clients)))
    return _without_echoes(_beside_each_other(jobs, timeout))


def as_dict(diagnoses: Sequence[Diagnosis]) -> dict[str, object]:
    """Return what was found for JSON, with times and words as plain values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "diagnoses": [
            {
                "kind": each.kind,
                "name": each.name,
                "target": each.target,
                "result": each.result.value,
                "steps": [plain(step) for step in each.steps],
            }
            for each in diagnoses
        ],
    }


def _prepare(kind: StageKind | ComponentKind | None) -> None:
    """Import what a probe asks with, here and in no layer's deadline; what goes wrong is told where it is used."""
    with suppress(Exception):
        prepare(kind)


def _beside_each_other(
    jobs: Sequence[tuple[Diagnosis, Callable[[Diagnosis], None]]], timeout: float
) -> tuple[Diagnosis, ...]:
    threads = []
    for diagnosis, work in jobs:
        # No pool: what hangs must not keep the process from its end.
        thread = Thread(target=_guarded, args=(diagnosis, work), name=f"doctor {diagnosis.name}", daemon=True)
        thread.start()
        threads.append(thread)
    deadline = Deadline(3 * timeout)
    found = []
    for (diagnosis, _), thread in zip(jobs, threads, strict=True):
        thread.join(deadline.left)
        seen = replace(diagnosis, steps=list(diagnosis.steps))  # a thread that is late may still add to its own
        if thread.is_alive():
            hung = failure_of("timed_out")
            layer = Layer.OBJECT if seen.kind == "stage" else Layer.PROTOCOL if seen.steps else Layer.NAME
            mend = hung.remedy.format(name=seen.name, target=seen.target)
            seen.add(layer, Result.FAILED, f"no answer within {duration(3 * timeout)}", mend)
        found.append(seen)
    return tuple(found)


def _without_echoes(found: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Return what was found, where the failure of a component is told of it alone, and not of each of its stages."""
    failed = {each.name for each in found if each.kind == "component" and each.result is Result.FAILED}
    told = []
    for each in found:
        down = failed.intersection(each.needs)
        if each.kind == "stage" and each.result is Result.FAILED and down:
            unknown = Step(Layer.OBJECT, Result.UNKNOWN, f"not looked for, as {min(down)} fails")
            told.append(replace(each, steps=[unknown]))
        else:
            told.append(each)
    return tuple(told)


def _guarded(diagnosis: Diagnosis, work: Callable[[Diagnosis], None]) -> None:
    try:
        work(diagnosis)
    except ConfigError as error:
        diagnosis.add(Layer.SETTINGS, Result.FAILED, error.message, error.hint or "Correct it in the settings.")
    except Exception as error:  # noqa: BLE001 - one diagnosis with a bug must not cost the others
        diagnosis.add(Layer.SETTINGS, Result.FAILED, f"the doctor itself failed: {type(error).__name__}: {line(error)}")


def _component(
    probe: ComponentProbe, further: Callable[[], Iterator[DoctorStep]] | None, timeout: float
) -> Callable[[Diagnosis], None]:
    def work(diagnosis: Diagnosis) -> None:
        endpoints = tuple(probe.identity.endpoints())
        if endpoints and not _reach(diagnosis, endpoints, timeout):
            return
        answered = _asked(diagnosis, probe.ask, endpoints, ours(probe.identity), timeout)
        if answered and probe.further_addresses is not None:
            _brokers(diagnosis, probe.further_addresses, timeout)
        if answered and further is not None:
            _further(diagnosis, Layer.PERMISSION, further())

    return work


def _further(diagnosis: Diagnosis, layer: Layer, steps: Iterable[DoctorStep]) -> None:
    """Add what a system tries besides; a client's error ends it, and is a step itself."""
    results = {True: Result.OK, False: Result.FAILED, None: Result.UNKNOWN}
    try:
        for step in steps:
            diagnosis.add(layer, results[step.ok], step.detail, step.remedy)
    except ClientError as error:
        diagnosis.add(layer, Result.FAILED, error.message, error.remedy)


def _stage(stage: StageSettings, clients: Clients) -> Callable[[Diagnosis], None]:
    def work(diagnosis: Diagnosis) -> None:
        try:
            seen = clients.observe(stage)
        except ClientError as error:
            failure = failure_of(error.kind)
            mend = failure.remedy.format(name=diagnosis.target, target=diagnosis.target)
            diagnosis.add(Layer.OBJECT, Result.FAILED, error.message, error.remedy or mend)
            return
        rules = clients.registry.stage(stage.kind)
        if rules.failure_remedy is not None and seen.failure is not None:
            diagnosis.add(Layer.OBJECT, Result.FAILED, seen.failure, rules.failure_remedy)
        else:
            diagnosis.add(Layer.OBJECT, Result.OK, "; ".join(seen.notes) or "there")
        kind = clients.registry.stage_kind(stage.kind)
        if kind is not None and kind.diagnose is not None:
            _further(diagnosis, Layer.OBJECT, kind.diagnose(stage, clients))

    return work


##### Layer by layer


def _reach(diagnosis: Diagnosis, endpoints: Sequence[Endpoint], timeout: float) -> bool:
    """Try name, TCP and TLS of each address; return whether one of them can be used."""
    tried = [list(_network(endpoint, timeout)) for endpoint in endpoints]
    usable = [steps for steps in tried if steps[-1].result is not Result.FAILED]
    # Of several servers one is enough; those that are away are said beside it.
    diagnosis.steps += next(iter(usable), tried[0])
    if usable:
        for steps in tried:
            if steps[-1].result is Result.FAILED:
                diagnosis.steps.append(replace(steps[-1], result=Result.WARNING))
    return bool(usable)


def _network(endpoint: Endpoint, timeout: float) -> Iterator[Step]:
    if endpoint.proxy is not None:
        yield Step(Layer.TCP, Result.NOT_USED, f"through the proxy {endpoint.proxy}, as the environment says")
        return
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        mend = "Correct the name in the settings, or add it to the DNS or to /etc/hosts."
        yield Step(Layer.NAME, Result.FAILED, f"{endpoint.host}: {(error.strerror or line(error)).lower()}", mend)
        return
    yield Step(Layer.NAME, Result.OK, ", ".join(dict.fromkeys(str(at[4][0]) for at in found)))
    began = time.monotonic()
    try:
        connection = socket.create_connection((endpoint.host, endpoint.port), timeout)
    except OSError as error:
        yield _no_connection(endpoint, error, timeout)
        return
    with connection:
        yield Step(Layer.TCP, Result.OK, f"{endpoint} in {(time.monotonic() - began) * 1000:.0f} ms")
        if endpoint.tls is None:
            yield Step(Layer.TLS, Result.NOT_USED, "not used")
        else:
            yield _handshake(endpoint, connection, endpoint.tls(), timeout)


def _no_connection(endpoint: Endpoint, error: OSError, timeout: float) -> Step:
    if isinstance(error, TimeoutError):
        return Step(
            Layer.TCP,
            Result.FAILED,
            f"{endpoint} does not answer within {duration(timeout)}",
            "Look whether a firewall, a network policy or a wrong address swallows the packets.",
        )
    return Step(
        Layer.TCP,
        Result.FAILED,
        f"{endpoint}: {(error.strerror or line(error)).lower()}",
        "Start it, or correct the port in the settings.",
    )


def _handshake(endpoint: Endpoint, connection: socket.socket, context: ssl.SSLContext, timeout: float) -> Step:
    try:
        with context.wrap_socket(connection, server_hostname=endpoint.host) as secured:
            verified = context.verify_mode is not ssl.CERT_NONE
            shown = certificate("its certificate", secured.getpeercert(binary_form=True) or b"")
            return _certificate(shown, secured.version() or "TLS", verified=verified)
    except ssl.SSLCertVerificationError as error:
        detail, mend = error.verify_message.rstrip("."), _mend_of_certificate(endpoint, error)
    except ssl.SSLError as error:
        detail = (error.reason or line(error)).replace("_", " ").lower()
        mend = "Look which versions of TLS and which certificates the server takes."
        if error.reason in NO_TLS:
            mend = f"It does not speak TLS at port {endpoint.port}: name its TLS port, or do without TLS."
    except TimeoutError:
        detail = f"no handshake within {duration(timeout)}"
        mend = "It takes connections and says nothing: look whether it hangs, or waits for another protocol."
    except OSError as error:
        detail = (error.strerror or line(error)).lower()
        mend = f"Look whether it speaks TLS at port {endpoint.port}."
    return Step(Layer.TLS, Result.FAILED, f"{endpoint}: {detail}", mend)


def _certificate(shown: Credential, version: str, *, verified: bool) -> Step:
    detail = f"{version}, certificate until {shown.ends:%Y-%m-%d}"
    if not verified:
        return Step(Layer.TLS, Result.WARNING, f"{detail}, not verified", "Let it be verified.")
    if shown.due <= datetime.now(UTC):
        return Step(Layer.TLS, Result.WARNING, detail, "Renew the server's certificate, and see what should have.")
    return Step(Layer.TLS, Result.OK, detail)


def _mend_of_certificate(endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message.lower()
    if "expired" in message:
        return "Renew the server's certificate."
    if "mismatch" in message or "not valid for" in message:
        return "Use a name that the certificate has, or have one made for this name."
    return f"If you trust it, name the authority that has signed it: {endpoint.authority_key}."


def _asked(
    diagnosis: Diagnosis,
    ask: Callable[[], ComponentReport],
    endpoints: Sequence[Endpoint],
    own: Iterable[Credential],
    timeout: float,
) -> bool:
    """Ask the component what its probe asks; say at which layer that failed. Return whether it did not."""
    try:
        answer = ask()
    except ClientError as error:
        layer, before = _layer_of(error.kind)
        for passed in before:
            diagnosis.add(passed, Result.OK, "")
        diagnosis.add(
            layer, Result.FAILED, error.message, error.remedy or _mend(diagnosis, error.kind, endpoints, timeout)
        )
        return False
    diagnosis.add(Layer.PROTOCOL, Result.OK, answer.detail)
    _admitted(diagnosis, own)
    diagnosis.add(Layer.PERMISSION, Result.OK, "")
    return True


def _admitted(diagnosis: Diagnosis, own: Iterable[Credential]) -> None:
    """Say that the component knows us, and until when: by the credential that is due first."""
    first = min(own, key=lambda credential: credential.due, default=None)
    if first is None:
        diagnosis.add(Layer.AUTHENTICATION, Result.OK, "")
        return
    detail = f"{first.what} ends {clock(first.ends, datetime.now(UTC))}"
    if first.due <= datetime.now(UTC):
        mend = "Renew it, and see why what should renew it has not."
        diagnosis.add(Layer.AUTHENTICATION, Result.WARNING, detail, mend)
    else:
        diagnosis.add(Layer.AUTHENTICATION, Result.OK, detail)


def _layer_of(kind: str | None) -> tuple[Layer, tuple[Layer, ...]]:
    """Return the layer at which an error of a client lies, and those that it shows to be well."""
    match kind:
        case "credentials_refused":
            return Layer.AUTHENTICATION, (Layer.PROTOCOL,)
        case "permission_denied":
            return Layer.PERMISSION, (Layer.PROTOCOL, Layer.AUTHENTICATION)
        case _:
            return Layer.PROTOCOL, ()


def _mend(diagnosis: Diagnosis, kind: str | None, endpoints: Sequence[Endpoint], timeout: float) -> str:
    if kind not in ("credentials_refused", "permission_denied"):
        for endpoint in endpoints:
            if endpoint.tls is None and endpoint.proxy is None and _speaks_tls(endpoint, timeout):
                return f"It speaks TLS at port {endpoint.port}: set {endpoint.secure}."
    if kind == "not_found" and diagnosis.name == "airflow":
        return "Airflow's API v2 is needed, which Airflow 3 has; give the address without /api/v2."
    if kind == "not_found":
        return "Make it, or correct it in the settings."
    return failure_of(kind).remedy.format(name=diagnosis.name, target=diagnosis.target)


def _speaks_tls(endpoint: Endpoint, timeout: float) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only whether it does, nothing is sent
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout) as connection,
            context.wrap_socket(connection, server_hostname=endpoint.host),
        ):
            return True
    except OSError:
        return False


def _brokers(diagnosis: Diagnosis, further_addresses: Callable[[], Sequence[tuple[str, int]]], timeout: float) -> None:
    """Try the addresses that the brokers advertise: a client is sent there, whatever it was told to begin with."""
    try:
        addresses = further_addresses()
    except DataopsError as error:
        diagnosis.add(Layer.BROKERS, Result.WARNING, str(error))
        return
    for host, port in addresses:
        endpoint = Endpoint(host, port, None, "", "")
        last = list(_network(endpoint, timeout))[-1]
        if last.result is Result.FAILED:
            mend = "Let the broker advertise an address that can be reached from here (advertised.listeners)."
            diagnosis.add(Layer.BROKERS, Result.FAILED, last.detail, mend)
    if all(step.layer is not Layer.BROKERS for step in diagnosis.steps):
        diagnosis.add(Layer.BROKERS, Result.OK, ", ".join(f"{host}:{port}" for host, port in addresses))
