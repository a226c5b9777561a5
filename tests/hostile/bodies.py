"""Answers over HTTP that are well-formed, with a body that is not of the protocol; they join the misbehaviours."""

from __future__ import annotations

from tests.hostile.misbehaviours import MIB, WAYS, Way

__all__ = ["WAYS"]


def _body(name: str, body: bytes, *headers: str, tidy: tuple[str, ...] = ()) -> None:
    WAYS[f"body {name}"] = Way("body", lambda talk: talk.reply(body, *headers), tidy=frozenset(tidy))


LISTS = (
    *("alertmanager alerts", "alertmanager routed", "registry subjects", "trino queries"),
    *("spark history runs", "spark history outcome"),
)
CONSENTS = ("alertmanager post", "connect pause", "connect restart", "trino kill")
HTML = b"<!doctype html><html><body><form>Sign in</form></body></html>"
_body("empty", b"", tidy=CONSENTS)
_body("blank", b" \n", tidy=CONSENTS)
_body("{}", b"{}")
_body("[]", b"[]", tidy=LISTS)
_body("null", b"null")
_body("true", b"true")
_body("a number", b"7")
_body("a string", b'"OK"')
_body("[null]", b"[null]")
_body("[[]]", b"[[]]")
_body("[{}]", b"[{}]")
_body("[7]", b"[7]")
_body("data null", b'{"status": "success", "data": null}')
_body("data {}", b'{"status": "success", "data": {}}')
_body("data []", b'{"status": "success", "data": []}')
_body("an error", b'{"status": "error", "errorType": "x", "error": "no"}')
_body("HTML", HTML, "Content-Type: text/html")
_body("HTML as JSON", HTML)
_body("text", b"OK", "Content-Type: text/plain")
_body("XML", b"<?xml version='1.0'?><Error/>", "Content-Type: application/xml")
_body("NaN", b"NaN")
_body("Infinity", b'{"data": -Infinity}')
_body("1e999", b"1e999")
_body("many digits", b"1" * 100_000)
_body("deep lists", b"[" * 60_000)
_body("deep lists that close", b"[" * 60_000 + b"]" * 60_000)
_body("deep objects", b'{"a":' * 60_000 + b"1" + b"}" * 60_000)
_body("cut off", b'{"data": {"version": "3.')
_body("two values", b"{}{}")
_body("garbage behind", b"{} nonsense")
_body("single quotes", b"{'a': 1}")
_body("a comma too much", b"[1,]")
_body("invalid UTF-8", b'{"a": "\xff\xfe"}')
_body("a BOM", b"\xef\xbb\xbf{}")
_body("UTF-16", '{"a": 1}'.encode("utf-16"))
_body("half a surrogate", b'{"a": "\\ud800"}')
_body("control characters", b'{"a": "\x00\x1b[2J"}')
_body("the same key twice", b'{"data": 1, "data": 2}')
_body("many keys", b"{" + b",".join(b'"%d":0' % i for i in range(50_000)) + b"}")
_body("a long string", b'"' + b"x" * MIB + b'"')
