"""The command palette: fuzzy search over all commands of `:`."""

from __future__ import annotations

from functools import partial
from typing import Protocol, cast

from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider

from dataops_tui.dialogs.command import Command


class CommandLine(Protocol):
    """The app, as the palette uses it."""

    def commands(self) -> list[Command]:
        """Return all commands that are available now."""

    def run_command(self, typed: str) -> None:
        """Run a command."""


class ConsoleCommands(Provider):
    """The console's commands."""

    @property
    def console(self) -> CommandLine:
        """The app."""
        return cast("CommandLine", self.app)

    async def discover(self) -> Hits:
        """Yield all commands."""
        for command in self.console.commands():
            yield DiscoveryHit(command.text, partial(self.console.run_command, command.text), help=command.about)

    async def search(self, query: str) -> Hits:
        """Yield the commands that match, the best first."""
        matcher = self.matcher(query)
        for command in self.console.commands():
            score = matcher.match(f"{command.text} {command.about}")
            if score > 0:
                run = partial(self.console.run_command, command.text)
                yield Hit(score, matcher.highlight(command.text), run, command.text, command.about)


class Palette(CommandPalette):
    """Textual's palette, whose list can get keys before it has room on the screen."""

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList).scrollable_content_region:  # else Textual 8 raises KeyError for a page
            super()._action_command_list(action)
