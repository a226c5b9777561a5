"""`python -m dataops_team`: generate files from the backlog, and publish the backlog and the pages."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dataops_core.config import SecretSource, resolve_secret
from dataops_core.errors import ConfigError, DataopsError
from dataops_team import files
from dataops_team.api import Api
from dataops_team.backlog import load_backlog
from dataops_team.confluence import ConfluenceSpace
from dataops_team.jira import JiraProject
from dataops_team.pages import read_pages

TEAM = Path(__file__).parents[1]
ROOT = TEAM.parents[2]
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """The team's tools."""


@app.command()
def write(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with code 1 if a file is stale.")] = False,
) -> None:
    """Generate the pages and Jira files from backlog.toml."""
    stale = files.write(load_backlog(TEAM / "backlog.toml"), TEAM, check=check)
    if stale:
        print(f"{'stale: run `make docs`' if check else 'written'}: {', '.join(stale)}")
    raise typer.Exit(int(check and bool(stale)))


@app.command()
def pages(folder: Annotated[Path, typer.Argument(help="Folder to write to.")]) -> None:
    """Write the pages in Confluence's storage format, to review or paste them."""
    for page in read_pages(ROOT):
        path = folder / Path(page.source).with_suffix(".xhtml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page.body, encoding="utf-8")
        print(f"{path}  {page.title}")


@app.command()
def publish(
    apply: Annotated[bool, typer.Option("--apply", help="Make the changes; without it, only list them.")] = False,
    site: Annotated[
        str, typer.Option(envvar="ATLASSIAN_SITE", help="URL of the site, such as https://example.atlassian.net.")
    ] = "",
    email: Annotated[str, typer.Option(envvar="ATLASSIAN_EMAIL", help="E-mail address of the token's account.")] = "",
    token_file: Annotated[
        str,
        typer.Option(envvar="ATLASSIAN_TOKEN_FILE", help="File with the API token; the default is ATLASSIAN_TOKEN."),
    ] = "",
    project: Annotated[
        str, typer.Option(envvar="JIRA_PROJECT", help="Key of the Jira project; without it, skip Jira.")
    ] = "",
    space: Annotated[
        str, typer.Option(envvar="CONFLUENCE_SPACE", help="Key of the Confluence space; without it, skip Confluence.")
    ] = "",
) -> None:
    """Publish the backlog to Jira and the pages to Confluence."""
    items, all_pages = tuple(load_backlog(TEAM / "backlog.toml").items()), read_pages(ROOT)
    if not (site and email and (project or space)):
        raise ConfigError(
            f"{len(items)} issues and {len(all_pages)} pages are ready, but the site is not configured",
            hint="set ATLASSIAN_SITE, ATLASSIAN_EMAIL, and JIRA_PROJECT or CONFLUENCE_SPACE or both",
        )
    token = _token(token_file)
    if project:
        jira = Api("Jira", site, "/rest/api/3", email, token)
        with jira.understood():
            JiraProject(jira, project).publish(items, apply=apply)
    if space:
        confluence = Api("Confluence", site, "/wiki/api/v2", email, token)
        with confluence.understood():
            ConfluenceSpace(confluence, space).publish(all_pages, apply=apply)


def _token(file: str) -> str:
    if file:
        return resolve_secret(SecretSource(file=file), "the API token")
    if token := os.environ.get("ATLASSIAN_TOKEN"):
        return token
    raise ConfigError("there is no API token", hint="set ATLASSIAN_TOKEN_FILE or ATLASSIAN_TOKEN")


if __name__ == "__main__":
    try:
        app()
    except DataopsError as error:
        sys.exit(f"error: {error}")
