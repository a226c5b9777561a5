"""Complete SQL at a cursor: catalogs, schemas, tables, columns, functions and keywords.

A pure function returns the known names that match, and the lists of names that it needs for further candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dataops_core.sql.scan import KEYWORDS, RESERVED, Kind, Piece, quoted, scan, unquoted

ObjectPath = tuple[str, ...]
"""The parent of names: () for catalogs, (catalog,), (catalog, schema), (catalog, schema, table) for columns."""
FUNCTIONS: ObjectPath = ("", "functions")
"""The parent of functions; no catalog has an empty name."""
MOST = 200
"""Maximum number of candidates."""
_RELATION_AFTER = frozenset(("FROM", "JOIN", "INTO", "UPDATE", "TABLE", "DESCRIBE", "DESC", "ANALYZE", "VIEW"))
_SCHEMA_AFTER = frozenset(("SCHEMA", "USE"))
_NO_ALIAS = RESERVED | {"LIMIT", "OFFSET", "SET", "TABLESAMPLE", "FETCH", "WINDOW", "MATCH_RECOGNIZE"}


@dataclass(frozen=True, slots=True)
class Name:
    """A name, and its description: `varchar`, `table`, `bigint (varchar, integer)`."""

    text: str
    about: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The names of one parent at a time; `error` is the reason if they could not be read."""

    names: tuple[Name, ...]
    at: datetime
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completion: `text` to insert, `kind` and `about` to describe it."""

    text: str
    kind: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """Candidates for the text from `start` to the cursor.

    Attributes:
        candidates: Candidates, the best first.
        needs: Parents whose names the candidates depend on, known or not.
    """

    start: int
    candidates: tuple[Candidate, ...]
    needs: tuple[ObjectPath, ...]


@dataclass(frozen=True, slots=True)
class _Relation:
    """A table that a statement reads, and the name that qualifies its columns."""

    path: ObjectPath
    alias: str


@dataclass
class _Offer:
    """Collects candidates."""

    names: Mapping[ObjectPath, Listing]
    needs: list[ObjectPath] = field(default_factory=list)
    candidates: dict[tuple[str, str], Candidate] = field(default_factory=dict)

    def put(self, text: str, kind: str, about: str = "") -> None:
        self.candidates.setdefault((text, kind), Candidate(text, kind, about))

    def put_names(self, parent: ObjectPath, kind: str, about: str = "") -> None:
        if parent not in self.needs:
            self.needs.append(parent)
        listing = self.names.get(parent)
        for name in listing.names if listing else ():
            text = name.text if kind == "function" else quoted(name.text)
            self.put(text, kind, " ".join(part for part in (name.about, about) if part))


def complete(
    text: str, offset: int, names: Mapping[ObjectPath, Listing], catalog: str | None = None, schema: str | None = None
) -> Completion:
    """Return the candidates at a cursor.

    Args:
        text: One statement, including the text after the cursor.
        offset: Offset of the cursor in it.
        names: The known names.
        catalog: The session's catalog, for names without a catalog.
        schema: The session's schema, for names without a schema.
    """
    pieces = scan(text)
    if any(p.kind in (Kind.COMMENT, Kind.STRING) and p.start < offset and _inside(p, offset) for p in pieces):
        return Completion(offset, (), ())
    before = [p for p in pieces if p.start < offset and p.kind is not Kind.COMMENT]
    start, typed = offset, ""
    if before and before[-1].kind in (Kind.WORD, Kind.QUOTED, Kind.NUMBER) and before[-1].end >= offset:
        last = before.pop()
        start, typed = last.start, text[last.start : offset]
        if last.kind is Kind.NUMBER:
            return Completion(offset, (), ())
    path = _path(before)
    offer = _Offer(names)
    code = [p for p in pieces if p.kind is not Kind.COMMENT and not p.start <= start < p.end]
    session = tuple(part for part in (catalog, schema if catalog else None) if part)
    if _wants_relation(before):
        _offer_relations(offer, path, session, _common_tables(code))
    elif before and before[-1].text.upper() in _SCHEMA_AFTER and not path:
        offer.put_names((), "catalog")
        offer.put_names(session[:1], "schema") if session else None
    elif path:
        _offer_columns_of(offer, path, _relations(code, session), session)
    else:
        _offer_expression(offer, _relations(code, session), typed)
    needle = unquoted(typed)
    matching = [c for c in offer.candidates.values() if needle in c.text.lower() and c.text != typed]
    matching.sort(key=lambda c: (not unquoted(c.text).startswith(needle), _ORDER.index(c.kind), c.text.strip('"')))
    return Completion(start, tuple(matching[:MOST]), tuple(offer.needs))


_ORDER = ("column", "alias", "table", "schema", "catalog", "function", "keyword")


def _inside(piece: Piece, offset: int) -> bool:
    if piece.kind is Kind.STRING:
        return offset < piece.end or len(piece.text) < 2 or not piece.text.endswith("'")
    open_block = piece.text.startswith("/*") and not piece.text.endswith("*/")
    return offset < piece.end or open_block or (piece.text.startswith("--") and offset == piece.end)


def _path(before: list[Piece]) -> ObjectPath:
    """Remove a trailing `a.b.`, and return its names."""
    path: list[str] = []
    while len(before) > 1 and before[-1].text == "." and before[-2].kind in (Kind.WORD, Kind.QUOTED):
        before.pop()
        path.insert(0, unquoted(before.pop().text))
    return tuple(path)


def _wants_relation(before: Sequence[Piece]) -> bool:
    """Return whether a table name is expected: after FROM and similar keywords, and after a comma in a table list."""
    if not before:
        return False
    if before[-1].text.upper() in _RELATION_AFTER:
        return True
    if before[-1].text != ",":
        return False
    depth = 0
    for piece in reversed(before):
        depth += {")": 1, "(": -1}.get(piece.text, 0)
        if depth < 0:
            return False
        word = piece.text.upper() if depth == 0 and piece.kind is Kind.WORD else ""
        if word in RESERVED and word not in ("AS", "ON", "AND", "OR"):
            return word in ("FROM", "JOIN")
    return False


def _offer_relations(offer: _Offer, path: ObjectPath, session: ObjectPath, common: Sequence[str]) -> None:
    if not path:
        for name in common:
            offer.put(quoted(name), "table", "of this statement")
        if len(session) == 2:
            offer.put_names(session, "table")
        if session:
            offer.put_names(session[:1], "schema")
        offer.put_names((), "catalog")
    elif len(path) == 1:
        offer.put_names(path, "schema")
        if session and path[0] != session[0]:
            offer.put_names((session[0], path[0]), "table")
    elif len(path) == 2:
        offer.put_names(path, "table")


def _offer_columns_of(offer: _Offer, path: ObjectPath, relations: Sequence[_Relation], session: ObjectPath) -> None:
    named = [r for r in relations if r.alias == path[-1] and (len(path) == 1 or r.path == _full(path, session))]
    for relation in named:
        offer.put_names(relation.path, "column")
    if not named:  # a table by its full name
        _offer_relations(offer, path, session, ())


def _offer_expression(offer: _Offer, relations: Sequence[_Relation], typed: str) -> None:
    for relation in relations:
        offer.put_names(relation.path, "column", f"of {relation.alias}" if len(relations) > 1 else "")
        offer.put(quoted(relation.alias), "alias", ".".join(relation.path))
    offer.put_names(FUNCTIONS, "function")
    for keyword in KEYWORDS:
        offer.put(keyword.lower() if typed.islower() else keyword, "keyword")


def _full(path: ObjectPath, session: ObjectPath) -> ObjectPath:
    return (*session[: 3 - len(path)], *path)


def _relations(pieces: Sequence[Piece], session: ObjectPath) -> list[_Relation]:
    """Return the tables that a statement names after FROM, JOIN, INTO and UPDATE."""
    common = set(_common_tables(pieces))
    results = []
    for at, piece in enumerate(pieces):
        if piece.kind is Kind.WORD and piece.text.upper() in ("FROM", "JOIN", "INTO", "UPDATE"):
            for path, alias in _named_from(pieces, at + 1):
                full = _full(path, session)
                if len(full) == 3 and path[0] not in common:
                    results.append(_Relation(full, alias))
    return results


def _named_from(pieces: Sequence[Piece], at: int) -> Iterator[tuple[ObjectPath, str]]:
    """Yield the tables of a list that begins at `at`, each with its alias."""
    while at < len(pieces):
        path: list[str] = []
        while at < len(pieces) and pieces[at].kind in (Kind.WORD, Kind.QUOTED):
            if pieces[at].kind is Kind.WORD and pieces[at].text.upper() in _NO_ALIAS:
                return
            path.append(unquoted(pieces[at].text))
            at += 1
            if at >= len(pieces) or pieces[at].text != ".":
                break
            at += 1
        if not path:
            return
        alias = path[-1]
        if at < len(pieces) and pieces[at].text.upper() == "AS":
            at += 1
        if at < len(pieces) and _is_name(pieces[at]):
            alias = unquoted(pieces[at].text)
            at += 1
        yield tuple(path), alias
        if at >= len(pieces) or pieces[at].text != ",":
            return
        at += 1


def _is_name(piece: Piece) -> bool:
    return piece.kind is Kind.QUOTED or (piece.kind is Kind.WORD and piece.text.upper() not in _NO_ALIAS)


def _common_tables(pieces: Sequence[Piece]) -> list[str]:
    """Return the names of the queries of WITH: names before `AS (`, in a statement with WITH."""
    if not any(piece.text.upper() == "WITH" for piece in pieces):
        return []
    return [
        unquoted(name.text)
        for name, word, bracket in zip(pieces, pieces[1:], pieces[2:], strict=False)
        if _is_name(name) and word.text.upper() == "AS" and bracket.text == "("
    ]
