"""The draft of pipelines that `config init` fills: stages by the object that they represent, and their links."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dataops_core.errors import ClientError

T = TypeVar("T")


@dataclass
class ProposedStage:
    """A stage as a table of the settings.

    Attributes:
        settings: Its keys, `name` and `kind` first, without `reads`.
        reads: Names of the stages that it reads.
        remarks: Comments for the person who reviews the draft.
        alone: Whether it is proposed without a link to another stage as well.
    """

    settings: dict[str, Any]
    reads: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    alone: bool = False

    @property
    def name(self) -> str:
        """Unique within the proposal."""
        return str(self.settings["name"])

    @property
    def kind(self) -> str:
        """Kind of stage."""
        return str(self.settings["kind"])


class Draft:
    """Stages by the object that they represent. Each system adds its stages and links them to the existing ones.

    Args:
        checkpoints: Paths of checkpoints of streaming queries; no system lists them.
    """

    def __init__(self, checkpoints: tuple[str, ...] = ()) -> None:
        self.checkpoints = checkpoints
        self.writers: dict[str, ProposedStage] = {}
        """Stages that write tables, by the id that they write into the tables' commits."""
        self._stages: dict[tuple[str, str], ProposedStage] = {}
        self._failures: list[str] = []

    def add(self, key: str, settings: Mapping[str, Any]) -> ProposedStage:
        """Add a stage under a unique name.

        Args:
            key: Object that it represents, unique among the stages of its kind.
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
        """Return the stage of a kind that represents an object, or `None`."""
        return self._stages.get((kind, key))

    def stages(self, kind: str | None = None) -> Iterator[ProposedStage]:
        """Return the stages, optionally of one kind only."""
        return (stage for stage in self._stages.values() if kind is None or stage.kind == kind)

    def remove(self, stage: ProposedStage) -> None:
        """Remove a stage and the links to it."""
        self._stages = {key: each for key, each in self._stages.items() if each is not stage}
        for each in self._stages.values():
            each.reads = [name for name in each.reads if name != stage.name]

    def read(self) -> set[str]:
        """Return the names of the stages that another stage reads."""
        return {name for stage in self._stages.values() for name in stage.reads}

    def ask(self, question: Callable[[], T]) -> T | None:
        """Return the result of a call, or `None` after a ClientError, which is added to the failures."""
        try:
            return question()
        except ClientError as error:
            self._failures.append(str(error))
            return None

    def note(self, failure: str) -> None:
        """Add a failure, in one line."""
        self._failures.append(failure)

    @property
    def failures(self) -> tuple[str, ...]:
        """The failures, one line each."""
        return tuple(dict.fromkeys(self._failures))
