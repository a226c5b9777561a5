"""`dataops audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import HELP
from dataops_core.cli.terminal import Exit, say, write
from dataops_core.errors import ConfigError

if TYPE_CHECKING:
    from dataops_core.actions.audit import AuditReport
    from dataops_core.config import AuditSettings


app = typer.Typer(rich_markup_mode=None, context_settings=HELP, help="The audit log.")


@app.command("verify")
def verify(
    context: TyperContext,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Audit file. Default: that of the user.")] = None,
    head: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Hash of a line, from a syslog; it must be in the file.")
    ] = None,
) -> int:
    """Check that no line of the audit file was changed, removed or inserted.

    Each line must follow the previous one, the file must end as its head file records, and with audit.hmac_key in the
    settings each line must be signed.

    Example: dataops audit verify

    Exit codes: 0 no change found, 1 a change found, 2 wrong use or no such file.
    """
    return _verify(context.obj, file, None if head is None else head.strip().lower())


def _verify(invocation: Invocation, file: Path | None, known: str | None) -> int:
    """Check an audit file."""
    from dataops_core.actions.audit import AuditLog

    audit = AuditLog(file, _settings(invocation))
    try:
        report = audit.verify(known)
    except OSError as error:
        raise ConfigError(f"{audit.path}: {(error.strerror or 'cannot be read').lower()}") from error
    if report.problem is not None:
        say(f"dataops: {audit.path}: {report.problem}; {report.lines} lines before it are intact")
        return Exit.FAILED
    write(f"{audit.path}: {report.lines} lines, the chain is intact; {'; '.join(_checked(report, known))}\n")
    return Exit.OK


def _settings(invocation: Invocation) -> AuditSettings:
    """Return the anchors of the settings; the defaults if there is no settings file."""
    from dataops_core.config import AuditSettings, find_config
    from dataops_core.systems.registry import load_settings

    try:
        path = find_config(invocation.config)
    except ConfigError:
        if invocation.config is not None:
            raise
        return AuditSettings()
    return load_settings(path).audit


def _checked(report: AuditReport, known: str | None) -> list[str]:
    ends = {
        None: "its end was not checked, because it has no head file",
        1: "its end matches its head file",
    }
    end = ends.get(
        report.anchored_from, f"its end matches its head file, which exists from line {report.anchored_from}"
    )
    since = report.signed_from
    signed = "no signatures were checked" if since is None else f"signatures are valid from line {since} on"
    return [end, signed, *([f"it contains a line with the hash {known}"] if known is not None else [])]
