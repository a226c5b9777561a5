"""Match regular expressions that a user types, in linear time with RE2, which is part of PyArrow.

Python's `re` backtracks: `(a+)+$` takes minutes on thirty letters and blocks the program.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence

from dataops_core.errors import DataopsError
from dataops_core.units import duration

WITHIN = 1.0
"""Maximum seconds of a search."""
_CHUNK = 64 * 1024
"""Characters to search between two checks of the clock."""
_MAX_SIZE = 20_000
"""Maximum of a pattern's length times its repetitions, which is about the cost for each character of a text."""
_SPECIAL = frozenset(r".^$*+?{}[]\|()")
_SURROGATE = re.compile("[\ud800-\udfff]")
_REPETITION = re.compile(r"\{(?:\d*,)?(\d+),?\}")


class BadPattern(DataopsError):
    """A text is not a valid regular expression, or it is too expensive."""


class Pattern:
    """A regular expression in RE2's syntax: Python's without look-around, back-references and backslash Z.

    Raises:
        BadPattern: It is not valid, or too large.
    """

    def __init__(self, source: str, *, ignore_case: bool = False) -> None:
        self._ignore_case = ignore_case
        self._find = self._word(source) if _SPECIAL.isdisjoint(source) else self._expression(source)

    def matches(self, texts: Sequence[str], within: float = WITHIN) -> list[bool]:
        """Return for each text whether the pattern occurs in it; raises BadPattern if the search takes too long."""
        end = time.monotonic() + within
        results: list[bool] = []
        for chunk in _chunks(texts):
            results += self._find(chunk)
            if len(results) < len(texts) and time.monotonic() > end:
                raise BadPattern(f"the pattern was stopped after {duration(within, precise=True)}: use a simpler one")
        return results

    def _word(self, word: str) -> Callable[[Sequence[str]], list[bool]]:
        if self._ignore_case:
            lowered = word.casefold()
            return lambda texts: [lowered in text.casefold() for text in texts]
        return lambda texts: [word in text for text in texts]

    def _expression(self, source: str) -> Callable[[Sequence[str]], list[bool]]:
        import pyarrow as pa  # noqa: PLC0415 - takes up to a second, and most filters are plain words
        import pyarrow.compute as pc  # noqa: PLC0415 - as above

        if len(source) * max(1, sum(int(most[:6]) for most in _REPETITION.findall(source))) > _MAX_SIZE:
            raise BadPattern("the pattern is too large: shorten it or its repetitions")
        pattern = _unicode(source)

        def find(texts: Sequence[str]) -> list[bool]:
            given = pa.array([_unicode(text) for text in texts], pa.string())
            results: list[bool] = pc.match_substring_regex(given, pattern, ignore_case=self._ignore_case).to_pylist()
            return results

        try:
            find([""])
        except pa.ArrowInvalid as error:
            reason = str(error).removeprefix("Invalid regular expression: ")
            raise BadPattern(f'"{source}" is not a valid regular expression: {reason}') from None
        return find


def _unicode(text: str) -> str:
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    begin = size = 0
    for at, text in enumerate(texts):
        size += len(text)
        if size >= _CHUNK:
            yield texts[begin : at + 1]
            begin, size = at + 1, 0
    if begin < len(texts):
        yield texts[begin:]
