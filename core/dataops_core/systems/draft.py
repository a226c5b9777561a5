"""A draft of pipelines that `config init` fills: stages by what they stand for, while their links are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dataops_core.errors import ClientError

T = TypeVar("T")


@dataclass
class ProposedStage:
    """A stage, as a table of the settings.

    Attributes:
        settings: Its keys, `name` and `kind` first, without `reads`.
        reads: Names of the stages that it reads.
        remarks: What whoever looks it through has to know.
    """

    settings: dict[str, Any]
    reads: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Unique within the proposal."""
        return str(self.settings["name"])

    @property
    def kind(self) -> str:
        """Kind of stage."""
        return str(self.settings["kind"])


class Draft:
    """Stages by what they stand for; each system adds its own, and links them with what is there already.

    Args:
        checkpoints: Places of streaming queries' checkpoints, which nothing else knows of.
    """

    def __init__(self, checkpoints: tuple[str, ...] = ()) -> None:
        self.checkpoints = checkpoints
        self.writers: dict[str, ProposedStage] = {}
        """Stages that write tables, by the id that they leave in the tables' commits."""
        self._stages: dict[tuple[str, str], ProposedStage] = {}
        self._failures: list[str] = []

    def add(self, key: str, settings: Mapping[str, Any]) -> ProposedStage:
        """Add a stage; its name is made unique.

        Args:
            key: What it stands for, unique among the stages of its kind.
            settings: Its keys, `name` and `kind` among them, without `reads`.
        """
        kind = str(settings["kind"])
        name = str(settings["name"]).replace("/", "-")
        if any(stage.name == name for stage in self._stages.values()):
            name = f"{name} ({kind.partition('_')[2] or kind})"
        stage = ProposedStage({**settings, "name": name})
        self._stages[kind, key] = stage
        return stage

    def stage(self, kind: str, key: str) -> ProposedStage | None:
        """Return the stage of a kind that stands for something; `None` where there is none."""
        return self._stages.get((kind, key))

    def stages(self, kind: str | None = None) -> Iterator[ProposedStage]:
        """Yield the stages, those of one kind if asked for."""
        return (stage for stage in self._stages.values() if kind is None or stage.kind == kind)

    def remove(self, stage: ProposedStage) -> None:
        """Remove a stage that another one stands for better; links to it go as well."""
        self._stages = {key: each for key, each in self._stages.items() if each is not stage}
        for each in self._stages.values():
            each.reads = [name for name in each.reads if name != stage.name]

    def read(self) -> set[str]:
        """Return the names of the stages that another one reads."""
        return {name for stage in self._stages.values() for name in stage.reads}

    def ask(self, question: Callable[[], T]) -> T | None:
        """Return an answer; `None`, and a failure is noted, where there is none."""
        try:
            return question()
        except ClientError as error:
            self._failures.append(str(error))
            return None

    def note(self, failure: str) -> None:
        """Note what could not be asked, in one line."""
        self._failures.append(failure)

    @property
    def failures(self) -> tuple[str, ...]:
        """What could not be asked, one line each."""
        return tuple(dict.fromkeys(self._failures))
