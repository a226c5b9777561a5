"""Lists that are read item by item: one that cannot be read is a row that says why, and hides no other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from dataops_core.errors import DataopsError
from dataops_core.reasons import line


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of a list that cannot be read.

    Attributes:
        name: Its name, as far as the list has it.
        unreadable: Why, in one line.
    """

    name: str
    unreadable: str


class Item(Protocol):
    """An item of a list; `unreadable` says why it cannot be read, or not in full, and is `None` where it can."""

    @property
    def unreadable(self) -> str | None: ...  # noqa: D102 - as above


def unreadable(items: Iterable[Item]) -> tuple[str, ...]:
    """Return why items cannot be read, one line for each of them."""
    return tuple(item.unreadable for item in items if item.unreadable is not None)


def how_many(items: Iterable[Item], nouns: str) -> str | None:
    """Return how many items cannot be read, in one line: `2 of 14 tables cannot be read`; `None` where all can."""
    found = list(items)
    number = len(unreadable(found))
    return f"{number:,} of {len(found):,} {nouns} cannot be read" if number else None


def why(error: BaseException) -> str:
    """Return in one line why an item cannot be read; of what is no error of ours the class is named too."""
    return str(error) if isinstance(error, DataopsError) else f"{type(error).__name__}: {line(error)}"
