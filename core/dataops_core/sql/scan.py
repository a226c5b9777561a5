"""SQL cut into pieces while it is being typed: nothing is refused, and an open string or comment goes on to the end.

What a statement may do is judged elsewhere (`dataops_core.actions.sql`), by a parser that does refuse.
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
"""Words in the body of a function that an END closes; END IF, END LOOP and the like close a statement of their own."""
_BEFORE_FUNCTION = frozenset(("CREATE", "REPLACE", "WITH"))
_OWN_END = frozenset(("IF", "LOOP", "WHILE", "REPEAT"))


class Kind(StrEnum):
    """What a piece is."""

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
    """A part of a text, from `start` up to but without `end`."""

    kind: Kind
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a text, without the semicolon; `start` and `end` are where it stands in it."""

    text: str
    start: int
    end: int


def scan(text: str) -> list[Piece]:
    """Cut a text into pieces; blanks are left out."""
    return [Piece(Kind(str(m.lastgroup)), m[0], m.start(), m.end()) for m in _PIECES.finditer(text)]


def statements(text: str) -> list[Statement]:
    """Return the statements of a text; what is between two semicolons without a word in it is none."""
    found: list[Statement] = []
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
            found.append(Statement(text[start:end], start, end))
        current, depth, in_function = [], 0, False
    return found


def statement_at(text: str, offset: int) -> Statement | None:
    """Return the statement under a cursor: the one that it is in or just behind, else the next one, else the last."""
    last = None
    for statement in statements(text):
        if offset <= statement.end:
            # behind the semicolon, on the same line, the cursor still belongs to the statement before
            behind = last is not None and offset < statement.start and "\n" not in text[last.end : offset]
            return last if behind else statement
        last = statement
    return last


def _opens(piece: Piece, before: Sequence[Piece]) -> int:
    """Return by how much a piece of a function's body deepens its blocks."""
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
    """Whether it is FUNCTION of CREATE [OR REPLACE] FUNCTION or WITH FUNCTION, whose body has semicolons of its own."""
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
"""Trino's reserved words: a name that is one of them is written in double quotes."""
KEYWORDS = RESERVED | frozenset(_OTHERS.split())
"""All words that mean something to Trino itself."""


def quoted(name: str) -> str:
    """Return a name as it is written in a statement: in double quotes where it needs them."""
    if _PLAIN_NAME.fullmatch(name) and name.upper() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def relation(*names: str) -> str:
    """Return the name of a relation as it is written in a statement, from those of catalog, schema and table."""
    return ".".join(map(quoted, names))


def unquoted(written: str) -> str:
    """Return the name that something written in a statement means; Trino compares names in lower case."""
    if written.startswith('"'):
        written = written[1:-1] if written.endswith('"') and len(written) > 1 else written[1:]
        written = written.replace('""', '"')
    return written.lower()


_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
