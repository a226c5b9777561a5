"""Lists that are read item by item: an item that cannot be read becomes a row with the reason."""

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
        name: Name of the item in the list.
        unreadable: The reason, in one line.
    """

    name: str
    unreadable: str


class Item(Protocol):
    """An item of a list; `unreadable` is the reason why it cannot be read in full, or `None`."""

    @property
    def unreadable(self) -> str | None: ...  # noqa: D102 - as above


def unreadable(items: Iterable[Item]) -> tuple[str, ...]:
    """Return the reason for each item that cannot be read."""
    return tuple(item.unreadable for item in items if item.unreadable is not None)


def how_many(items: Iterable[Item], nouns: str) -> str | None:
    """Return how many items cannot be read, in one line: `2 of 14 tables cannot be read`; `None` if all can."""
    results = list(items)
    number = len(unreadable(results))
    return f"{number:,} of {len(results):,} {nouns} cannot be read" if number else None


def why(error: BaseException) -> str:
    """Return why an item cannot be read, in one line, with the class of an unexpected error."""
    return str(error) if isinstance(error, DataopsError) else f"{type(error).__name__}: {line(error)}"
