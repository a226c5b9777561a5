"""What a statement may do, judged from its tokens and its syntax tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import SqlglotError

from dataops_core.actions.risk import SqlRisk
from dataops_core.errors import ActionRefused


class _Dialect(Trino):
    """Trino's, with all statements cut into tokens to their end, also those that sqlglot would not parse further."""

    class Tokenizer(Trino.Tokenizer):
        COMMANDS: ClassVar[set[TokenType]] = set()


_BY_KEYWORD = {
    **dict.fromkeys(("SHOW", "DESCRIBE", "DESC"), SqlRisk.READ),
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CALL", "ANALYZE", "REFRESH"), SqlRisk.WRITE),
    **dict.fromkeys(("CREATE", "DROP", "COMMENT", "GRANT", "REVOKE", "DENY"), SqlRisk.DDL),
}
_QUERY = frozenset(("SELECT", "WITH", "VALUES", "TABLE", "("))
_NOT_IN_A_QUERY = (exp.DML, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Into)
_READING_TABLE_FUNCTIONS = frozenset(("sequence", "exclude_columns", "table_changes"))
"""The table functions that are known only to read. Others, such as `query`, hand any text to another database."""
_SECRET_WORD = re.compile(r"passw|secret|token|credential|key|auth", re.IGNORECASE)


def one_statement(text: str) -> str:
    """Return the one statement of a text, without its semicolon, which Trino's protocol does not take.

    Raises:
        ActionRefused: There is none, or more than one.
    """
    try:
        tokens = _tokens(text)
    except SqlglotError:
        return text.strip()  # Trino says better what is wrong with it
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        text = text[: tokens.pop().start]
    if not tokens:
        raise ActionRefused("there is no statement")
    if any(token.token_type is TokenType.SEMICOLON for token in tokens) and not _creates_function(tokens):
        raise ActionRefused("there is more than one statement", hint="run them one at a time")
    return text.strip()


def classify_sql(statement: str) -> SqlRisk:
    """Return what one statement may do; what is not understood is `UNKNOWN`, never `READ`."""
    try:
        tokens = _tokens(statement)
    except SqlglotError:
        return SqlRisk.UNKNOWN
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    return _classify(statement, tokens)


def without_secrets(statement: str) -> str:
    """Return a statement for the audit: where it speaks of secrets, without any of its string literals."""
    if not _SECRET_WORD.search(statement):
        return statement
    try:
        literals = [token for token in _tokens(statement) if _is_literal(token)]
    except SqlglotError:
        return "(not shown: it cannot be read as SQL and may hold a secret)"
    for token in reversed(literals):
        statement = f"{statement[: token.start]}'***'{statement[token.end + 1 :]}"
    return statement


def _is_literal(token: Token) -> bool:
    return token.token_type is TokenType.STRING or token.token_type.name.endswith("_STRING")


def _tokens(statement: str) -> list[Token]:
    return _Dialect().tokenize(statement)


def _classify(statement: str, tokens: Sequence[Token]) -> SqlRisk:
    keyword = tokens[0].text.upper() if tokens else ""
    if keyword == "ALTER":
        return SqlRisk.WRITE if any(token.text.upper() == "EXECUTE" for token in tokens) else SqlRisk.DDL
    if keyword == "EXPLAIN":
        return _classify_explain(statement, tokens)
    if keyword in _QUERY:
        return _classify_query(statement[tokens[0].start : tokens[-1].end + 1], tokens)
    return _BY_KEYWORD.get(keyword, SqlRisk.UNKNOWN)


def _classify_explain(statement: str, tokens: Sequence[Token]) -> SqlRisk:
    """EXPLAIN runs nothing, but EXPLAIN ANALYZE runs what it explains."""
    words = [token.text.upper() for token in tokens[1:3]]
    if words[:1] != ["ANALYZE"]:
        return SqlRisk.READ
    return _classify(statement, tokens[3:] if words[1:] == ["VERBOSE"] else tokens[2:])


def _classify_query(statement: str, tokens: Sequence[Token]) -> SqlRisk:
    if any(name not in _READING_TABLE_FUNCTIONS for name in _table_functions(tokens)):
        return SqlRisk.UNKNOWN
    try:
        trees = _Dialect().parse(statement)
    except SqlglotError:
        return SqlRisk.UNKNOWN
    if len(trees) != 1 or not isinstance(trees[0], exp.Query | exp.Values):
        return SqlRisk.UNKNOWN
    return SqlRisk.UNKNOWN if trees[0].find(*_NOT_IN_A_QUERY) else SqlRisk.READ


def _table_functions(tokens: Sequence[Token]) -> list[str]:
    """Return the last names of all functions that are called as TABLE(catalog.schema.name(…))."""
    found = []
    for index, token in enumerate(tokens[:-1]):
        if token.token_type is not TokenType.TABLE or tokens[index + 1].token_type is not TokenType.L_PAREN:
            continue
        name = ""
        for inner in tokens[index + 2 :]:
            if inner.token_type is TokenType.L_PAREN:
                found.append(name.lower())
                break
            if inner.token_type is TokenType.R_PAREN:
                break  # TABLE(name) is an argument: a table, not a call
            name = inner.text
    return found


def _creates_function(tokens: Sequence[Token]) -> bool:
    """Whether it is CREATE [OR REPLACE] FUNCTION, whose body has semicolons of its own."""
    words = [token.text.upper() for token in tokens[:4]]
    return words[:2] == ["CREATE", "FUNCTION"] or words == ["CREATE", "OR", "REPLACE", "FUNCTION"]
