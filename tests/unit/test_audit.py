"""The audit file's anchors: what a change at its end, or of the whole file, shows against."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.escapes import ESCAPES, takes_effect

from dataops_core.actions import AuditLog
from dataops_core.actions import audit as module
from dataops_core.cli import main
from dataops_core.config import AuditSettings
from dataops_core.errors import ActionRefused

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's own audit file."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATAOPS_CONFIG", raising=False)
    return tmp_path / "state" / "dataops" / "audit.jsonl"


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def chained(entries: list[dict[str, Any]]) -> bytes:
    """Return a file whose chain is whole, as somebody would forge it."""
    before, text = "0" * 64, b""
    for entry in entries:
        line = json.dumps({**entry, "previous": before}).encode()
        before, text = sha256(line).hexdigest(), text + line + b"\n"
    return text


def forged(path: Path) -> bytes:
    return chained([json.loads(line) | {"n": 7} for line in lines(path)])


def written(settings: AuditSettings | None = None, count: int = 4) -> AuditLog:
    audit = AuditLog(settings=settings)
    for n in range(count):
        audit.append({"n": n, "action": "a", "outcome": "done"})
    return audit


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: b"".join(lines(path)[:-1]),
        lambda path: b"".join([*lines(path)[:-1], lines(path)[-1].replace(b'"n": 3', b'"n": 7')]),
        lambda path: b"".join(lines(path)) + chained([{"n": 9}]).replace(b"0" * 64, _hash(lines(path)[-1])),
        forged,
        lambda _: b"",
    ],
    ids=["last line removed", "last line changed", "line added", "rewritten as a whole", "emptied"],
)
def test_a_change_that_keeps_the_chain_shows_against_the_head_file(path: Path, damage: Any) -> None:
    audit = written()
    assert audit.verify().problem is None
    assert audit.verify().anchored_from == 1
    path.write_bytes(damage(path))
    problem = audit.verify().problem
    assert problem is not None
    assert "does not match its head file" in problem
    audit.append({"n": 10})
    problem = audit.verify().problem
    assert problem is not None, "also once another line follows"
    assert "reports that earlier lines were changed" in problem
    audit.append({"n": 11})
    assert audit.verify().problem == problem


def _hash(line: bytes) -> bytes:
    return sha256(line.removesuffix(b"\n")).hexdigest().encode()


def test_a_crash_between_line_and_head_file_is_no_change(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = written()
    write_head, calls = module.write_head, []

    def dies(at: int) -> Any:
        def write(*arguments: Any) -> None:
            calls.append(1)
            if len(calls) == at:
                raise OSError(28, "No space left on device")
            write_head(*arguments)

        return write

    for at in (1, 2):
        calls.clear()
        monkeypatch.setattr(module, "write_head", dies(at))
        with pytest.raises(ActionRefused, match="no space left"):
            audit.append({"n": "lost"})
        monkeypatch.setattr(module, "write_head", write_head)
        assert audit.verify().problem is None, at
    audit.append({"n": 5})
    report = audit.verify()
    assert (report.problem, report.lines) == (None, 6)


def test_a_file_from_before_head_files_is_anchored_from_its_next_line_on(path: Path) -> None:
    audit = written()
    audit.head_path.unlink()
    assert "head file" in str(audit.verify().problem), "its end cannot be checked: that is not a green"
    audit.append({"n": 5})
    report = audit.verify()
    assert (report.problem, report.lines, report.anchored_from) == (None, 5, 5)


def test_a_chain_that_was_rewritten_has_no_signatures(path: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("correct horse")
    settings = AuditSettings.model_validate({"hmac_key": {"file": str(tmp_path / "key")}})
    audit = written(settings)
    report = audit.verify()
    assert (report.problem, report.lines, report.signed_from) == (None, 4, 1)
    whole, head = path.read_bytes(), audit.head_path.read_bytes()
    path.write_bytes(forged(path))
    assert audit.verify().problem == "line 1 is not signed with the audit key"
    stolen = AuditLog(settings=AuditSettings(hmac_key="guessed"))
    path.unlink()
    audit.head_path.unlink()
    stolen.append({"n": 0})
    assert "not signed with audit.hmac_key" in str(audit.verify().problem)
    path.write_bytes(whole)
    audit.head_path.write_bytes(re.sub(rb'"lines": 4', b'"lines": 3', head))
    assert "not signed" in str(audit.verify().problem), "the head file is signed, too"
    with pytest.raises(ActionRefused, match="move the audit file and its head file to another folder"):
        audit.append({"n": 5})
    audit.head_path.write_bytes(head)
    assert audit.verify().problem is None
    assert b"correct horse" not in path.read_bytes() + audit.head_path.read_bytes()
    assert "correct" not in repr(settings)


def test_a_key_that_cannot_be_read_lets_nothing_be_done(path: Path) -> None:
    settings = AuditSettings.model_validate({"hmac_key": {"file": "/nowhere/key"}})
    with pytest.raises(ActionRefused, match="cannot be anchored"):
        AuditLog(settings=settings).append({"n": 0})
    assert not path.exists()


@contextmanager
def received(address: Any, family: int, into: list[bytes]) -> Iterator[socket.socket]:
    """Receive four messages."""
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(30)
        taker = threading.Thread(target=lambda: into.extend(server.recv(65536) for _ in range(4)), daemon=True)
        taker.start()
        yield server
        taker.join(60)


def test_a_syslog_gets_the_hash_of_each_line_by_which_the_file_is_checked(
    path: Path, tmp_path: Path, capsys: Captured
) -> None:
    local: list[bytes] = []
    remote: list[bytes] = []
    with (
        received(str(tmp_path / "log"), socket.AF_UNIX, local),
        received(("127.0.0.1", 0), socket.AF_INET, remote) as udp,
    ):
        written(AuditSettings(syslog=str(tmp_path / "log")))
        path.unlink()
        path.with_name("audit.head").unlink()
        written(AuditSettings(syslog=f"udp://127.0.0.1:{udp.getsockname()[1]}"))
    assert [json.loads(line.split(b": ", 1)[1])["line"] for line in local] == [1, 2, 3, 4]
    assert all(line.startswith(b"<85>") for line in local + remote)
    told = [json.loads(line[line.index(b"{") :]) for line in remote]
    assert [found["sha256"].encode() for found in told] == [_hash(line) for line in lines(path)]
    assert main(["audit", "verify", "--head", told[2]["sha256"]]) == 0
    path.write_bytes(chained([{"n": 7}]))
    path.with_name("audit.head").unlink()
    assert main(["audit", "verify", str(path), "--head", told[2]["sha256"]]) == 1
    assert f"no line has the SHA-256 {told[2]['sha256']}" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["/nowhere/log", "udp://nowhere.invalid:514", "udp://127.0.0.1:99999"])
def test_an_action_is_not_done_where_the_syslog_does_not_take_it(path: Path, address: str) -> None:
    with pytest.raises(ActionRefused, match="cannot send a message"):
        AuditLog(settings=AuditSettings(syslog=address)).append({"n": 0})
    assert not path.exists() or path.read_bytes() == b""


@pytest.mark.parametrize("text", ESCAPES, ids=ascii)
def test_any_text_is_audited_exactly_and_takes_no_effect_in_a_terminal(path: Path, text: str) -> None:
    audit = AuditLog()
    audit.append({"statement": text, text: 1})
    audit.append({"n": 1})
    assert not takes_effect(path.read_text(), "\n")
    assert json.loads(lines(path)[0])["statement"] == text.encode(errors="backslashreplace").decode()
    assert audit.verify().problem is None


def test_a_text_of_any_length_is_cut_and_stays_checkable(path: Path) -> None:
    audit = AuditLog()
    audit.append({"statement": "x" * 20_000_000})
    audit.append({"statement": "\U000e0001" * 200_000, "conf": {"a": ["y" * 2_000_000]}})
    audit.append({"n": 1})
    assert path.stat().st_size < 400_000
    assert "(20000000 characters, SHA-256 " in path.read_text()
    assert audit.verify().problem is None


@pytest.mark.parametrize(
    "line",
    [b"[" * 60_000, b'{"previous":' * 60_000, b"{" + b" " * 9_000_000 + b"}", b'"previous"', b"\xff\xfe", b"null"],
)
def test_a_line_that_is_no_entry_is_named_whatever_is_in_it(path: Path, line: bytes) -> None:
    audit = written(count=1)
    with path.open("ab") as file:
        file.write(line + b"\n")
    assert audit.verify().problem == "line 2 is not an audit entry"
    assert audit.read(10).entries[0][0] == 1


@pytest.mark.parametrize("head", [b"", b"{}", b"[" * 60_000, b'{"lines": "x", "sha256": 1}', b"\xff", b'{"lines": 1}'])
def test_a_head_file_that_is_none_is_said(path: Path, head: bytes) -> None:
    audit = written()
    audit.head_path.write_bytes(head)
    assert "is not the head file of an audit file" in str(audit.verify().problem)
    with pytest.raises(ActionRefused, match="is not the head file of an audit file"):
        audit.append({"n": 5})


def test_the_head_file_is_where_the_settings_have_it_and_for_its_user_only(path: Path, tmp_path: Path) -> None:
    audit = written(AuditSettings.model_validate({"head_file": str(tmp_path / "elsewhere" / "head")}))
    assert (tmp_path / "elsewhere" / "head").stat().st_mode & 0o777 == 0o600
    assert not path.with_name("audit.head").exists()
    assert audit.verify().problem is None
    assert sorted(found.name for found in (tmp_path / "elsewhere").iterdir()) == ["head"]


def test_verify_says_what_was_checked(path: Path, tmp_path: Path, capsys: Captured) -> None:
    config = tmp_path / "other.toml"
    config.write_text('audit = { hmac_key = "k" }\n[contexts.c]\nkafka = { bootstrap_servers = "k:1" }\n')
    written(AuditSettings(hmac_key="k"))
    assert main(["--config", str(config), "audit", "verify"]) == 0
    assert "4 lines, the chain is intact; its end matches its head file; signatures are valid from line 1 on" in (
        capsys.readouterr().out
    )
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(path.read_bytes())
    assert main(["audit", "verify", str(copy)]) == 0, "no settings are needed"
    assert "its end was not checked, because it has no head file; no signatures were checked" in capsys.readouterr().out


def test_a_statement_that_is_no_text_is_one_line(path: Path, tmp_path: Path, capsys: Captured) -> None:
    config = tmp_path / "dataops.toml"
    config.write_text('[contexts.c]\ntrino = { url = "http://127.0.0.1:1" }\n')
    assert main(["--config", str(config), "sql", "SELECT \udcff"]) == 2
    err = capsys.readouterr().err
    assert "the statement is not UTF-8" in err
    assert err.count("\n") == 1
