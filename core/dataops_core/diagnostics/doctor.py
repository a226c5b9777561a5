"""The doctor: test each connection of a context layer by layer, and each object of its pipelines.

A probe only reports that a component does not respond. The doctor finds the layer that fails: DNS, TCP, TLS, protocol,
authentication or permission.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Thread
from typing import Literal

from dataops_core.config import ContextSettings, PipelineSettings, StageSettings
from dataops_core.diagnostics.base import Report, Status, Step
from dataops_core.diagnostics.connection import Layer, network, reach, speaks_tls
from dataops_core.errors import ClientError, ConfigError, DataopsError
from dataops_core.health.checks.unreachable import failure_of
from dataops_core.health.text import clock
from dataops_core.reasons import line
from dataops_core.systems.base import ComponentKind, ComponentProbe, ComponentReport, DoctorStep, StageKind
from dataops_core.systems.clients import Clients, prepare
from dataops_core.transport.credentials import Credential, ours
from dataops_core.transport.deadlines import Deadline
from dataops_core.transport.endpoints import Endpoint
from dataops_core.units import duration

SCHEMA_VERSION = 1
"""Version of the JSON; increased when a field changes its meaning or is removed."""


@dataclass(slots=True, kw_only=True)
class Diagnosis(Report[Layer]):
    """The tested layers of one component or one stage, up to the first failure.

    Attributes:
        name: Name of the component; pipeline and stage for a stage, such as `orders/bronze.orders`.
        target: Address of the component; for a stage, the name of the component that is queried.
        needs: Names of the components without which a stage cannot be observed.
    """

    kind: Literal["component", "stage"]
    name: str
    target: str
    needs: tuple[str, ...] = ()


def diagnose(
    context: ContextSettings, pipelines: Mapping[str, PipelineSettings], timeout: float, only: Sequence[str] = ()
) -> tuple[Diagnosis, ...]:
    """Test each connection of a context and each object of its pipelines, without changing anything.

    All tests run in parallel, so a component that hangs does not delay the others.

    Args:
        context: The context of the components.
        pipelines: The pipelines of the context.
        timeout: Timeout of each layer, in seconds.
        only: Names of the components to test with their stages; all by default.

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
            known = ", ".join(sorted(names))
            raise ConfigError(f'there is no component "{name}" in this context; known are: {known}')
    jobs: list[tuple[Diagnosis, Callable[[Diagnosis], None]]] = []
    for name, probe in probes.items():
        if not only or name in only:
            _prepare(clients.kind_of(name))
            further = clients.diagnose(name)
            jobs.append(
                (Diagnosis(kind="component", name=name, target=probe.target), _component(probe, further, timeout))
            )
    for pipeline, stage in stages:
        component = clients.component_of(stage)
        if not only or component in only:
            _prepare(clients.registry.stage_kind(stage.kind))
            diagnosis = Diagnosis(
                kind="stage",
                name=f"{pipeline}/{stage.name}",
                target=component,
                needs=(component, *clients.needed_by(stage)),
            )
            address = probes[component].target if component in probes else component
            jobs.append((diagnosis, _stage(stage, clients, address)))
    return _without_echoes(_in_parallel(jobs, timeout))


def as_dict(diagnoses: Sequence[Diagnosis]) -> dict[str, object]:
    """Return the diagnoses as JSON-ready data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "diagnoses": [
            {
                "kind": each.kind,
                "name": each.name,
                "target": each.target,
                "result": each.status.value,
                "steps": [step.as_dict("layer") for step in each.steps],
            }
            for each in diagnoses
        ],
    }


def _prepare(kind: StageKind | ComponentKind | None) -> None:
    """Import a probe's client outside of any layer's timeout; the probe reports an error."""
    with suppress(Exception):
        prepare(kind)


def _in_parallel(
    jobs: Sequence[tuple[Diagnosis, Callable[[Diagnosis], None]]], timeout: float
) -> tuple[Diagnosis, ...]:
    threads = []
    for diagnosis, work in jobs:
        # No pool, because a hung thread must not keep the process from exiting.
        thread = Thread(target=_guarded, args=(diagnosis, work), name=f"doctor {diagnosis.name}", daemon=True)
        thread.start()
        threads.append(thread)
    deadline = Deadline(3 * timeout)
    results = []
    for (diagnosis, _), thread in zip(jobs, threads, strict=True):
        thread.join(deadline.left)
        copied = replace(diagnosis, steps=list(diagnosis.steps))  # a late thread may still add steps to its diagnosis
        if thread.is_alive():
            hung = failure_of("timed_out")
            layer = Layer.OBJECT if copied.kind == "stage" else Layer.PROTOCOL if copied.steps else Layer.NAME
            remedy = hung.remedy.format(name=copied.name, target=copied.target)
            copied.add(layer, Status.FAILED, f"no response within {duration(3 * timeout)}", remedy)
        results.append(copied)
    return tuple(results)


def _without_echoes(results: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Return the diagnoses with the failure of a component reported only there, not again for its stages."""
    failed = {each.name for each in results if each.kind == "component" and each.status is Status.FAILED}
    diagnoses = []
    for each in results:
        down = failed.intersection(each.needs)
        if each.kind == "stage" and each.status is Status.FAILED and down:
            unknown = Step(Layer.OBJECT, Status.UNKNOWN, f"not checked, because {min(down)} failed")
            diagnoses.append(replace(each, steps=[unknown]))
        else:
            diagnoses.append(each)
    return tuple(diagnoses)


def _guarded(diagnosis: Diagnosis, work: Callable[[Diagnosis], None]) -> None:
    try:
        work(diagnosis)
    except ConfigError as error:
        diagnosis.add(Layer.SETTINGS, Status.FAILED, error.message, error.hint or "Correct it in the settings.")
    except Exception as error:  # noqa: BLE001 - a bug in one diagnosis must not stop the others
        diagnosis.add(Layer.SETTINGS, Status.FAILED, f"the doctor itself failed: {type(error).__name__}: {line(error)}")


def _component(
    probe: ComponentProbe, further: Callable[[], Iterator[DoctorStep]] | None, timeout: float
) -> Callable[[Diagnosis], None]:
    def work(diagnosis: Diagnosis) -> None:
        endpoints = tuple(probe.identity.endpoints())
        if endpoints and not reach(diagnosis, endpoints, timeout):
            return
        if probe.identity.token_endpoint is not None:
            tokens = tuple(probe.identity.token_endpoint.endpoints())
            if tokens and not reach(diagnosis, tokens, timeout, "token endpoint: "):
                return
        works = _run_probe(diagnosis, probe.ask, endpoints, ours(probe.identity), timeout)
        if works and probe.further_addresses is not None:
            _brokers(diagnosis, probe.further_addresses, timeout)
        if works and further is not None:
            _further(diagnosis, Layer.PERMISSION, further())

    return work


def _further(diagnosis: Diagnosis, layer: Layer, steps: Iterable[DoctorStep]) -> None:
    """Add the further steps of a system; a client's error becomes the last step."""
    results = {True: Status.OK, False: Status.FAILED, None: Status.UNKNOWN}
    try:
        for step in steps:
            diagnosis.add(layer, results[step.ok], step.detail, step.remedy)
    except ClientError as error:
        diagnosis.add(layer, Status.FAILED, error.message, error.remedy)


def _stage(stage: StageSettings, clients: Clients, address: str) -> Callable[[Diagnosis], None]:
    def work(diagnosis: Diagnosis) -> None:
        try:
            observation = clients.observe(stage)
        except ClientError as error:
            failure = failure_of(error.kind)
            remedy = failure.remedy.format(name=diagnosis.target, target=address)
            diagnosis.add(Layer.OBJECT, Status.FAILED, error.message, error.remedy or remedy)
            return
        rules = clients.registry.stage(stage.kind)
        if rules.failure_remedy is not None and observation.failure is not None:
            diagnosis.add(Layer.OBJECT, Status.FAILED, observation.failure, rules.failure_remedy)
        else:
            diagnosis.add(Layer.OBJECT, Status.OK, "; ".join(observation.notes) or "exists")
        kind = clients.registry.stage_kind(stage.kind)
        if kind is not None and kind.diagnose is not None:
            _further(diagnosis, Layer.OBJECT, kind.diagnose(stage, clients))

    return work


def _run_probe(
    diagnosis: Diagnosis,
    ask: Callable[[], ComponentReport],
    endpoints: Sequence[Endpoint],
    own: Iterable[Credential],
    timeout: float,
) -> bool:
    """Run the component's probe, add the layers that it tests, and return whether it succeeded."""
    try:
        report = ask()
    except ClientError as error:
        layer, before = _layer_of(error.kind)
        for passed in before:
            diagnosis.add(passed, Status.OK, "")
        diagnosis.add(
            layer, Status.FAILED, error.message, error.remedy or _remedy(diagnosis, error.kind, endpoints, timeout)
        )
        return False
    diagnosis.add(Layer.PROTOCOL, Status.OK, report.detail)
    _add_authentication(diagnosis, own)
    diagnosis.add(Layer.PERMISSION, Status.OK, "")
    return True


def _add_authentication(diagnosis: Diagnosis, own: Iterable[Credential]) -> None:
    """Add a successful authentication, with the expiry date of the credential that is due first."""
    first = min(own, key=lambda credential: credential.due, default=None)
    if first is None:
        diagnosis.add(Layer.AUTHENTICATION, Status.OK, "")
        return
    detail = f"{first.what} expires at {clock(first.ends, datetime.now(UTC))}"
    if first.due <= datetime.now(UTC):
        remedy = "Renew it, and check why automatic renewal failed."
        diagnosis.add(Layer.AUTHENTICATION, Status.WARNING, detail, remedy)
    else:
        diagnosis.add(Layer.AUTHENTICATION, Status.OK, detail)


def _layer_of(kind: str | None) -> tuple[Layer, tuple[Layer, ...]]:
    """Return the layer of a client's error, and the layers that must have worked before it."""
    match kind:
        case "credentials_refused":
            return Layer.AUTHENTICATION, (Layer.PROTOCOL,)
        case "permission_denied":
            return Layer.PERMISSION, (Layer.PROTOCOL, Layer.AUTHENTICATION)
        case _:
            return Layer.PROTOCOL, ()


def _remedy(diagnosis: Diagnosis, kind: str | None, endpoints: Sequence[Endpoint], timeout: float) -> str:
    if kind not in ("credentials_refused", "permission_denied"):
        for endpoint in endpoints:
            if endpoint.tls is None and endpoint.proxy is None and speaks_tls(endpoint, timeout):
                return f"Port {endpoint.port} uses TLS: set {endpoint.secure}."
    if kind == "not_found" and diagnosis.name == "airflow":
        return "Airflow 2 or 3 is required; set its address without /api/v1 or /api/v2."
    if kind == "not_found":
        return "Create it, or correct it in the settings."
    return failure_of(kind).remedy.format(name=diagnosis.name, target=diagnosis.target)


def _brokers(diagnosis: Diagnosis, further_addresses: Callable[[], Sequence[tuple[str, int]]], timeout: float) -> None:
    """Test the addresses that the brokers advertise, to which clients connect after the bootstrap."""
    try:
        addresses = further_addresses()
    except DataopsError as error:
        diagnosis.add(Layer.BROKERS, Status.WARNING, str(error))
        return
    for host, port in addresses:
        endpoint = Endpoint(host, port, None, "", "")
        last = list(network(endpoint, timeout))[-1]
        if last.status is Status.FAILED:
            remedy = "Set advertised.listeners of the broker to an address that is reachable from here."
            diagnosis.add(Layer.BROKERS, Status.FAILED, last.detail, remedy)
    if all(step.name is not Layer.BROKERS for step in diagnosis.steps):
        diagnosis.add(Layer.BROKERS, Status.OK, ", ".join(f"{host}:{port}" for host, port in addresses))
