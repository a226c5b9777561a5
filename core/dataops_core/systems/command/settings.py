"""Settings of stages that a program observes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dataops_core.config.base import LocalPath, Secret
from dataops_core.systems.measured.settings import DocumentStage


class CommandStage(DocumentStage):
    """A stage that a program observes: it prints JSON, or is a Nagios plug-in."""

    kind: Literal["command"]
    """Always `command`."""
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Program and arguments, run without a shell. Other users of the machine can see the arguments."""
    output: Literal["json", "nagios"] = "json"
    """`json`: a JSON document, and exit code 0. `nagios`: exit code, text and perfdata of a Nagios plug-in."""
    folder: LocalPath | None = None
    """Working directory of the program. Default: that of DataOps."""
    environment: dict[str, Secret] = Field(default={}, repr=False)
    """Environment variables of the program; it inherits PATH, HOME, TMPDIR, locale and time zone only."""
    deadline: float = Field(default=10.0, gt=0)
    """Seconds after which the program and its children are killed."""
    bytes_max: int = Field(default=2**20, gt=0)
    """Maximum size of the program's output in bytes."""
