"""What a statement may do: a corpus of every kind, texts that grow, and anything at all."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.hostile.corpus import statements

from dataops_core.actions import SqlRisk
from dataops_core.actions.sql import assess_sql, classify_sql, one_statement
from dataops_core.errors import ActionRefused
from dataops_core.sql.scan import statements as split
from dataops_core.sql.secrets import without_secrets
from dataops_core.sql.syntax import NotChecked, check_syntax
from dataops_core.sql.tokens import tokenize

CORPUS = statements()
CLASSES = ("read", "write", "ddl", "unknown")
PASS_THROUGH = "TABLE(pg.system.query('DELETE FROM x'))"
DEADLINE = 30.0
"""Seconds of CPU: far more than any text takes, far less than an exponential one would."""
GROWING = {
    "parentheses": "SELECT " + "(" * 50 + "1" + ")" * 50,
    "open parentheses": "SELECT " + "(" * 60_000,
    "queries in parentheses": "(" * 400 + "SELECT 1" + ")" * 400,
    "relations in parentheses": "SELECT * FROM " + "(" * 400 + "t" + ")" * 400,
    "arrays": "SELECT " + "ARRAY[" * 400 + "1" + "]" * 400,
    "deeper arrays": "SELECT " + "ARRAY[" * 20_000 + "1" + "]" * 20_000,
    "calls": "SELECT " + "f(" * 400 + "1" + ")" * 400,
    "rows": "SELECT " + "(1, " * 400 + "1" + ")" * 400,
    "subscripts": "SELECT " + "a[" * 400 + "1" + "]" * 400,
    "lambdas": "SELECT " + "x -> " * 10_000 + "1",
    "lambdas in calls": "SELECT " + "f(x -> " * 400 + "1" + ")" * 400,
    "CASE": "SELECT " + "CASE WHEN " * 10_000 + "1",
    "NOT": "SELECT " + "NOT " * 20_000 + "1",
    "signs": "SELECT " + "- " * 20_000 + "1",
    "AND": "SELECT " + "a BETWEEN 1 AND 2 AND " * 5_000 + "b",
    "UNION": "SELECT 1" + " UNION SELECT 1" * 10_000,
    "joins": "SELECT * FROM a" + " JOIN a" * 10_000 + " ON true" * 10_000,
    "row patterns": "SELECT * FROM t MATCH_RECOGNIZE (PATTERN ("
    + "(" * 400
    + "A"
    + "|B)*" * 400
    + ") DEFINE A AS true)",
    "types": "SELECT CAST(a AS " + "array(" * 400 + "int" + ")" * 400 + ")",
    "WITH": "WITH " + ", ".join(f"a{i} AS (SELECT 1)" for i in range(5_000)) + " SELECT 1",
    "subqueries": "SELECT * FROM (" * 400 + "SELECT 1" + ")" * 400,
    "EXPLAIN": "EXPLAIN " * 20_000 + "SELECT 1",
    "PREPARE": "PREPARE p FROM " * 30_000 + "SELECT 1",
    "TABLE": "SELECT * FROM " + "TABLE(" * 20_000,
    "names": "SELECT " + "a." * 20_000 + "a",
    "a list": "SELECT a IN (" + ", ".join(map(str, range(20_000))) + ")",
    "a longer list": "SELECT a IN (" + ", ".join(map(str, range(100_100))) + ")",
    "quotes": "SELECT " + "'" * 300_001,
    "comments": "/*" * 200_000,
    "semicolons": "SELECT 1" + ";" * 50_000,
    "semicolons of no function": "SELECT CASE " + "a, FUNCTION " * 10_000 + "; " * 20_000,
    "digits": "SELECT " + "1" * 300_000 + "x",
    "characters": "SELECT 1234 " * 100_000,
    "NUL": "\0" * 50_000,
}


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    listed = [statement for section in CORPUS.values() for statement in section]
    assert len(listed) == len(set(listed)) >= 400
    assert set(CORPUS) == {*CLASSES, "later", "broken"}


@pytest.mark.parametrize("risk", CLASSES)
def test_a_statement_is_of_its_class(risk: str) -> None:
    found = {statement: assess_sql(statement) for statement in CORPUS[risk]}
    assert {s: str(c.problem) for s, c in found.items() if c.problem is not None} == {}
    assert {s: c.risk for s, c in found.items() if c.risk is not SqlRisk(risk)} == {}


def test_what_later_versions_of_trino_read_reads() -> None:
    assert {s: assess_sql(s) for s in CORPUS["later"] if classify_sql(s) is not SqlRisk.READ} == {}


def test_text_that_does_not_parse_never_reads_and_says_where_it_stops() -> None:
    for statement in CORPUS["broken"]:
        found = assess_sql(statement)
        assert found.risk is not SqlRisk.READ, statement
        assert found.problem is not None, statement
        assert str(found.problem) in found.why
        before = statement[: found.problem.offset]
        assert found.problem.line == before.count("\n") + 1
        assert found.problem.column == len(before) - (before.rfind("\n") + 1) + 1


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("SELECT * FORM t", 'line 1, column 10: unexpected "FORM"; did you mean FROM?'),
        ("SELECT a\nFORM t", 'line 2, column 6: unexpected "t"; did you mean FROM in place of "FORM"?'),
        ("SELEC 1", 'line 1, column 1: unexpected "SELEC"; did you mean SELECT?'),
        ("INSERT INTO x VALEUS (1)", 'line 1, column 15: unexpected "VALEUS"; did you mean VALUES?'),
        ("SELECT count(* FROM t", 'line 1, column 16: unexpected "FROM"'),
        ("SELECT 1 +", "line 1, column 11: the statement ends too early"),
        ("SELECT a,\n  'b", "line 2, column 3: this string is not closed"),
        ('SELECT "b', "line 1, column 8: this name is not closed"),
        ("SELECT 1 /* b", "line 1, column 10: this comment is not closed"),
        ("SELECT 1 FROM t WHERE a = 1 GROUPED BY a", 'line 1, column 29: unexpected "GROUPED"; did you mean GROUP?'),
        ("SELECT 1\xa0FROM t", "line 1, column 9: unexpected character U+00A0"),
        ('SELECT 1 FROM t "a\n\ud83db" c', 'line 2, column 5: unexpected "c"'),
        ('SELECT 1 FROM t a "b\nc"', 'line 1, column 19: unexpected ""b\ufffdc""'),
        (f"SELECT {'1' * 50}x", f'line 1, column 8: unexpected "{"1" * 20}"'),
    ],
)
def test_a_syntax_error_is_named_with_its_position(statement: str, problem: str) -> None:
    assert str(assess_sql(statement).problem) == problem


@pytest.mark.parametrize("before", ["", " ", "\n", "\r", "-- x\n", "-- SELECT\r", "/* SELECT */", "/**/ --\n/* ' */\t"])
def test_neither_blanks_nor_comments_change_the_class(before: str) -> None:
    for risk in CLASSES:
        for statement in CORPUS[risk]:
            assert classify_sql(f"{before}{statement} /* x */ ; -- y") is SqlRisk(risk), statement


def test_what_explains_a_change_reads_unless_it_runs_it() -> None:
    for statement in (*CORPUS["write"], *CORPUS["ddl"]):
        if "ANALYZE" not in statement.upper().split():
            assert classify_sql(f"EXPLAIN (TYPE VALIDATE) {statement}") is SqlRisk.READ, statement
        assert classify_sql(f"EXPLAIN ANALYZE {statement}") is not SqlRisk.READ, statement
        text = statement.replace("'", "''")
        assert classify_sql(f"EXECUTE IMMEDIATE '{text}'") is not SqlRisk.READ, statement
    for statement in CORPUS["unknown"]:
        assert classify_sql(f"EXPLAIN {statement}") is not SqlRisk.READ or not statement.startswith("E"), statement


def test_a_query_that_passes_text_to_a_database_never_reads_wherever_it_stands() -> None:
    queries = [s for s in CORPUS["read"] if s.upper().startswith(("SELECT", "VALUES", "TABLE", "WITH A"))]
    assert len(queries) > 100
    for query in queries:
        for statement in (
            f"{query}\nUNION ALL SELECT * FROM {PASS_THROUGH}",
            f"SELECT * FROM ({query}\n), {PASS_THROUGH}",
            f"EXPLAIN SELECT * FROM {PASS_THROUGH} WHERE EXISTS ({query}\n)",
            f"SHOW STATS FOR (SELECT * FROM {PASS_THROUGH} WHERE EXISTS ({query}\n))",
        ):
            assert classify_sql(statement) is not SqlRisk.READ, statement


def test_a_table_function_that_the_settings_name_reads() -> None:
    query = "SELECT * FROM TABLE(PG.system.query(query => 'SELECT 1'))"
    assert classify_sql(query, ["pg.system.query"]) is SqlRisk.READ
    assert classify_sql(query, ["PG.System.Query"]) is SqlRisk.READ
    assert classify_sql(query, ["my.system.query", "query", "pg.system"]) is SqlRisk.UNKNOWN
    assert "the table function pg.system.query may pass text to another database" in assess_sql(query).why
    both = f"{query} UNION SELECT * FROM TABLE(my.system.query('x'))"
    assert classify_sql(both, ["pg.system.query"]) is SqlRisk.UNKNOWN


@pytest.mark.parametrize("name", GROWING)
def test_neither_depth_nor_length_raises_or_hangs(name: str) -> None:
    text = GROWING[name]
    began = time.thread_time()
    found = assess_sql(text)
    with suppress(ActionRefused):
        one_statement(text)
    without_secrets(f"{text} secret")
    split(text)
    assert time.thread_time() - began < DEADLINE
    assert found.risk in (SqlRisk.READ, SqlRisk.UNKNOWN)
    assert found.risk is SqlRisk.UNKNOWN or found.problem is None


def test_what_is_not_checked_in_time_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "SELECT " + ", ".join(map(str, range(1_000)))
    assert classify_sql(text) is SqlRisk.READ
    with pytest.raises(NotChecked, match="cannot be checked within 0s"):
        check_syntax(text, list(tokenize(text)), max_seconds=0)
    monkeypatch.setattr("dataops_core.actions.sql.MAX_TOKENS", 500)
    assert classify_sql(text) is SqlRisk.UNKNOWN
    monkeypatch.setattr("dataops_core.actions.sql.MAX_CHARACTERS", 500)
    assert "it is longer than 500 characters" in assess_sql(text).why


ODD = ("--", "/*", "*/", "'", '"', "$$", "\n", "\r", "\0", "U&'", "X'", ";", "é", "\ud800", "\u202e")
WORDS = {s[t.start : t.end] for section in CORPUS.values() for s in section for t in tokenize(s)}
PIECES = st.sampled_from([*sorted(WORDS), *ODD])
TEXTS = st.text() | st.lists(PIECES, max_size=40).map(" ".join) | st.lists(PIECES, max_size=40).map("".join)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_any_text_has_a_class(text: str) -> None:
    found = assess_sql(text)
    assert isinstance(found.risk, SqlRisk)
    assert found.problem is None or 0 <= found.problem.offset <= len(text)
    assert found.problem is None or found.risk is not SqlRisk.READ
    assert found.why.isprintable()
    try:
        statement = one_statement(text)
    except ActionRefused:
        return
    assert classify_sql(statement) is found.risk


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_the_tokens_of_any_text_stand_in_it_in_order(text: str) -> None:
    end = 0
    for token in tokenize(text):
        assert end <= token.start < token.end <= len(text)
        end = token.end
    without_secrets(f"{text} password")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([s for risk in ("write", "ddl", "unknown") for s in CORPUS[risk]]),
    st.lists(st.tuples(st.integers(0, 60), PIECES), max_size=3),
)
def test_a_change_that_is_damaged_is_no_reading_statement(statement: str, damage: list[tuple[int, str]]) -> None:
    words = [statement[token.start : token.end] for token in tokenize(statement)]
    keyword = words[0].upper()
    for at, piece in damage:
        if keyword not in ("EXPLAIN", "EXECUTE", "PREPARE", "SELECT", "WITH", "VALUES", "SHOW", "SET", "RESET"):
            words.insert(1 + at % len(words), piece)
    assert classify_sql(" ".join(words)) is not SqlRisk.READ
