"""The gate: what passes, what is refused, and that the audit file tells of both."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.settings import ContextSettings

from dataops_core.actions import ActionPolicy, AuditLog, SqlRisk
from dataops_core.actions.sql import classify_sql, one_statement
from dataops_core.errors import ActionRefused, NotFound
from dataops_core.systems.registry import load_settings

READS = [
    "SELECT 1",
    "select * from gold.shipment_exposure -- ; DROP TABLE x",
    "SELECT ';'",
    "WITH a AS (SELECT 1 AS x) SELECT * FROM a UNION ALL SELECT 2",
    "(SELECT 1)",
    "VALUES 1, 2",
    "TABLE orders",
    "SHOW CREATE TABLE x",
    "SHOW STATS FOR (SELECT * FROM x)",
    "DESCRIBE x",
    "DESC x",
    "EXPLAIN DELETE FROM x",
    "EXPLAIN (TYPE IO, FORMAT JSON) INSERT INTO x SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN ANALYZE VERBOSE SELECT 1",
    'SELECT * FROM lake.silver."readings$snapshots"',
    "SELECT * FROM t FOR VERSION AS OF 8954597067493422955",
    "SELECT * FROM TABLE(sequence(start => 1, stop => 3))",
    "SELECT * FROM TABLE(exclude_columns(input => TABLE(orders), columns => DESCRIPTOR(a)))",
    "SELECT 'INSERT INTO x'",
    "/* DROP TABLE x */ SELECT 1",
    # of the session only, and each statement has one of its own
    "SET SESSION a = 1",
    "USE a.b",
]
WRITES = [
    "INSERT INTO x VALUES 1",
    "INSERT INTO x WITH a AS (SELECT 1) SELECT * FROM a",
    "UPDATE x SET a = 1",
    "DELETE FROM x",
    "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE x",
    "CALL lake.system.rollback_to_snapshot('silver', 'readings', 1)",
    "ALTER TABLE x EXECUTE optimize(file_size_threshold => '1MB')",
    "ANALYZE x",
    "REFRESH MATERIALIZED VIEW x",
    "EXPLAIN ANALYZE INSERT INTO x SELECT 1",
    "explain analyze verbose delete from x",
    "EXPLAIN /* SELECT */ ANALYZE DELETE FROM x",
    # a dialect with nested comments would see the SELECT only
    "/* /* */ DELETE FROM t -- */ */ SELECT 1",
    "EXECUTE IMMEDIATE 'DELETE FROM x'",
    "PREPARE p FROM DELETE FROM x",
]
CHANGES_OF_TABLES = [
    "CREATE TABLE x AS SELECT 1",
    "CREATE OR REPLACE VIEW x AS SELECT 1",
    "CREATE CATALOG x USING iceberg WITH (\"a\" = 'b')",
    "DROP TABLE x",
    "ALTER TABLE x ADD COLUMN c integer",
    "COMMENT ON TABLE x IS 'a'",
    "GRANT SELECT ON x TO USER y",
    "REVOKE SELECT ON x FROM USER y",
    "DENY SELECT ON x TO USER y",
]
NOT_UNDERSTOOD = [
    "SELECT * FROM TABLE(pg.system.query(query => 'DELETE FROM x'))",
    "SELECT * FROM TABLE(pg.system.\"QUERY\"(query => 'DELETE FROM x'))",
    "SELECT * FROM a WHERE b IN (SELECT c FROM TABLE(query(query => 'x')))",
    "EXECUTE p",
    "SET ROLE admin",
    "START TRANSACTION",
    "KILL 'x'",
    "SELECT FROM WHERE",
    "SELECT 'not closed",
    "EXPLAIN ANALYZE",
    "nonsense",
    "",
]


@pytest.mark.parametrize(
    ("statement", "risk"),
    [
        *((s, SqlRisk.READ) for s in READS),
        *((s, SqlRisk.WRITE) for s in WRITES),
        *((s, SqlRisk.DDL) for s in CHANGES_OF_TABLES),
        *((s, SqlRisk.UNKNOWN) for s in NOT_UNDERSTOOD),
    ],
)
def test_a_statement_is_classified_by_what_it_may_do(
    statement: str, risk: SqlRisk, caplog: pytest.LogCaptureFixture
) -> None:
    assert classify_sql(statement) is risk
    assert not caplog.records, "nothing may write into the console's screen"


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        (" SELECT 1 ; ;", "SELECT 1"),
        ("SELECT 1 -- ; x\n;", "SELECT 1 -- ; x"),
        ("SELECT ';'", "SELECT ';'"),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN DECLARE a int; RETURN 1; END;",
            "CREATE FUNCTION f() RETURNS int BEGIN DECLARE a int; RETURN 1; END",
        ),
        (
            "WITH FUNCTION f() RETURNS int BEGIN RETURN 1; END SELECT f(); -- ;",
            "WITH FUNCTION f() RETURNS int BEGIN RETURN 1; END SELECT f()",
        ),
    ],
)
def test_the_last_semicolon_is_dropped(text: str, statement: str) -> None:
    assert one_statement(text) == statement


@pytest.mark.parametrize("text", ["SELECT 1; SELECT 2", "EXPLAIN SELECT 1; DROP TABLE x", "SHOW TABLES; DROP TABLE x;"])
def test_two_statements_are_refused(text: str) -> None:
    with pytest.raises(ActionRefused, match="more than one statement: run them one at a time"):
        one_statement(text)


@pytest.mark.parametrize("text", ["", " ; ", "-- only a comment"])
def test_no_statement_is_refused(text: str) -> None:
    with pytest.raises(ActionRefused, match="there is no statement"):
        one_statement(text)


@dataclass
class Trino:
    target: str = "http://trino"
    asked: list[str] = field(default_factory=list)

    def query(self, statement: str) -> str:
        self.asked.append(statement)
        return statement


@dataclass
class Run:
    run_id: str = "manual__1"


@dataclass
class Airflow:
    target: str = "http://airflow"
    asked: list[Any] = field(default_factory=list)
    error: Exception | None = None

    def trigger(self, dag_id: str, conf: Any) -> Run:
        self.asked.append((dag_id, conf))
        if self.error:
            raise self.error
        return Run()


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit.jsonl"


def policy(audit: Path, **settings: bool) -> ActionPolicy:
    return ActionPolicy("plant", ContextSettings(**settings), audit)


def entries(audit: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit.read_text().splitlines()]


@pytest.mark.parametrize("settings", [{}, {"production": True}, {"read_only": True}])
def test_reading_needs_no_confirmation_anywhere(audit: Path, settings: dict[str, bool]) -> None:
    trino = Trino()
    policy(audit, **settings).run_sql(trino, "SELECT 1;")
    assert trino.asked == ["SELECT 1"]
    (entry,) = entries(audit)
    assert (entry["outcome"], entry["risk"], entry["statement"], entry["context"]) == (
        "allowed",
        "read",
        "SELECT 1;",
        "plant",
    )


@pytest.mark.parametrize(
    ("settings", "confirmed", "passes"),
    [
        ({}, None, False),
        ({}, "no", False),
        ({}, "yes", True),
        ({}, "plant", True),
        ({"production": True}, None, False),
        ({"production": True}, "yes", False),
        ({"production": True}, "plant", True),
        ({"read_only": True}, "yes", False),
        ({"read_only": True}, "plant", False),
        ({"read_only": True, "production": True}, "plant", False),
    ],
)
def test_a_change_passes_only_where_allowed_and_confirmed(
    audit: Path, settings: dict[str, bool], confirmed: str | None, passes: bool
) -> None:
    trino, airflow, it = Trino(), Airflow(), policy(audit, **settings)
    for act in (
        lambda: it.run_sql(trino, "DELETE FROM x", confirmed),
        lambda: it.run_sql(trino, "KILL 'x'", confirmed),
        lambda: it.trigger_dag(airflow, "d", {}, confirmed),
    ):
        if passes:
            act()
        else:
            with pytest.raises(ActionRefused):
                act()
    assert trino.asked == (["DELETE FROM x", "KILL 'x'"] if passes else [])
    assert airflow.asked == ([("d", {})] if passes else [])
    outcomes = [entry["outcome"] for entry in entries(audit)]
    assert outcomes == (["allowed", "allowed", "allowed", "done"] if passes else ["refused"] * 3)
    assert AuditLog(audit).verify().problem is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, 'it may change data in the context "plant": correct it, or confirm with "yes"'),
        (
            {"production": True},
            'it may change data in the production context "plant": correct it, or confirm with "plant"',
        ),
        ({"read_only": True}, 'it may change data, and the context "plant" is read-only'),
    ],
)
def test_a_statement_that_does_not_parse_is_refused_with_its_position(
    audit: Path, settings: dict[str, bool], said: str
) -> None:
    trino = Trino()
    with pytest.raises(ActionRefused) as refused:
        policy(audit, **settings).run_sql(trino, "\n\n  SELECT *\n  FORM x;")
    problem = 'line 4, column 3: unexpected "FORM"; did you mean FROM?'
    assert str(refused.value) == f"the statement does not parse ({problem}), so {said}"
    assert trino.asked == []


def test_a_statement_that_does_not_parse_runs_as_a_change_once_confirmed(audit: Path) -> None:
    trino = Trino()
    policy(audit).run_sql(trino, "SHOW NEW THINGS", "yes")
    assert trino.asked == ["SHOW NEW THINGS"]
    assert entries(audit)[0]["risk"] == "unknown"


def test_a_trino_names_the_table_functions_that_read(audit: Path, tmp_path: Path) -> None:
    query = "SELECT * FROM TABLE(pg.system.query('SELECT 1'))"
    trino = Trino()
    with pytest.raises(ActionRefused, match=r"the table function pg\.system\.query may pass text to another database"):
        policy(audit, read_only=True).run_sql(trino, query)
    file = tmp_path / "dataops.toml"
    file.write_text(
        "[contexts.plant]\nread_only = true\n"
        '[contexts.plant.trino]\nurl = "http://trino/"\nreading_table_functions = ["pg.system.query"]\n'
    )
    context = load_settings(file).contexts["plant"]
    ActionPolicy("plant", context, audit).run_sql(trino, query)
    assert trino.asked == [query]
    with pytest.raises(ActionRefused):
        ActionPolicy("plant", context, audit).run_sql(Trino(target="http://other"), query)


def test_the_gate_says_which_word_confirms(audit: Path) -> None:
    assert policy(audit).confirmation(SqlRisk.READ) is None
    assert policy(audit).confirmation() == "yes"
    assert policy(audit, production=True).confirmation() == "plant"
    assert policy(audit, read_only=True).confirmation() is None
    with pytest.raises(ActionRefused, match='changes data, and the context "plant" is read-only'):
        policy(audit, read_only=True).run_sql(Trino(), "DELETE FROM x", "yes")
    with pytest.raises(ActionRefused, match='changes data in the production context "plant": confirm with "plant"'):
        policy(audit, production=True).run_sql(Trino(), "DELETE FROM x", "yes")


def test_a_trigger_that_airflow_refuses_is_audited_as_failed(audit: Path) -> None:
    with pytest.raises(NotFound):
        policy(audit).trigger_dag(Airflow(error=NotFound("no such DAG")), "d", {}, "yes")
    assert [(e["outcome"], e.get("reason")) for e in entries(audit)] == [("allowed", None), ("failed", "no such DAG")]


def test_the_audit_holds_no_secret(audit: Path) -> None:
    it = policy(audit)
    for statement in (
        "CREATE CATALOG pg USING postgresql WITH (\"connection-password\" = 'hunter2')",
        "SELECT * FROM t WHERE password = U&'hunter2'",
        'CREATE CATALOG pg WITH ("connection-password" = \'hunter2',
        "SELECT 1; SELECT * FROM x WHERE secret = 'hunter2'",
    ):
        with pytest.raises(ActionRefused):
            it.run_sql(Trino(), statement + " INSERT")
    conf = {"api_key": "hunter2", "nested": {"db_password": "hunter2"}, "list": [{"token": "hunter2"}], "day": 1}
    it.trigger_dag(Airflow(), "d", conf, "yes")
    assert "hunter2" not in audit.read_text()
    assert entries(audit)[-1]["conf"] == {
        "api_key": "***",
        "nested": {"db_password": "***"},
        "list": [{"token": "***"}],
        "day": 1,
    }


def test_the_audit_file_is_for_its_user_only(audit: Path) -> None:
    AuditLog(audit).append({"action": "x"})
    assert stat.S_IMODE(audit.stat().st_mode) == 0o600
    assert stat.S_IMODE(audit.parent.stat().st_mode) == 0o700


def test_what_cannot_be_audited_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    trino = Trino()
    with pytest.raises(ActionRefused, match=r"audit file .* cannot be written: file exists"):
        policy(tmp_path / "file" / "audit.jsonl").run_sql(trino, "SELECT 1")
    assert trino.asked == []


def test_appends_at_the_same_time_keep_the_chain(audit: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: AuditLog(audit).append({"n": n, "long": "x" * 3000}), range(200)))
    report = AuditLog(audit).verify()
    assert (report.lines, report.problem) == (200, None)
    assert sorted(entry["n"] for entry in entries(audit)) == list(range(200))


def test_a_line_longer_than_a_chunk_is_chained(audit: Path) -> None:
    AuditLog(audit).append({"long": "x" * 200_000})
    AuditLog(audit).append({"n": 1})
    AuditLog(audit).append({"n": 2})
    assert AuditLog(audit).verify().lines == 3


@pytest.mark.parametrize(
    ("damage", "intact", "problem"),
    [
        (lambda lines: [lines[0], lines[1].replace(b'"n": 1', b'"n": 7'), *lines[2:]], 2, "line 3 does not follow"),
        (lambda lines: [lines[0], *lines[2:]], 1, "line 2 does not follow"),
        (lambda lines: lines[1:], 0, "line 1 does not follow"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 0, "line 1 does not follow"),
        (lambda lines: [*lines[:2], b"hello\n", *lines[2:]], 2, "line 3 is not an audit entry"),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], 3, "line 4 is truncated"),
    ],
)
def test_tampering_is_found(audit: Path, damage: Any, intact: int, problem: str) -> None:
    for n in range(4):
        AuditLog(audit).append({"n": n})
    audit.write_bytes(b"".join(damage(audit.read_bytes().splitlines(keepends=True))))
    report = AuditLog(audit).verify()
    assert report.lines == intact
    assert report.problem is not None
    assert problem in report.problem


def test_after_a_crash_in_the_middle_of_a_line_new_lines_are_whole(audit: Path) -> None:
    AuditLog(audit).append({"n": 0})
    with audit.open("ab") as file:
        file.write(b'{"previous": "')
    AuditLog(audit).append({"n": 1})
    lines = audit.read_bytes().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[2])["n"] == 1
    assert AuditLog(audit).verify().problem == "line 2 is not an audit entry"


def test_a_user_without_a_name_is_told_by_number(audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    AuditLog(audit).append({})
    assert entries(audit)[0]["user"] == str(os.getuid())
