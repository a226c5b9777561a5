"""The command palette: everything that `:` takes, found by a few of its letters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

if TYPE_CHECKING:
    from dataops_tui.app import DataopsApp


class ConsoleCommands(Provider):
    """The console's commands."""

    @property
    def console(self) -> DataopsApp:
        """The app."""
        return cast("DataopsApp", self.app)

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
