"""`dataops audit`."""

from __future__ import annotations

from pathlib import Path

from dataops_core.actions.audit import default_audit_path, verify_audit
from dataops_core.cli.terminal import Exit, say, write
from dataops_core.errors import ConfigError


def verify(file: Path | None) -> int:
    """Check an audit file."""
    path = file or default_audit_path()
    try:
        report = verify_audit(path)
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    if report.problem is not None:
        say(f"dataops: {path}: {report.problem}; {report.lines} lines before it are intact")
        return Exit.FAILED
    write(f"{path}: {report.lines} lines, each follows the one before it\n")
    return Exit.OK
