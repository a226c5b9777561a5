"""Split SQL into exactly the tokens of Trino's lexer, because they decide what a statement may do.

`dataops_core.sql.scan` cuts text that is being typed, for display.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

NAME = "name"
"""A name that is not a keyword, with or without double quotes."""
STRING, UNICODE, DOLLAR = "string", "unicode", "dollar"
UNKNOWN = "unknown"
"""A character that begins no token, or an unclosed string, quoted name or comment."""

_DIGITS = r"[0-9](?:_?[0-9])*"
_TOKEN = re.compile(
    rf"""(?P<skip>[ \r\n\t]+|--[^\r\n]*|/\*.*?\*/)
      | (?P<unclosed>/\*.*)
      | (?P<unicode>[uU]&'[^']*(?:''[^']*)*')
      | (?P<binary>[xX]'[^']*')
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>'[^']*(?:''[^']*)*')
      | (?P<name>"[^"]*(?:""[^"]*)*")
      | (?P<dollar>\$\$.*?\$\$)
      | (?P<double>(?:[0-9]+\.[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+|[0-9]+[eE](?:[+-][0-9]+|[0-9]+(?![A-Za-z0-9_])))
      | (?P<decimal>{_DIGITS}\.(?:{_DIGITS})?|\.{_DIGITS})
      | (?P<integer>(?:0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|{_DIGITS})(?![A-Za-z0-9_]))
      | (?P<digits>[0-9][A-Za-z0-9_]+)
      | (?P<mark><>|!=|<=|>=|=>|->|\|\||\{{-|-\}}|[-+*/%=<>?;:.,()\[\]{{}}|^$@])
      | (?P<open>['"].*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SqlToken:
    """A token of a text, which is `text[start:end]`.

    Attributes:
        kind: A keyword or another plain word in upper case, a symbol, or the kind of a literal.
    """

    kind: str
    start: int
    end: int


def tokenize(text: str) -> Iterator[SqlToken]:
    """Yield the tokens of a text, without white space and comments."""
    for match in _TOKEN.finditer(text):
        match match.lastgroup:
            case "skip":
                continue
            case "word":
                kind = match[0].upper()
            case "mark":
                kind = match[0]
            case "unclosed" | "open" | "other" | "digits" | None:
                kind = UNKNOWN
            case "double":
                kind = "decimal"
            case str() as group:
                kind = group
        yield SqlToken(kind, match.start(), match.end())


def name_of(text: str, token: SqlToken) -> str:
    """Return the name of a token, in lower case, as Trino compares names."""
    written = text[token.start : token.end]
    return (written[1:-1].replace('""', '"') if token.kind == NAME else written).lower()
