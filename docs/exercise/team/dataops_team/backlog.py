"""The backlog in `backlog.toml`: epics, their stories, their tasks, and the state of each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from dataops_core.errors import DataopsError

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]


class State(StrEnum):
    """State of an epic, a story or a task."""

    TODO = "todo"
    DOING = "doing"
    DONE = "done"


class BadBacklog(DataopsError):
    """The backlog cannot be read; the text says where and why."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Epic(_Entry):
    """A goal with several stories."""

    title: Text
    goal: Text
    why_now: Text | None = None
    hypothesis: Text | None = None
    done_when: Texts
    out_of_scope: Text | None = None


class Story(_Entry):
    """A result for a role, with its acceptance criteria.

    Attributes:
        owner: The role that is responsible for it; `None` in the stories of the first release.
        size: S takes a day, M three days, L a sprint of its own.
        priority: 1 comes first.
    """

    epic: str
    owner: Text | None = None
    size: Literal["S", "M", "L"] | None = None
    priority: Annotated[int, Field(ge=1)] | None = None
    role: Text = Field(alias="as")
    want: Text
    so_that: Text
    accepted_when: Texts


class Task(_Entry):
    """Work for one or more stories; the first one is its parent.

    Attributes:
        begun: The day on which work began; the default is the day of `done`.
        done: The day on which it was done.
    """

    begun: date | None = None
    done: date | None = None
    stories: Texts
    what: Text

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Self:
        if self.begun and self.done and self.done < self.begun:
            raise ValueError(f"done on {self.done}, before it was begun on {self.begun}")
        return self

    def state(self, day: date = date.max) -> State:
        """Return the state at the end of a day, by default the current state."""
        if self.done and self.done <= day:
            return State.DONE
        begun = self.begun or self.done
        return State.DOING if begun and begun <= day else State.TODO


class Backlog(_Entry):
    """All epics, stories and tasks by their ids: `E1`, `S1`, `T1`."""

    epics: dict[Annotated[str, StringConstraints(pattern=r"^E\d+$")], Epic]
    stories: dict[Annotated[str, StringConstraints(pattern=r"^S\d+$")], Story]
    tasks: dict[Annotated[str, StringConstraints(pattern=r"^T\d+$")], Task]

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> Self:
        for name, story in self.stories.items():
            if story.epic not in self.epics:
                raise ValueError(f"{name} names the epic {story.epic}, which does not exist")
        for name, task in self.tasks.items():
            for story_name in task.stories:
                if story_name not in self.stories:
                    raise ValueError(f"{name} names the story {story_name}, which does not exist")
        served = {story for task in self.tasks.values() for story in task.stories}
        for name in self.stories:
            if name not in served:
                raise ValueError(f"{name} has no task")
        for name in self.epics:
            if not self.stories_of(name):
                raise ValueError(f"{name} has no story")
        return self

    def stories_of(self, epic: str) -> dict[str, Story]:
        """Return the stories of an epic."""
        return {name: story for name, story in self.stories.items() if story.epic == epic}

    def tasks_of(self, epic: str) -> dict[str, Task]:
        """Return the tasks whose first story belongs to an epic."""
        return {name: task for name, task in self.tasks.items() if self.stories[task.stories[0]].epic == epic}

    def plan_of(self, name: str) -> str:
        """Return owner, size and priority of a story in one line; empty if it has none."""
        story = self.stories[name]
        given = {"owner": story.owner, "size": story.size, "priority": story.priority}
        return ", ".join(f"{key} {value}" for key, value in given.items() if value is not None)

    def story_state(self, name: str) -> State:
        """Return the state of a story, which follows from its tasks."""
        return _state_of(task.state() for task in self.tasks.values() if name in task.stories)

    def epic_state(self, name: str) -> State:
        """Return the state of an epic, which follows from its stories."""
        return _state_of(self.story_state(story) for story in self.stories_of(name))

    def items(self) -> Iterator[Item]:
        """Yield epics, then stories, then tasks as issues of Jira: parents before their children."""
        for name, epic in self.epics.items():
            yield Item(name, "Epic", None, epic.title, self.epic_state(name), _describe_epic(epic))
        for name, story in self.stories.items():
            yield Item(
                name,
                "Story",
                story.epic,
                story.want,
                self.story_state(name),
                _describe_story(story, self.plan_of(name)),
            )
        for name, task in self.tasks.items():
            yield Item(name, "Sub-task", task.stories[0], task.what, task.state(), _describe_task(task))


@dataclass(frozen=True, slots=True)
class Item:
    """An epic, a story or a task, as an issue of a tracker.

    Attributes:
        kind: Jira's usual name of the issue type.
        parent: The id of the parent item.
        title: Markdown, on one line.
        description: Markdown: paragraphs and lists.
    """

    id: str
    kind: str
    parent: str | None
    title: str
    state: State
    description: str


def load_backlog(path: Path) -> Backlog:
    """Read the backlog; raises BadBacklog."""
    try:
        return Backlog.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise BadBacklog(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadBacklog(f"{path}: {where + ': ' if where else ''}{first['msg']}") from error


def _state_of(parts: Iterable[State]) -> State:
    states = set(parts)
    return states.pop() if len(states) == 1 else State.DOING


def _describe_epic(epic: Epic) -> str:
    paragraphs = [f"**Goal.** {epic.goal}"]
    if epic.why_now:
        paragraphs.append(f"**Why now.** {epic.why_now}")
    if epic.hypothesis:
        paragraphs.append(f"**Hypothesis.** {epic.hypothesis}")
    paragraphs.append("**Done when**\n\n" + "\n".join(f"- {text}" for text in epic.done_when))
    if epic.out_of_scope:
        paragraphs.append(f"**Out of scope.** {epic.out_of_scope}")
    return "\n\n".join(paragraphs)


def _describe_story(story: Story, plan: str) -> str:
    criteria = "\n".join(f"- {text}" for text in story.accepted_when)
    planned = f"\n\n**Plan.** {plan[0].upper()}{plan[1:]}." if plan else ""
    return f"As {story.role}, I want {story.want}, so that {story.so_that}.\n\n**Accepted when**\n\n{criteria}{planned}"


def _describe_task(task: Task) -> str:
    others = f"\n\nAlso for {', '.join(task.stories[1:])}." if task.stories[1:] else ""
    return task.what[0].upper() + task.what[1:] + "." + others
