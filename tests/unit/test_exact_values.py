"""Values are shown and written exactly as the system sent them: any JSON text, any text, whatever its characters."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dataops_core.json_text import JsonText, dumps, indented, one_line, parsed, readable
from dataops_core.plain import encodable, visible
from dataops_core.rows import writer
from dataops_core.sql.export import export
from dataops_core.systems.kafka.records import MAX_BYTES, Record, as_dict, decode
from dataops_core.systems.kafka.records import _cut as cut
from dataops_core.values import Columns, plain, shown, text_of

pytestmark = pytest.mark.programs

COLUMNS: Columns = (("value", "varchar"),)
SPACE = st.sampled_from(["", " ", "\n", "\t", "\r\n"])
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
CHARACTERS = st.one_of(
    st.characters(exclude_characters='"\\', min_codepoint=0x20, exclude_categories=["Cs"]),
    st.sampled_from(
        [r"\n", r"\"", r"\\", r"\/", r"\u00e9", r"\ud83d", r"\ude00", r"\ud83d\ude00", r"\u0000", r"\u001b"]
    ),
)
STRINGS = st.lists(CHARACTERS, max_size=8).map(lambda characters: f'"{"".join(characters)}"')


def spaced(tokens: tuple[str, ...]) -> str:
    return "".join(tokens)


def arrays(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    item = st.tuples(SPACE, inner, SPACE).map(spaced)
    return st.lists(item, max_size=4).map(lambda items: f"[{','.join(items)}]")


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(SPACE, STRINGS, SPACE, st.just(":"), SPACE, inner, SPACE).map(spaced)
    return st.lists(pair, max_size=4).map(lambda pairs: f"{{{','.join(pairs)}}}")


JSON = st.recursive(
    st.one_of(NUMBERS, STRINGS, st.sampled_from(["true", "false", "null"])),
    lambda inner: st.one_of(arrays(inner), objects(inner)),
    max_leaves=12,
)
DOCUMENTS = st.one_of(arrays(JSON), objects(JSON), STRINGS)


def written(output: str, value: object) -> str:
    parts: list[str] = []
    out = writer(output, parts.append)
    out.rows(COLUMNS, [(value,)])
    out.end(COLUMNS)
    text = encodable("".join(parts), "utf-8")
    text.encode()
    return text


def tokens(text: str) -> object:
    """Return a value that keeps repeated names, and numbers as they are written."""
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=list)


@given(DOCUMENTS)
@example('{"a": 12345678901234567.89, "b": 1.10, "c": 1e400, "d": -0, "a": 2}')
@example('{"user":"bob \\ud83d"}')
@example('"\\ud83d"')
def test_any_json_of_a_record_is_written_with_its_own_digits(text: str) -> None:
    record = Record(0, 1, None, None, text.encode(), (), len(text.encode()))
    about = as_dict(record)
    assert about["kind"] == "json"
    value = about["value"]
    assert next(csv.reader(io.StringIO(written("csv", value).partition("\r\n")[2], newline=""))) == [text]
    assert tokens(written("json", value)) == [[("value", tokens(text))]]
    assert tokens(written("jsonl", value)) == [("value", tokens(text))]
    assert written("jsonl", value).count("\n") == 1
    assert yaml.load(written("yaml", value), yaml.BaseLoader) == [{"value": strings(parsed(text))}]
    assert tokens(indented(text)) == tokens(one_line(text)) == tokens(readable(text)) == tokens(text)
    assert tokens(dumps({"in": [JsonText(text), 1]}, 2)) == [("in", [tokens(text), "1"])]


def strings(value: object) -> object:
    """Return a value as YAML's plainest reader has it: repeated names and scalars as text."""
    if isinstance(value, dict):
        return {key: strings(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [strings(inner) for inner in value]
    return {True: "true", False: "false", None: "null"}.get(value, value) if not isinstance(value, str) else value


@given(DOCUMENTS)
def test_any_json_of_a_record_stands_in_a_table_as_one_line(text: str) -> None:
    row = written("table", JsonText(text)).split("\n")[2]
    assert row == visible(readable(one_line(text))).rstrip()


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@example("数\u3000据")
@example("no\u00a0break")
@example("\u0645\u06cc\u200c\u062e")
@example("👩\u200d🚒")
@example("\ufeffBOM")
@example("soft\u00adhyphen")
@example("\x1b[31mred\x1b[0m")
@example("\x1b[m!")
@example("one\x01two three")
def test_text_is_text_whatever_its_characters(text: str) -> None:
    kind, decoded = decode(text.encode())
    assert kind in ("text", "json")
    assert decoded == text
    assert text_of(text.encode()) == text
    assert shown(text.encode()) == text
    assert next(csv.reader(io.StringIO(written("csv", text).partition("\r\n")[2], newline=""))) == [text]
    assert json.loads(written("json", text)) == [{"value": text}]
    assert yaml.safe_load(written("yaml", text)) == [{"value": text}]


@pytest.mark.parametrize(
    "data", [b"\0\0\0\x2a", b"\x01\x02", b"\xff\xfe", b"\x1b", b"a\0b", b"\x80", b"\x01\x02\x03ab", b"\xed\xa0\xbd"]
)
def test_bytes_that_are_no_text_are_hex(data: bytes) -> None:
    assert decode(data) == ("hex", data.hex(" "))


@given(st.text())
def test_bytes_are_either_their_text_or_hex(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    kind, decoded = decode(data)
    assert decoded == data.hex(" ") if kind == "hex" else decoded == text


@given(st.text(st.characters(), min_size=1))
@example("bob \ud83d")
@example("\ud83d\ude00")
def test_half_a_surrogate_pair_ends_no_output(text: str) -> None:
    for output in ("table", "csv", "json", "jsonl", "yaml"):
        written(output, text)
    assert json.loads(written("json", text)) == [{"value": json.loads(json.dumps(text))}]


@pytest.mark.parametrize(
    "text",
    ["NaN", "[NaN]", "[Infinity]", '{"a":1}x', "[01]", "[1,]", "{a:1}", "[" * 200 + "]" * 200, '"one\x01two"', "12.50"],
)
def test_what_is_no_json_document_is_text(text: str) -> None:
    assert decode(text.encode()) == ("text", text)


def test_what_is_cut_off_is_cut_between_characters() -> None:
    whole = ("x" + "é" * MAX_BYTES).encode()
    assert decode(cut(whole))[0] == "text"
    assert cut(b"\xff" * (MAX_BYTES + 1)) == b"\xff" * MAX_BYTES


@given(st.recursive(st.one_of(st.text(), st.integers(), st.none()), st.lists, max_leaves=5))
def test_without_json_text_dumps_is_json_s_own(value: object) -> None:
    for indent in (None, 2):
        assert json.loads(dumps(plain(value), indent)) == json.loads(json.dumps(value))


@given(st.lists(st.one_of(st.none(), st.text(), DOCUMENTS.map(JsonText)), min_size=1, max_size=5))
@example(["\ud800", "a\x00b", JsonText('{"a": 1.10}')])
def test_any_text_and_json_is_exact_in_parquet(values: list[str | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.parquet"
        assert export(path, COLUMNS, iter([[(value,) for value in values]])) == len(values)
        found = pq.read_table(path).column("value").to_pylist()
    assert found == [None if v is None else str(v).encode(errors="backslashreplace").decode() for v in values]


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-(2**63), 2**63 - 1), st.decimals(-(10**20), 10**20, places=9))
def test_times_numbers_and_decimals_are_exact_in_parquet(at: datetime, number: int, amount: Decimal) -> None:
    columns = (("at", "timestamp(6) with time zone"), ("n", "bigint"), ("d", "decimal(38, 9)"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.parquet"
        export(path, columns, iter([[(at, number, amount)]]))
        assert pq.read_table(path).to_pylist() == [{"at": at, "n": number, "d": amount}]
