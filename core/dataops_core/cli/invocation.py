"""What was typed before a command: the context, components and pipelines that it chooses, and its exit codes.

`--help` imports this module, so it imports the settings and the clients only when a command asks for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dataops_core.cli.terminal import Exit, OutputFailed, exit_code
from dataops_core.errors import ConfigError, DataopsError

if TYPE_CHECKING:
    from dataops_core.actions import ActionPolicy
    from dataops_core.config import ContextSettings, PipelineSettings, Settings
    from dataops_core.systems.clients import Clients

STATUS_COMMANDS = ("probe", "why")
"""Commands whose exit code is a status."""
PROBE_UNKNOWN = 3
"""Exit code of these where the status is unknown; also of wrong use and internal errors."""


@dataclass
class Invocation:
    """What was typed before the command.

    Attributes:
        config: The settings file, where named.
        context: The context, where named.
        command: Name of the command.
    """

    config: Path | None = None
    context: str | None = None
    command: str | None = None

    @property
    def program(self) -> str:
        """The program with the command, as it is typed."""
        return f"dataops {self.command or ''}".rstrip()

    def exit_code(self, code: Exit) -> int:
        """Return the exit code of what is no status: wrong use, or an internal error."""
        return PROBE_UNKNOWN if self.command in STATUS_COMMANDS else code

    def exit_code_of(self, error: DataopsError) -> int:
        """Return the exit code that an error ends the command with."""
        code = exit_code(error)
        return self.exit_code(code) if code is Exit.USAGE or isinstance(error, OutputFailed) else code

    def settings(self) -> Settings:
        """Return the settings; raises ConfigError."""
        from dataops_core.config import find_config
        from dataops_core.systems.registry import load_settings

        return load_settings(find_config(self.config))

    def chosen(self) -> Chosen:
        """Return the context that the command works in; raises ConfigError."""
        from dataops_core.config import context_of

        settings = self.settings()
        return Chosen(settings, *context_of(settings, self.context))


class TyperContext(typer.Context):
    """Typer's context of a command of `dataops`."""

    obj: Invocation


@dataclass(frozen=True)
class Chosen:
    """The context that a command works in.

    Attributes:
        settings: The whole settings.
        name: The context's name.
        context: The context's own settings.
    """

    settings: Settings
    name: str
    context: ContextSettings

    @cached_property
    def clients(self) -> Clients:
        """The context's clients."""
        from dataops_core.systems.clients import Clients

        return Clients(self.context, self.settings.probe_timeout)

    @property
    def policy(self) -> ActionPolicy:
        """What allows, refuses and audits the actions of the context."""
        from dataops_core.actions import ActionPolicy

        return ActionPolicy(self.name, self.context, audit=self.settings.audit)

    @property
    def pipelines(self) -> dict[str, PipelineSettings]:
        """The context's pipelines by name."""
        return {name: each for name, each in self.settings.pipelines.items() if each.context == self.name}

    def components(self, kind: str) -> list[str]:
        """Return the names of the components of a kind, in the order of the settings."""
        return [name for name, each in self.context.configured().items() if each.component == kind]

    def component(self, kind: str, noun: str, wanted: str | None) -> str:
        """Return the name of the component that a command works on.

        Args:
            kind: Kind of component, such as `kafka`.
            noun: What one is called, such as `Kafka`.
            wanted: Its name, where `--component` gives it; else it is the one called like its kind, or the only one.

        Raises:
            ConfigError: There is none, or none of that name, or there are several and none is named.
        """
        found = self.context.named(kind, wanted)
        if found is not None:
            return found
        known = self.components(kind)
        where = f'the context "{self.name}"'
        if not known:
            raise ConfigError(f"{where} has no {noun}")
        if wanted is None:
            names = ", ".join(known)
            raise ConfigError(f"{where} has several {noun} components: {names}", hint="name one with --component")
        from dataops_core.config.check import no_such

        raise ConfigError(f"{no_such(f'{noun} component', wanted, known)} (in {where})")

    def place(self, kind: str, component: str) -> str:
        """Return where a command works, for a question: the context, and the component where there are several."""
        on = f"on {component} " if len(self.components(kind)) > 1 else ""
        return f'{on}in the context "{self.name}"'
