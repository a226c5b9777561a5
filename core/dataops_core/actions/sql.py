"""Classify the risk of a SQL statement from its tokens, with Trino's own grammar.

The first keyword of a statement decides, because no query can contain a change. There are two exceptions: EXPLAIN
ANALYZE and EXECUTE IMMEDIATE run the statement that they contain, and a table function can pass text to another
database. Text that does not parse never counts as reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from dataops_core.actions.risk import SqlRisk
from dataops_core.errors import ActionRefused
from dataops_core.sql.scan import RESERVED, statements
from dataops_core.sql.syntax import MAX_CHARACTERS, MAX_TOKENS, NotChecked, SyntaxProblem, check_syntax
from dataops_core.sql.tokens import STRING, SqlToken, name_of, tokenize

READING_TABLE_FUNCTIONS = frozenset(("sequence", "exclude_columns", "table_changes"))
"""Trino's table functions that only read, without schema. Others, such as `query`, may pass text to a database."""
_BY_KEYWORD = {
    **dict.fromkeys(("SELECT", "WITH", "VALUES", "TABLE", "(", "SHOW", "DESCRIBE", "DESC"), SqlRisk.READ),
    **dict.fromkeys(("USE", "DEALLOCATE"), SqlRisk.READ),  # affect only the session, which ends with the statement
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CALL", "ANALYZE", "REFRESH"), SqlRisk.WRITE),
    **dict.fromkeys(("CREATE", "DROP", "ALTER", "COMMENT", "GRANT", "REVOKE", "DENY"), SqlRisk.DDL),
}
_OF_THE_SESSION = {
    **dict.fromkeys(("START", "COMMIT", "ROLLBACK"), "the statement begins or ends a transaction"),
    **dict.fromkeys(("SET", "RESET"), "the statement changes the rights of the session"),
}
_AFTER_ANALYZE = frozenset((*_BY_KEYWORD, *_OF_THE_SESSION, "EXPLAIN", "PREPARE", "EXECUTE", "VERBOSE"))
"""Distinguishes EXPLAIN ANALYZE, which runs its statement, from EXPLAIN of ANALYZE, which names a table."""
_WHY = {
    SqlRisk.READ: "the statement reads",
    SqlRisk.WRITE: "the statement changes data",
    SqlRisk.DDL: "the statement changes tables, views or grants",
    SqlRisk.UNKNOWN: "the statement is not understood, so it may change data",
}


@dataclass(frozen=True, slots=True)
class Classification:
    """The risk of a statement, with the reason.

    Attributes:
        why: The reason, as the first clause of a refusal.
        problem: The syntax error; `None` if it parses, or was not checked to its end.
    """

    risk: SqlRisk
    why: str
    problem: SyntaxProblem | None = None


def one_statement(text: str) -> str:
    """Return the one statement of a text, without its semicolon, which Trino's protocol does not accept.

    Raises:
        ActionRefused: The text has no statement, or more than one.
    """
    if len(text) > MAX_CHARACTERS:
        return text.strip().rstrip(";")  # it counts as a change, and Trino refuses a second statement
    tokens, end = list(tokenize(text)), len(text)
    while tokens and tokens[-1].kind == ";":
        end = tokens.pop().start
    if not tokens:
        raise ActionRefused("there is no statement")
    text = text[:end]
    if any(token.kind == ";" for token in tokens) and len(statements(text)) > 1:
        raise ActionRefused("there is more than one statement", hint="run them one at a time")
    return text.strip()


def assess_sql(statement: str, reading_functions: Collection[str] = ()) -> Classification:
    """Return the risk of one statement; a statement that is not understood is `UNKNOWN`, never `READ`.

    Args:
        statement: The statement.
        reading_functions: Full names of table functions that only read, besides Trino's own.
    """
    return _assess(statement, frozenset(name.lower() for name in reading_functions), nested=False)


def classify_sql(statement: str, reading_functions: Collection[str] = ()) -> SqlRisk:
    """Return the risk of one statement, without the reason."""
    return assess_sql(statement, reading_functions).risk


def _assess(statement: str, allowed: frozenset[str], *, nested: bool) -> Classification:
    if len(statement) > MAX_CHARACTERS:
        return _unsure(f"it is longer than {MAX_CHARACTERS:,} characters")
    tokens = list(islice(tokenize(statement), MAX_TOKENS + 1))
    if len(tokens) > MAX_TOKENS:
        return _unsure(f"it has more than {MAX_TOKENS:,} words and marks")
    while tokens and tokens[-1].kind == ";":
        tokens.pop()
    result = _by_tokens(statement, tokens, allowed, nested=nested)
    try:
        problem = check_syntax(statement, tokens)
    except NotChecked as limit:
        return _unsure(str(limit)) if result.risk is SqlRisk.READ else result
    if problem is None:
        return result
    risk = SqlRisk.UNKNOWN if result.risk is SqlRisk.READ else result.risk
    return Classification(risk, f"the statement does not parse ({problem}), so it may change data", problem)


def _unsure(reason: str) -> Classification:
    return Classification(SqlRisk.UNKNOWN, f"the statement may change data, because {reason},")


def _by_tokens(statement: str, tokens: Sequence[SqlToken], allowed: frozenset[str], *, nested: bool) -> Classification:
    """Return the risk of a text by its tokens, without a check of its syntax."""
    inner, runs = _inner_statement(tokens)
    if _kind(tokens, inner) == "EXECUTE":
        result = _executed(statement, tokens[inner:], allowed, nested=nested)
    else:
        risk = _risk(tokens, inner)
        why = _OF_THE_SESSION.get(_kind(tokens, inner), _WHY[risk]) if risk is SqlRisk.UNKNOWN else _WHY[risk]
        result = Classification(risk, why)
    if not runs and result.risk in (SqlRisk.WRITE, SqlRisk.DDL):
        result = Classification(SqlRisk.READ, "the statement shows a plan")
    if result.risk is SqlRisk.READ:
        for name in _table_functions(statement, tokens):
            if name not in allowed and name.rpartition(".")[2] not in READING_TABLE_FUNCTIONS:
                why = f"the table function {name} may pass text to another database, so it may change data there"
                return Classification(SqlRisk.UNKNOWN, why)
    return result


def _inner_statement(tokens: Sequence[SqlToken]) -> tuple[int, bool]:
    """Return the index of the first token of the statement that is prepared or explained, and whether it runs."""
    at, runs = 0, True
    while True:
        match _kind(tokens, at):
            case "PREPARE":
                at += 3  # PREPARE name FROM
            case "EXPLAIN" if _kind(tokens, at + 1) == "ANALYZE" and _kind(tokens, at + 2) in _AFTER_ANALYZE:
                runs = True
                at += 3 if _kind(tokens, at + 2) == "VERBOSE" else 2
            case "EXPLAIN":
                runs = False
                at += 1
                if _kind(tokens, at) == "(" and _kind(tokens, at + 1) in ("FORMAT", "TYPE"):
                    at = next((i + 1 for i in range(at, len(tokens)) if tokens[i].kind == ")"), len(tokens))
            case _:
                return at, runs


def _kind(tokens: Sequence[SqlToken], at: int) -> str:
    return tokens[at].kind if at < len(tokens) else ""


def _risk(tokens: Sequence[SqlToken], at: int) -> SqlRisk:
    keyword, second, third = (_kind(tokens, at + i) for i in range(3))
    if keyword in ("SET", "RESET"):
        return SqlRisk.UNKNOWN if second == "ROLE" or third == "AUTHORIZATION" else SqlRisk.READ
    if keyword == "ALTER" and any(token.kind == "EXECUTE" for token in tokens[at:]):
        return SqlRisk.WRITE
    return _BY_KEYWORD.get(keyword, SqlRisk.UNKNOWN)


def _executed(statement: str, tokens: Sequence[SqlToken], allowed: frozenset[str], *, nested: bool) -> Classification:
    """Return the risk of EXECUTE; with IMMEDIATE, it is that of its text."""
    if _kind(tokens, 1) != "IMMEDIATE" or _kind(tokens, 2) != STRING or nested:
        return Classification(SqlRisk.UNKNOWN, "the statement that EXECUTE runs is unknown, so it may change data")
    text = statement[tokens[2].start + 1 : tokens[2].end - 1].replace("''", "'")
    result = _assess(text, allowed, nested=True)
    if result.problem is None:
        return result
    return Classification(result.risk, f"the text of EXECUTE IMMEDIATE does not parse ({result.problem})")


def _table_functions(statement: str, tokens: Sequence[SqlToken]) -> Iterator[str]:
    """Yield the names of all table functions, called as TABLE(catalog.schema.name(…)), in lower case."""
    name: list[str] | None = None
    for index, token in enumerate(tokens):
        if token.kind == "(" and index and tokens[index - 1].kind == "TABLE":
            name = []
        elif token.kind == "(" and name:
            yield "".join(name)
            name = None
        elif name is not None and token.kind == ".":
            name.append(".")
        elif name is not None and token.kind not in RESERVED and token.kind.isidentifier():
            name.append(name_of(statement, token))
        else:
            name = None  # TABLE(name) and TABLE(SELECT …) are table arguments, not calls
