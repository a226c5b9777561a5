"""The global options of `dataops`, the context that they select, and the exit codes of a command.

`--help` imports this module, so it imports the settings and the clients only when a command needs them.
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
"""Exit code of these commands for an unknown status, wrong use and internal errors."""


@dataclass
class Invocation:
    """The options that were typed before the command, and the name of the command.

    Attributes:
        config: The settings file; `None` for the default.
        context: Name of the context; `None` for the default.
    """

    config: Path | None = None
    context: str | None = None
    command: str | None = None

    @property
    def program(self) -> str:
        """The program and the command, as typed."""
        return f"dataops {self.command or ''}".rstrip()

    def exit_code(self, code: Exit) -> int:
        """Return the exit code for wrong use or an internal error, which is not a status."""
        return PROBE_UNKNOWN if self.command in STATUS_COMMANDS else code

    def exit_code_of(self, error: DataopsError) -> int:
        """Return the exit code of the command if it fails with this error."""
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
    """The context that a command works in, with all settings."""

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
        """The policy that allows, refuses and audits actions in the context."""
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
            noun: Name of the kind in messages, such as `Kafka`.
            wanted: The value of `--component`. Without it, the component is the one named like its kind, or the only
                one.

        Raises:
            ConfigError: There is none, none of that name, or several and `wanted` is not given.
        """
        result = self.context.named(kind, wanted)
        if result is not None:
            return result
        known = self.components(kind)
        where = f'the context "{self.name}"'
        if not known:
            raise ConfigError(f"{where} has no {noun}")
        if wanted is None:
            names = ", ".join(known)
            raise ConfigError(f"{where} has several {noun} components: {names}", hint="name one with --component")
        from dataops_core.config.check import no_such

        raise ConfigError(f"{no_such(f'{noun} component', wanted, known)} (in {where})")

    def where(self, kind: str, component: str) -> str:
        """Return the context in words for a question, with the component if there are several."""
        on = f"on {component} " if len(self.components(kind)) > 1 else ""
        return f'{on}in the context "{self.name}"'
