"""Report each change of a publication in one line."""

from __future__ import annotations

from collections import Counter

_DONE = {"create": "created", "update": "updated", "move": "moved"}


class Log:
    """Prints and counts changes.

    Args:
        where: The destination, such as `Jira DOT`.
        apply: The changes are made, not only listed.
    """

    def __init__(self, where: str, *, apply: bool) -> None:
        self._where = where
        self._apply = apply
        self.counts: Counter[str] = Counter()

    def change(self, verb: str, what: str) -> None:
        """Print one change: `create`, `update` or `move`."""
        self.counts[verb] += 1
        print(f"{self._where}: {_DONE[verb] if self._apply else 'would ' + verb} {what}")

    def note(self, what: str) -> None:
        """Print a line that is not a change."""
        print(f"{self._where}: {what}")

    def end(self, unchanged: int) -> None:
        """Print the number of changes."""
        counts = ", ".join(
            f"{self.counts[verb]} {done if self._apply else 'to ' + verb}" for verb, done in _DONE.items()
        )
        print(f"{self._where}: {counts}, {unchanged} unchanged")
