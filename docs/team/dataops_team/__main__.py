"""`python -m dataops_team`: write what comes from the backlog, and what Confluence is to have."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dataops_team import files
from dataops_team.backlog import BadBacklog, load_backlog
from dataops_team.pages import read_pages
from dataops_team.storage import BadPage

TEAM = Path(__file__).parents[1]
ROOT = TEAM.parents[1]
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


@app.command()
def pages(folder: Annotated[Path, typer.Argument(help="Where to.")]) -> None:
    """Write what Confluence is to have, in its storage format, for a look or for pasting."""
    for page in read_pages(ROOT):
        path = folder / Path(page.source).with_suffix(".xhtml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page.body, encoding="utf-8")
        print(f"{path}  {page.title}")


if __name__ == "__main__":
    try:
        app()
    except (BadBacklog, BadPage) as error:
        sys.exit(str(error))
