"""The grammar of Trino's statements (`trino.grammar`) as states, to check a text token by token.

A rule becomes a net of nodes, and a state is a set of nodes of one rule. A state is created when a text first needs it.
Sets of token kinds are the bits of an integer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from dataops_core.sql.scan import RESERVED
from dataops_core.sql.tokens import UNKNOWN

END = "the end"
"""The kind of the end of the text, after the last token."""
_LITERALS = ("name", "string", "unicode", "dollar", "binary", "integer", "decimal")
_NOTATION = re.compile(r"#[^\n]*|,[+*]|'[^']+'|\w+|[=|;()\[\]{}]")


@dataclass(eq=False, slots=True)
class _Node:
    """A node with edges to each of `onward`, and with a symbol, a kind of token or a rule, to `target`."""

    onward: list[_Node] = field(default_factory=list)
    symbol: str | Rule | None = None
    target: _Node | None = None


@dataclass(eq=False, slots=True)
class Rule:
    """A rule of the grammar.

    Attributes:
        first: The kinds of tokens that it can begin with.
        follow: The kinds of tokens that can follow it.
        entry: Its first state, created on first use.
    """

    name: str
    begin: _Node = field(default_factory=_Node)
    end: _Node = field(default_factory=_Node)
    first: int = 0
    follow: int = 0
    entry: State | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """The transitions of a state at a token.

    Attributes:
        taken: The state after the token; `None` if the rule has no such token here.
        entered: The rules that can begin with it, each with the state after the rule.
        leaves: Whether the rule can end before it.
    """

    taken: State | None
    entered: tuple[tuple[Rule, State], ...]
    leaves: bool


class State:
    """A set of nodes of a rule that a text may have reached."""

    __slots__ = ("ends", "moves", "rule", "symbols")

    def __init__(self, rule: Rule, nodes: Iterable[_Node]) -> None:
        self.rule = rule
        self.moves: dict[str, Move] = {}
        self.ends = False
        self.symbols: dict[str | Rule, list[_Node]] = {}
        for node in nodes:
            self.ends |= node is rule.end
            if node.symbol is not None and node.target is not None:
                self.symbols.setdefault(node.symbol, []).append(node.target)


class Grammar:
    """Rules, and their states, which are created on first use.

    Args:
        source: The rules; the first one is the start rule.
        reserved: The keywords that are not names.
    """

    def __init__(self, source: str, reserved: frozenset[str]) -> None:
        written = _split(source)
        self.rules = {name: Rule(name) for name in written if not name.startswith("_")}
        self.keywords = frozenset(word for body in written.values() for word in body if word.isupper())
        marks = {word[1:-1] for body in written.values() for word in body if word.startswith("'")}
        kinds = (*_LITERALS, *sorted(self.keywords), *sorted(marks), END)
        self._bits = {kind: 1 << number for number, kind in enumerate(kinds)}
        self._matches = dict(self._bits)
        for keyword in self.keywords - reserved:
            self._matches["name"] |= self._bits[keyword]
        for rule in self.rules.values():
            _Net(written, self.rules).draw(written[rule.name], rule.begin, rule.end)
        self._states: dict[tuple[Rule, frozenset[int]], State] = {}
        nets = [(rule, _reached(rule.begin)) for rule in self.rules.values()]
        self._find_first(nets)
        self._find_follow(nets)
        self.start = self.rules[next(iter(written))]

    def kind(self, token_kind: str) -> str:
        """Return the grammar's kind for the kind of a token; a word that is not a keyword is a name."""
        return token_kind if token_kind in self._bits or token_kind == UNKNOWN else "name"

    def entry(self, rule: Rule) -> State:
        """Return the first state of a rule."""
        if rule.entry is None:
            rule.entry = self._state(rule, (rule.begin,))
        return rule.entry

    def move(self, state: State, kind: str) -> Move:
        """Return the transitions of a state at a kind of token."""
        result = state.moves.get(kind)
        if result is None:
            result = state.moves[kind] = self._find_move(state, self._bits.get(kind, 0))
        return result

    def _find_move(self, state: State, bit: int) -> Move:
        taken: list[_Node] = []
        entered = []
        for symbol, targets in state.symbols.items():
            if isinstance(symbol, Rule):
                if symbol.first & bit:
                    entered.append((symbol, self._state(state.rule, targets)))
            elif self._matches[symbol] & bit:
                taken += targets
        return Move(
            taken=self._state(state.rule, taken) if taken else None,
            entered=tuple(entered),
            leaves=state.ends and bool(state.rule.follow & bit),
        )

    def _state(self, rule: Rule, nodes: Iterable[_Node]) -> State:
        reached = _onward(nodes)
        key = (rule, frozenset(map(id, reached)))
        return self._states.setdefault(key, State(rule, reached))

    def _first_of(self, node: _Node) -> int:
        match node.symbol:
            case Rule() as rule:
                return rule.first
            case str() as kind:
                return self._matches[kind]
            case None:
                return 0

    def _find_first(self, nets: list[tuple[Rule, list[_Node]]]) -> None:
        begins = [(rule, _onward((rule.begin,))) for rule, _ in nets]
        for rule, nodes in begins:
            if rule.end in nodes:
                raise ValueError(f"the rule {rule.name} can be empty")
        changed = True
        while changed:
            changed = False
            for rule, nodes in begins:
                result = 0
                for node in nodes:
                    result |= self._first_of(node)
                changed |= result != rule.first
                rule.first = result

    def _find_follow(self, nets: list[tuple[Rule, list[_Node]]]) -> None:
        self.rules[next(iter(self.rules))].follow = self._bits[END]
        ends: list[tuple[Rule, Rule]] = []
        for rule, nodes in nets:
            for node in nodes:
                if isinstance(node.symbol, Rule) and node.target is not None:
                    behind = _onward((node.target,))
                    for other in behind:
                        node.symbol.follow |= self._first_of(other)
                    if rule.end in behind:
                        ends.append((node.symbol, rule))
        changed = True
        while changed:
            changed = False
            for inner, outer in ends:
                changed |= bool(outer.follow & ~inner.follow)
                inner.follow |= outer.follow


class _Net:
    """Builds the nets of rules from their notation."""

    def __init__(self, written: dict[str, list[str]], rules: dict[str, Rule]) -> None:
        self._written = written
        self._rules = rules
        self._left: list[str] = []

    def draw(self, body: list[str], begin: _Node, end: _Node) -> None:
        """Build the net of a body between two nodes."""
        outer, self._left = self._left, body[::-1]
        self._alternatives(begin, end)
        if self._left:
            raise ValueError(f"not understood: {' '.join(self._left[::-1])}")
        self._left = outer

    def _alternatives(self, begin: _Node, end: _Node) -> None:
        while True:
            node = begin
            while self._left and self._left[-1] not in ("|", ")", "]", "}"):
                node = self._item(node)
            node.onward.append(end)
            if not self._left or self._left[-1] != "|":
                return
            self._left.pop()

    def _item(self, begin: _Node) -> _Node:
        """Build the net of an item after a node, and return the node after the item."""
        end = _Node()
        first, last = _Node(), _Node()
        begin.onward.append(first)
        word = self._left.pop()
        if word in ("(", "[", "{"):
            self._alternatives(first, last)
            self._left.pop()
        elif word.startswith("_"):
            self.draw(self._written[word], first, last)
        else:
            first.symbol = self._rules.get(word, word.strip("'"))
            first.target = last
        suffix = self._left.pop() if self._left and self._left[-1] in (",+", ",*") else ""
        if suffix:
            last.onward.append(comma := _Node(symbol=",", target=first))
            comma.target = first
        if word == "{":
            last.onward.append(first)
        if word in ("[", "{") or suffix == ",*":
            begin.onward.append(end)
        last.onward.append(end)
        return end


def _split(source: str) -> dict[str, list[str]]:
    """Return the words of each rule by its name."""
    words = [word for word in _NOTATION.findall(source) if not word.startswith("#")]
    rules: dict[str, list[str]] = {}
    while words:
        end = words.index(";")
        rules[words[0]] = words[2:end]
        words = words[end + 1 :]
    return rules


def _onward(nodes: Iterable[_Node]) -> list[_Node]:
    """Return all nodes that are reachable without a token."""
    result = dict.fromkeys(nodes)
    left = list(result)
    while left:
        for node in left.pop().onward:
            if node not in result:
                result[node] = None
                left.append(node)
    return list(result)


def _reached(begin: _Node) -> list[_Node]:
    """Return all nodes of a net."""
    results = {begin: None}
    left = [begin]
    while left:
        node = left.pop()
        for other in (*node.onward, *((node.target,) if node.target is not None else ())):
            if other not in results:
                results[other] = None
                left.append(other)
    return list(results)


@cache
def trino_grammar() -> Grammar:
    """Return the grammar of Trino's statements."""
    source = files("dataops_core.sql").joinpath("trino.grammar").read_text(encoding="utf-8")
    return Grammar(source, RESERVED)
