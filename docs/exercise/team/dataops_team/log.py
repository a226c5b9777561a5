"""What a publication does, or would do, one line for each change."""

from __future__ import annotations

from collections import Counter

_DONE = {"create": "created", "update": "updated", "move": "moved"}


class Log:
    """Says each change, and counts.

    Args:
        where: What is published to, such as `Jira DOT`.
        apply: The changes are made, and not only told.
    """

    def __init__(self, where: str, *, apply: bool) -> None:
        self._where = where
        self._apply = apply
        self.counts: Counter[str] = Counter()

    def change(self, verb: str, what: str) -> None:
        """Say one change: `create`, `update` or `move`."""
        self.counts[verb] += 1
        print(f"{self._where}: {_DONE[verb] if self._apply else 'would ' + verb} {what}")

    def note(self, what: str) -> None:
        """Say what is no change."""
        print(f"{self._where}: {what}")

    def end(self, unchanged: int) -> None:
        """Say how much was changed."""
        counts = ", ".join(
            f"{self.counts[verb]} {done if self._apply else 'to ' + verb}" for verb, done in _DONE.items()
        )
        print(f"{self._where}: {counts}, {unchanged} unchanged")
