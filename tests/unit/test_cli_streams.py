"""Standard streams that are closed, full, or of another encoding: one line, and the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dataops_core.cli.statement import read_statement, statement_last
from dataops_core.errors import ConfigError
from dataops_core.plain import encodable
from dataops_tui.charset import has_utf8

Dataops = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def dataops(tmp_path: Path) -> Dataops:
    """Return what runs a command line of a shell, in which `dataops` is the program."""
    config = tmp_path / "dataops.toml"
    config.write_text('[contexts.c.trino]\nurl = "http://127.0.0.1:9"\n')
    program = Path(sys.executable).parent / "dataops"

    def run(line: str, given: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["bash", "-c", line.replace("dataops", f"{program} --config {config}", 1)],
            input=given,
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, **environment},
        )

    return run


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("dataops config show > /dev/full", 1, "standard output: no space left on device"),
        ("dataops config show >&-", 1, "standard output is closed"),
        ("dataops --help > /dev/full", 1, "standard output: no space left on device"),
        ("dataops probe -o json > /dev/full", 3, "standard output: no space left on device"),
        ("dataops probe >&-", 3, "standard output is closed"),
        ("dataops sql - <&-", 2, "standard input is closed"),
    ],
)
@pytest.mark.programs
def test_a_stream_that_fails_is_one_line_and_a_code(dataops: Dataops, line: str, code: int, said: str) -> None:
    done = dataops(line)
    assert done.returncode == code
    last = done.stderr.decode().splitlines()[-1]
    assert said in last
    assert "Traceback" not in done.stderr.decode()
    assert "internal error" not in done.stderr.decode()


@pytest.mark.programs
def test_standard_error_may_be_closed_or_full(dataops: Dataops) -> None:
    for stream in ("2>&-", "2>/dev/full"):
        done = dataops(f"dataops config show {stream}")
        assert done.returncode == 0
        assert b"contexts.c" in done.stdout


@pytest.mark.programs
def test_a_statement_that_is_not_utf8_names_the_byte(dataops: Dataops) -> None:
    done = dataops("dataops sql -", b"SELECT '\xff'")
    assert done.returncode == 2
    assert done.stderr == b"dataops: standard input: not UTF-8 at byte 8\n"


@pytest.mark.programs
def test_an_output_that_is_latin1_gets_escapes_of_what_it_has_not(dataops: Dataops) -> None:
    done = dataops("dataops probe", PYTHONIOENCODING="latin-1")
    assert done.returncode == 3
    assert rb"\u2716 unavailable" in done.stdout
    assert "Traceback" not in done.stderr.decode()


def test_escapes_of_an_encoding_are_json_s() -> None:
    text = json.dumps({"a": "é 数 😀 \x00"}, ensure_ascii=False)
    for encoding in ("ascii", "latin-1", "cp1252", "utf-8"):
        assert json.loads(encodable(text, encoding)) == json.loads(text)
        encodable(text, encoding).encode(encoding)
    assert encodable(text, "utf-8") == text


NAMES, VALUED = {"-o", "--output", "--file", "--yes"}, {"-o", "--output", "--file"}


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        (["-- c\nSELECT 1"], ["--", "-- c\nSELECT 1"]),
        (["-- c\nSELECT 1", "-o", "csv"], ["-o", "csv", "--", "-- c\nSELECT 1"]),
        (["-o", "csv", "--c\nSELECT 1"], ["-o", "csv", "--", "--c\nSELECT 1"]),
        (["--yes", "--\tDROP TABLE a"], ["--yes", "--", "--\tDROP TABLE a"]),
        (["--", "-- c\nSELECT 1"], ["--", "-- c\nSELECT 1"]),
        (["--file", "-- odd name.sql"], ["--file", "-- odd name.sql"]),
        (["--file=a b.sql"], ["--file=a b.sql"]),
        (["--nope"], ["--nope"]),
        (["SELECT 1 -- c"], ["SELECT 1 -- c"]),
        (["", " "], ["", " "]),
    ],
)
def test_a_statement_may_begin_with_a_comment(typed: list[str], taken: list[str]) -> None:
    assert statement_last(typed, NAMES, VALUED) == taken


def test_a_statement_comes_from_one_place_and_loses_its_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.sql"
    file.write_bytes(b"\xef\xbb\xbfSELECT 1")
    assert read_statement(None, file) == "SELECT 1"
    file.write_bytes(b"SELECT \x80")
    for statement, path, said in (
        (None, file, "not UTF-8 at byte 7"),
        (None, tmp_path / "none.sql", "no such file or directory"),
        (None, tmp_path, "is a directory"),
        ("SELECT '\udcff'", None, "the statement is not UTF-8"),
        (None, None, "exactly one statement is required"),
        ("SELECT 1", file, "exactly one statement is required"),
    ):
        with pytest.raises(ConfigError, match=said):
            read_statement(statement, path)


@pytest.mark.parametrize(
    ("variables", "utf8"),
    [
        ({}, False),
        ({"LANG": "C"}, False),
        ({"LANG": "POSIX"}, False),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "en_US.utf8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "C.UTF-8", "LC_ALL": ""}, True),
    ],
)
def test_the_locale_tells_whether_a_terminal_has_utf8(variables: dict[str, str], utf8: bool) -> None:
    assert has_utf8(variables) is utf8


@pytest.mark.programs
@pytest.mark.parametrize(
    ("variables", "utf8"), [({}, "False"), ({"LANG": "C.UTF-8"}, "True"), ({"LC_CTYPE": "C.UTF-8"}, "True")]
)
def test_what_python_sets_at_its_start_is_no_locale_of_the_user(variables: dict[str, str], utf8: str) -> None:
    code = "from dataops_tui.charset import has_utf8; print(has_utf8())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == utf8
