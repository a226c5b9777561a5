"""Probe a stage with a program."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from dataops_core.bounded import Malformed, loads
from dataops_core.config import resolve_secret
from dataops_core.errors import BadAnswer
from dataops_core.health.observation import Observation
from dataops_core.reasons import line
from dataops_core.systems.base import Clients
from dataops_core.systems.command.details import CommandDetails
from dataops_core.systems.command.nagios import STATES, read_plugin
from dataops_core.systems.command.program import Done, masked, run
from dataops_core.systems.command.settings import CommandStage
from dataops_core.systems.measured.document import values
from dataops_core.systems.measured.observe import observe_values


def observe_command(stage: CommandStage, clients: Clients) -> Observation:
    """Run the program of a stage, and return an observation of its values."""
    where = _where(stage)
    done, document = read(stage)
    observation = observe_values(stage, values(stage, document, where), where, clients)
    plugin = stage.output == "nagios"
    known = {each.name: getattr(observation.details, each.name) for each in fields(observation.details)}
    details = CommandDetails(
        **known,
        exit_code=done.code,
        run_duration=done.duration,
        plugin_state=document["state"] if plugin else None,
        plugin_text=line(document["text"]) if plugin and document["text"] else None,
    )
    notes = (document["text"],) if plugin and document["text"] else ()
    return replace(observation, details=details, notes=(*notes, *observation.notes))


def read(stage: CommandStage) -> tuple[Done, Any]:
    """Run the program of a stage; return its end and the document in its output.

    Raises:
        ConfigError: It cannot be started.
        ClientError: It does not end in time, fails, or its output has another format than `output`.
    """
    where = _where(stage)
    environment = {
        name: resolve_secret(value, f"environment.{name}", timeout=stage.deadline)
        for name, value in stage.environment.items()
    }
    done = run(
        stage.command,
        folder=stage.folder,
        environment=environment,
        deadline=stage.deadline,
        most_bytes=stage.bytes_max,
    )
    try:
        if stage.output == "nagios":
            return done, _plugin(done, where, environment)
        if done.code != 0:
            raise BadAnswer(f"{where}: {_ending(done.code)}{_reason(done, environment)}")
        return done, loads(done.output, size=stage.bytes_max)
    except Malformed as error:
        raise BadAnswer(f"{where}: its output {error}") from None  # the cause holds the output


def _plugin(done: Done, where: str, environment: dict[str, str]) -> dict[str, Any]:
    try:
        text = masked(done.output.decode(), environment)
    except UnicodeDecodeError:
        raise Malformed("is not UTF-8") from None
    if done.code not in STATES:
        first = line(text.partition("\n")[0]) if text.strip() else ""
        raise BadAnswer(f"{where}: {_ending(done.code)}, so the state is unknown{f': {first}' if first else ''}")
    return read_plugin(done.code, text)


def _ending(code: int) -> str:
    return f"ended by signal {-code}" if code < 0 else f"ended with {code}"


def _reason(done: Done, environment: dict[str, str]) -> str:
    lines = masked(done.errors.decode(errors="replace"), environment).strip().splitlines()
    return f": {line(lines[-1])}" if lines else ""


def _where(stage: CommandStage) -> str:
    return f"command {Path(stage.command[0]).name}"
