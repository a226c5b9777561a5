"""Check the syntax of a Trino statement, and find its first error.

All possible parses of a text advance together, token by token, and share the frames of the rules that they entered.
Without recursion and backtracking, no nesting takes exponential time, and a time limit holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from dataops_core.sql.grammar import END, Grammar, Rule, State, trino_grammar
from dataops_core.sql.tokens import UNKNOWN, SqlToken
from dataops_core.units import duration

MAX_CHARACTERS = 1_000_000
"""Maximum characters of a checked text, Trino's default limit (`query.max-length`)."""
MAX_TOKENS = 200_000
"""Maximum tokens of a checked text: more take too long."""
MAX_DEPTH = 500
"""Maximum depth of nested brackets; Trino's own parser fails before."""
MAX_SECONDS = 2.0
"""Time limit of a check."""
_SHOWN = 20
"""Maximum characters of the unexpected text in a problem."""
_UNCLOSED = {"'": "string", '"': "name", "/": "comment"}
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


class NotChecked(Exception):
    """The text is nested too deep, or the check takes too long; the message is the reason."""


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """The first syntax error of a text.

    Attributes:
        offset: Offset of the error in the text.
        line: Line of the error, from 1.
        column: Column of the error, from 1.
        reason: The error in words.
    """

    offset: int
    line: int
    column: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.reason}"


@dataclass(eq=False, slots=True)
class _Frame:
    """A rule that was entered at one token: the states that continue after it, each in its own frame."""

    returns: list[_Reading] = field(default_factory=list)


_Reading = tuple[State, _Frame]
"""A reading of the text so far: a state, and the frame of its rule."""


def check_syntax(text: str, tokens: Sequence[SqlToken], max_seconds: float = MAX_SECONDS) -> SyntaxProblem | None:
    """Return the first syntax error of a text; `None` if it is a statement.

    Args:
        text: The text.
        tokens: Its tokens, without a semicolon at the end.
        max_seconds: Time limit of the check.

    Raises:
        NotChecked: It cannot be checked within the limits.
    """
    _check_depth(tokens)
    deadline = time.thread_time() + max_seconds
    grammar = trino_grammar()
    readings: list[_Reading] = [(grammar.entry(grammar.start), _Frame())]
    before = readings
    for position, token in enumerate(tokens):
        further, _ = _step(grammar, readings, grammar.kind(token.kind))
        if not further:
            return _problem(text, tokens, position, before, readings)
        before, readings = readings, further
        if position % 64 == 0 and time.thread_time() > deadline:
            raise NotChecked(f"its syntax cannot be checked within {duration(max_seconds, precise=True)}")
    if _step(grammar, readings, END)[1]:
        return None
    return _problem(text, tokens, len(tokens), before, readings)


def _check_depth(tokens: Sequence[SqlToken]) -> None:
    depth = 0
    for token in tokens:
        if token.kind in _OPENING:
            depth += 1
            if depth > MAX_DEPTH:
                raise NotChecked(f"more than {MAX_DEPTH} brackets are nested in it")
        elif token.kind in _CLOSING:
            depth -= 1


def _step(grammar: Grammar, readings: Sequence[_Reading], kind: str) -> tuple[list[_Reading], bool]:
    """Return the readings after a token, and whether the text can end before it."""
    entered: dict[Rule, _Frame] = {}
    seen = {(id(state), id(frame)) for state, frame in readings}
    left = list(readings)
    further: dict[tuple[int, int], _Reading] = {}
    ends = False
    while left:
        state, frame = left.pop()
        move = state.moves.get(kind) or grammar.move(state, kind)
        if move.taken is not None:
            further[id(move.taken), id(frame)] = (move.taken, frame)
        for rule, behind in move.entered:
            inner = entered.get(rule)
            if inner is None:
                inner = entered[rule] = _Frame()
                left.append((rule.entry or grammar.entry(rule), inner))
            inner.returns.append((behind, frame))
        if move.leaves:
            ends = ends or not frame.returns
            for reading in frame.returns:
                key = (id(reading[0]), id(reading[1]))
                if key not in seen:
                    seen.add(key)
                    left.append(reading)
    return list(further.values()), ends


def _problem(
    text: str, tokens: Sequence[SqlToken], position: int, before: Sequence[_Reading], readings: Sequence[_Reading]
) -> SyntaxProblem:
    offset = tokens[position].start if position < len(tokens) else len(text.rstrip())
    column = offset - text.rfind("\n", 0, offset)
    reason = _reason(text, tokens, position) + _suggestion(tokens, position, before, readings)
    return SyntaxProblem(offset, text.count("\n", 0, offset) + 1, column, reason)


def _reason(text: str, tokens: Sequence[SqlToken], position: int) -> str:
    if position == len(tokens):
        return "the statement ends too early"
    token = tokens[position]
    result = text[token.start : token.end]
    if token.kind == UNKNOWN and result[0] in _UNCLOSED:
        return f"this {_UNCLOSED[result[0]]} is not closed"
    if len(result) == 1 and not result.isprintable():
        return f"unexpected character U+{ord(result):04X}"
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in result[:_SHOWN])
    return f'unexpected "{shown}"'


def _suggestion(
    tokens: Sequence[SqlToken], position: int, before: Sequence[_Reading], readings: Sequence[_Reading]
) -> str:
    """Return a suggestion for the unexpected word, or for the word before it, if it resembles a keyword."""
    grammar = trino_grammar()
    unexpected = grammar.kind(tokens[position].kind) if position < len(tokens) else END
    for at, start in ((position, readings), (position - 1, before)):
        word = tokens[at].kind if 0 <= at < len(tokens) else ""
        for keyword in get_close_matches(word, grammar.keywords, cutoff=0.7):
            further, _ = _step(grammar, start, keyword)
            if at == position and further:
                return f"; did you mean {keyword}?"
            if keyword != word and any(_step(grammar, further, unexpected)):
                return f'; did you mean {keyword} in place of "{word}"?'
    return ""
