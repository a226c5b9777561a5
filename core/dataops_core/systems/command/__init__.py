"""Stages that a program observes: one that prints JSON, or a Nagios plug-in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from dataops_core.health.observation import Observation
from dataops_core.systems.base import Clients, DoctorStep, StageKind, System
from dataops_core.systems.command.checks import CHECKS
from dataops_core.systems.command.details import CommandDetails
from dataops_core.systems.command.settings import CommandStage
from dataops_core.systems.measured.settings import document_problems
from dataops_core.units import duration


def _observe(stage: CommandStage, clients: Clients) -> Observation:
    from dataops_core.systems.command.probe import observe_command

    return observe_command(stage, clients)


def _diagnose(stage: CommandStage, _clients: Clients) -> Iterator[DoctorStep]:
    from dataops_core.systems.command.probe import read
    from dataops_core.systems.measured.document import steps

    done, document = read(stage)
    ran, most = duration(done.duration, precise=True), duration(stage.deadline, precise=True)
    yield DoctorStep(ok=True, detail=f"{stage.command[0]}: ran for {ran} of {most}")
    yield from steps(stage, document, stage.command[0])


def _why_unknown(stage: CommandStage, observation: Observation) -> str | None:
    from dataops_core.systems.measured.observe import why_unknown

    return why_unknown(stage, observation)


SYSTEM = System(
    name="command",
    tested="local programs; plug-ins that follow the Nagios plug-in guidelines",
    stage_kinds=(
        StageKind(
            name="command",
            settings=CommandStage,
            details=CommandDetails,
            observe=_observe,
            checks=CHECKS,
            problems=partial(document_problems, details=CommandDetails),
            diagnose=_diagnose,
            min_interval=lambda stage: stage.every,
            why_unknown=_why_unknown,
        ),
    ),
)
