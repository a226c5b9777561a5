"""The doctor: each connection of a context, layer by layer, and each object that its pipelines name.

A probe reports that a component does not respond. The doctor finds the layer that fails: is its name known, does it
take connections, is its certificate one that we trust, does it speak the protocol, does it know us, may we read.
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
from dataops_core.health.text import clock, duration
from dataops_core.reasons import line
from dataops_core.systems.base import ComponentKind, ComponentProbe, ComponentReport, DoctorStep, StageKind
from dataops_core.systems.clients import Clients, prepare
from dataops_core.transport.credentials import Credential, ours
from dataops_core.transport.deadlines import Deadline
from dataops_core.transport.endpoints import Endpoint

SCHEMA_VERSION = 1
"""Version of the JSON form; raised when a field changes its meaning or goes away."""


@dataclass(slots=True, kw_only=True)
class Diagnosis(Report[Layer]):
    """One connection, or one stage: the layers that were tried, none after the first that has failed.

    Attributes:
        kind: `component` or `stage`.
        name: The component's name; a stage's after its pipeline's, `orders/bronze.orders`.
        target: Its address; of a stage, the component that answers for it.
        needs: Names of the components without which a stage cannot be observed.
    """

    kind: Literal["component", "stage"]
    name: str
    target: str
    needs: tuple[str, ...] = ()


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
                "result": each.status.value,
                "steps": [step.as_dict("layer") for step in each.steps],
            }
            for each in diagnoses
        ],
    }


def _prepare(kind: StageKind | ComponentKind | None) -> None:
    """Import what a probe needs, outside of any layer's deadline; an error is reported at its use."""
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
        copied = replace(diagnosis, steps=list(diagnosis.steps))  # a thread that is late may still add to its own
        if thread.is_alive():
            hung = failure_of("timed_out")
            layer = Layer.OBJECT if copied.kind == "stage" else Layer.PROTOCOL if copied.steps else Layer.NAME
            remedy = hung.remedy.format(name=copied.name, target=copied.target)
            copied.add(layer, Status.FAILED, f"no response within {duration(3 * timeout)}", remedy)
        found.append(copied)
    return tuple(found)


def _without_echoes(found: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Return the diagnoses with each component's failure reported once, not again for its stages."""
    failed = {each.name for each in found if each.kind == "component" and each.status is Status.FAILED}
    diagnoses = []
    for each in found:
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
    except Exception as error:  # noqa: BLE001 - one diagnosis with a bug must not cost the others
        diagnosis.add(Layer.SETTINGS, Status.FAILED, f"the doctor itself failed: {type(error).__name__}: {line(error)}")


def _component(
    probe: ComponentProbe, further: Callable[[], Iterator[DoctorStep]] | None, timeout: float
) -> Callable[[Diagnosis], None]:
    def work(diagnosis: Diagnosis) -> None:
        endpoints = tuple(probe.identity.endpoints())
        if endpoints and not reach(diagnosis, endpoints, timeout):
            return
        answered = _asked(diagnosis, probe.ask, endpoints, ours(probe.identity), timeout)
        if answered and probe.further_addresses is not None:
            _brokers(diagnosis, probe.further_addresses, timeout)
        if answered and further is not None:
            _further(diagnosis, Layer.PERMISSION, further())

    return work


def _further(diagnosis: Diagnosis, layer: Layer, steps: Iterable[DoctorStep]) -> None:
    """Add what a system tries besides; a client's error ends it, and is a step itself."""
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
            diagnosis.add(Layer.OBJECT, Status.OK, "; ".join(observation.notes) or "there")
        kind = clients.registry.stage_kind(stage.kind)
        if kind is not None and kind.diagnose is not None:
            _further(diagnosis, Layer.OBJECT, kind.diagnose(stage, clients))

    return work


##### Layer by layer


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
            diagnosis.add(passed, Status.OK, "")
        diagnosis.add(
            layer, Status.FAILED, error.message, error.remedy or _remedy(diagnosis, error.kind, endpoints, timeout)
        )
        return False
    diagnosis.add(Layer.PROTOCOL, Status.OK, answer.detail)
    _admitted(diagnosis, own)
    diagnosis.add(Layer.PERMISSION, Status.OK, "")
    return True


def _admitted(diagnosis: Diagnosis, own: Iterable[Credential]) -> None:
    """Say that the component knows us, and until when: by the credential that is due first."""
    first = min(own, key=lambda credential: credential.due, default=None)
    if first is None:
        diagnosis.add(Layer.AUTHENTICATION, Status.OK, "")
        return
    detail = f"{first.what} ends {clock(first.ends, datetime.now(UTC))}"
    if first.due <= datetime.now(UTC):
        remedy = "Renew it, and check why automatic renewal failed."
        diagnosis.add(Layer.AUTHENTICATION, Status.WARNING, detail, remedy)
    else:
        diagnosis.add(Layer.AUTHENTICATION, Status.OK, detail)


def _layer_of(kind: str | None) -> tuple[Layer, tuple[Layer, ...]]:
    """Return the layer at which an error of a client lies, and those that it shows to be well."""
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
    """Try the addresses that the brokers advertise: clients connect to them after the bootstrap."""
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
