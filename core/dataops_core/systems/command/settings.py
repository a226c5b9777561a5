"""Settings of stages that are observed by a program."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dataops_core.config.base import LocalPath, Secret
from dataops_core.systems.measured.settings import DocumentStage


class CommandStage(DocumentStage):
    """A stage that is observed by a program: its output is JSON, or that of a Nagios plug-in."""

    kind: Literal["command"]
    """Always `command`."""
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Program and arguments; no shell is involved. Arguments are visible to other users of the machine."""
    output: Literal["json", "nagios"] = "json"
    """`json`: a JSON document, and exit code 0. `nagios`: exit code, text and perfdata of a Nagios plug-in."""
    folder: LocalPath | None = None
    """Folder in which the program runs; that of the process where not given."""
    environment: dict[str, Secret] = Field(default={}, repr=False)
    """Environment variables of the program; it inherits PATH, HOME, TMPDIR, locale and time zone only."""
    deadline: float = Field(default=10.0, gt=0)
    """Seconds after which the program and its children are killed."""
    bytes_max: int = Field(default=2**20, gt=0)
    """Bytes that the program may write."""
