"""Split SQL into pieces while it is typed; any text is accepted, and an open string or comment extends to the end.

`dataops_core.actions.sql` decides what a statement may do, with a parser that rejects invalid text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_PIECES = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<string>'(?:[^']|'')*(?:'|\Z))
      | (?P<quoted>"(?:[^"]|"")*(?:"|\Z))
      | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
      | (?P<word>[^\W\d][\w$]*)
      | (?P<end>;)
      | (?P<other>[^\s\w'";]|\w)""",
    re.VERBOSE | re.DOTALL,
)
_BLOCKS = frozenset(("BEGIN", "CASE"))
"""Words in the body of a function that END closes; END IF, END LOOP and similar close their own statements."""
_BEFORE_FUNCTION = frozenset(("CREATE", "REPLACE", "WITH"))
_OWN_END = frozenset(("IF", "LOOP", "WHILE", "REPEAT"))


class Kind(StrEnum):
    """The kind of a piece."""

    COMMENT = "comment"
    STRING = "string"
    QUOTED = "quoted"
    """A name in double quotes."""
    NUMBER = "number"
    WORD = "word"
    """A keyword or a name."""
    END = "end"
    """A semicolon."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, from `start` to before `end`."""

    kind: Kind
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a text, without its semicolon, from `start` to before `end`."""

    text: str
    start: int
    end: int


def scan(text: str) -> list[Piece]:
    """Return the pieces of a text, without white space."""
    return [Piece(Kind(str(m.lastgroup)), m[0], m.start(), m.end()) for m in _PIECES.finditer(text)]


def statements(text: str) -> list[Statement]:
    """Return the statements of a text, without empty ones."""
    results: list[Statement] = []
    current: list[Piece] = []
    depth, in_function = 0, False
    for piece in [*scan(text), Piece(Kind.END, "", len(text), len(text))]:
        if piece.kind is Kind.COMMENT:
            continue
        last = piece.text == "" and piece.kind is Kind.END
        if piece.kind is not Kind.END or (depth > 0 and not last and in_function):
            depth += _opens(piece, current)
            in_function = in_function or _begins_function(piece, current)
            current.append(piece)
            continue
        if current:
            start, end = current[0].start, current[-1].end
            results.append(Statement(text[start:end], start, end))
        current, depth, in_function = [], 0, False
    return results


def statement_at(text: str, offset: int) -> Statement | None:
    """Return the statement at a cursor: the one that contains it or ends just before it, else the next or last one."""
    last = None
    for statement in statements(text):
        if offset <= statement.end:
            # after the semicolon, on the same line, the cursor still belongs to the previous statement
            behind = last is not None and offset < statement.start and "\n" not in text[last.end : offset]
            return last if behind else statement
        last = statement
    return last


def _opens(piece: Piece, before: Sequence[Piece]) -> int:
    """Return the change of the block depth at a piece of a function's body."""
    if piece.kind is not Kind.WORD:
        return 0
    word = piece.text.upper()
    after_end = bool(before) and before[-1].text.upper() == "END"
    if after_end:
        return 1 if word in _OWN_END else 0  # this END closed no block
    if word == "END":
        return -1
    return 1 if word in _BLOCKS else 0


def _begins_function(piece: Piece, before: Sequence[Piece]) -> bool:
    """Return whether a piece is FUNCTION of CREATE [OR REPLACE] or WITH, whose body contains semicolons."""
    return piece.text.upper() == "FUNCTION" and bool(before) and before[-1].text.upper() in _BEFORE_FUNCTION


_RESERVED = """
ALTER AND AS BETWEEN BY CASE CAST CONSTRAINT CREATE CROSS CUBE CURRENT_CATALOG CURRENT_DATE CURRENT_PATH CURRENT_ROLE
CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DEALLOCATE DELETE DESCRIBE DISTINCT DROP ELSE END ESCAPE
EXCEPT EXISTS EXTRACT FALSE FOR FROM FULL GROUP GROUPING HAVING IN INNER INSERT INTERSECT INTO IS JOIN JSON_ARRAY
JSON_EXISTS JSON_OBJECT JSON_QUERY JSON_TABLE JSON_VALUE LEFT LIKE LISTAGG LOCALTIME LOCALTIMESTAMP NATURAL NORMALIZE
NOT NULL ON OR ORDER OUTER PREPARE RECURSIVE RIGHT ROLLUP SELECT SKIP TABLE THEN TRIM TRUE UESCAPE UNION UNNEST USING
VALUES WHEN WHERE WITH
"""
_OTHERS = """
ADD ALL ANALYZE ANY ASC AT BEGIN BERNOULLI CALL CATALOGS COLUMN COLUMNS COMMENT COMMIT CURRENT DATA DATE DESC ELSEIF
EXECUTE EXPLAIN FETCH FILTER FIRST FOLLOWING FORMAT FUNCTION FUNCTIONS GRANT GROUPS IF INTERVAL LAST LATERAL LIMIT
LOGICAL MATCHED MATERIALIZED MATCH_RECOGNIZE MERGE NEXT NULLS OF OFFSET ONLY ORDINALITY OVER PARTITION PRECEDING
PROPERTIES RANGE REFRESH RENAME REPLACE RESET RETURN RETURNS REVOKE ROLE ROLES ROLLBACK ROW ROWS SCHEMA SCHEMAS SESSION
SET SETS SHOW SOME START STATS SYSTEM TABLES TABLESAMPLE TEXT TIME TIMESTAMP TO TRUNCATE TYPE UNBOUNDED UPDATE USE
VERBOSE VERSION VIEW WHILE WINDOW WITHIN WITHOUT ZONE
"""
RESERVED = frozenset(_RESERVED.split())
"""Trino's reserved words, which must be quoted as names."""
KEYWORDS = RESERVED | frozenset(_OTHERS.split())
"""All keywords of Trino, reserved or not."""


def quoted(name: str) -> str:
    """Return a name for use in a statement, in double quotes if necessary."""
    if _PLAIN_NAME.fullmatch(name) and name.upper() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def relation(*names: str) -> str:
    """Return the qualified name of a relation for use in a statement, from catalog, schema and table."""
    return ".".join(map(quoted, names))


def unquoted(written: str) -> str:
    """Return the name of an identifier in a statement, in lower case and without quotes, as Trino compares names."""
    if written.startswith('"'):
        written = written[1:-1] if written.endswith('"') and len(written) > 1 else written[1:]
        written = written.replace('""', '"')
    return written.lower()


_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
