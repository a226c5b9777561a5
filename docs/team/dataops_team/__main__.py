"""`python -m dataops_team write`: the backlog's pages and Jira files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dataops_team import files
from dataops_team.backlog import BadBacklog, load_backlog

TEAM = Path(__file__).parents[1]
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """The team's own tools."""


@app.command()
def write(check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if stale.")] = False) -> None:
    """Write the pages and Jira files that come from backlog.toml."""
    stale = files.write(load_backlog(TEAM / "backlog.toml"), TEAM, check=check)
    if stale:
        print(f"{'stale: run `make docs`' if check else 'written'}: {', '.join(stale)}")
    raise typer.Exit(int(check and bool(stale)))


if __name__ == "__main__":
    try:
        app()
    except BadBacklog as error:
        sys.exit(str(error))
