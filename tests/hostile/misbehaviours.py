"""The ways in which `server.Server` misbehaves, by name."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.hostile.server import Misbehaviour, Talk

MIB = 2**20


@dataclass(frozen=True)
class Way:
    """One misbehaviour.

    Attributes:
        group: What kind it is.
        do: Does it.
        slow: Whether it ends at the deadline only.
        large: Whether it sends more than a client may keep.
        tls: Whether it is one of TLS.
        fine: Whether a client may answer: the answer is well-formed, if odd.
        tidy: Names of questions to which it is a right answer.
    """

    group: str
    do: Misbehaviour
    slow: bool = False
    large: bool = False
    tls: bool = False
    fine: bool = False
    tidy: frozenset[str] = frozenset()


WAYS: dict[str, Way] = {}


def way(group: str, name: str, **traits: bool) -> Callable[[Misbehaviour], Misbehaviour]:
    """Put a misbehaviour on the list."""

    def add(do: Misbehaviour) -> Misbehaviour:
        assert name not in WAYS
        WAYS[name] = Way(group, do, **traits)  # type: ignore[arg-type]
        return do

    return add


##### Silence, at each stage


@way("silence", "silence before TLS", slow=True, tls=True)
@way("silence", "silence before the status", slow=True)
def _silence(talk: Talk) -> None:
    talk.silence()


@way("silence", "silence within the status", slow=True)
def _silence_status(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 20")
    talk.silence()


@way("silence", "silence within the headers", slow=True)
def _silence_headers(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    talk.silence()


@way("silence", "silence after the headers", slow=True)
def _silence_body(talk: Talk) -> None:
    talk.head(length=100)
    talk.silence()


@way("silence", "silence within the body", slow=True)
def _silence_within(talk: Talk) -> None:
    talk.head(length=len(talk.good()) + 10)
    talk.send(talk.good())
    talk.silence()


@way("silence", "silence within a chunk's size", slow=True)
def _silence_size(talk: Talk) -> None:
    talk.head("Transfer-Encoding: chunked")
    talk.send(b"1")
    talk.silence()


@way("silence", "silence within a chunk", slow=True)
def _silence_chunk(talk: Talk) -> None:
    talk.head("Transfer-Encoding: chunked")
    talk.send(b"fff\r\n{")
    talk.silence()


@way("silence", "silence before the last chunk", slow=True)
def _silence_last(talk: Talk) -> None:
    talk.head("Transfer-Encoding: chunked")
    talk.send(b"%x\r\n%s\r\n" % (len(talk.good()) or 2, talk.good() or b"{}"))
    talk.silence()


@way("silence", "silence within gzip", slow=True)
def _silence_gzip(talk: Talk) -> None:
    talk.head("Content-Encoding: gzip", length=1000)
    talk.send(gzip.compress(talk.good())[:12])
    talk.silence()


##### Drips


@way("drip", "status drips", slow=True)
def _drip_status(talk: Talk) -> None:
    talk.drip(b"HTTP/1.1 200 " + b"O" * 10_000)


@way("drip", "headers drip", slow=True)
def _drip_headers(talk: Talk) -> None:
    talk.drip(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5000)


@way("drip", "100 Continue drips", slow=True)
def _drip_continue(talk: Talk) -> None:
    talk.forever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.02)


@way("drip", "body drips", slow=True)
def _drip_body(talk: Talk) -> None:
    talk.head(length=100_000)
    talk.drip(b" " * 100_000)


@way("drip", "body drips without a length", slow=True)
def _drip_open(talk: Talk) -> None:
    talk.head()
    talk.forever(b" ", 0.02)


@way("drip", "chunks drip", slow=True)
def _drip_chunks(talk: Talk) -> None:
    talk.head("Transfer-Encoding: chunked")
    talk.forever(b"1\r\n \r\n", 0.02)


@way("drip", "trailers drip", slow=True)
def _drip_trailers(talk: Talk) -> None:
    talk.head("Transfer-Encoding: chunked")
    talk.send(b"%x\r\n%s\r\n0\r\n" % (len(talk.good()) or 2, talk.good() or b"{}"))
    talk.forever(b"X: y\r\n", 0.02)


@way("drip", "gzip of nothing drips", slow=True)
def _drip_gzip(talk: Talk) -> None:
    talk.head("Content-Encoding: gzip")
    talk.forever(gzip.compress(b""), 0.02)


##### What has no end, or is too large


@way("endless", "endless status line", large=True)
def _endless_status(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 ")
    talk.forever(b"O" * 65536)


@way("endless", "endless header line", large=True)
def _endless_line(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\nX: ")
    talk.forever(b"y" * 65536)


@way("endless", "endless headers", large=True)
def _endless_headers(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\n")
    talk.forever(b"X: y\r\n" * 1000)


@way("endless", "endless 100 Continue", large=True)
def _endless_continue(talk: Talk) -> None:
    talk.forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


@way("endless", "large headers", large=True)
def _large_headers(talk: Talk) -> None:
    talk.head(*[f"X-{i}: {'y' * 60_000}" for i in range(90)], length=2)
    talk.send(b"{}")


@way("endless", "endless body", large=True)
def _endless_body(talk: Talk) -> None:
    talk.head()
    talk.forever(b" " * MIB)


@way("endless", "body of 600 MB", large=True)
def _600_mb(talk: Talk) -> None:
    talk.head(length=600 * MIB)
    for _ in range(600):
        talk.send(b" " * MIB)


@way("endless", "endless JSON list", large=True)
def _endless_list(talk: Talk) -> None:
    talk.head()
    talk.send(b"[{}")
    talk.forever(b",{}" * 100_000)


@way("endless", "endless chunks", large=True)
def _endless_chunks(talk: Talk) -> None:
    talk.head("Transfer-Encoding: chunked")
    talk.forever(b"10000\r\n" + b" " * 65536 + b"\r\n")


@way("endless", "endless chunk size", large=True)
def _endless_size(talk: Talk) -> None:
    talk.head("Transfer-Encoding: chunked")
    talk.forever(b"0" * 65536)


@way("endless", "endless trailers", large=True)
def _endless_trailers(talk: Talk) -> None:
    talk.head("Transfer-Encoding: chunked")
    talk.send(b"2\r\n{}\r\n0\r\n")
    talk.forever(b"X: y\r\n" * 1000)


def _zeros(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(b" " * MIB) for _ in range(size // MIB)), packer.flush()])


@way("endless", "gzip bomb", large=True)
def _gzip_bomb(talk: Talk) -> None:
    talk.reply(_zeros(600 * MIB), "Content-Encoding: gzip")


@way("endless", "gzip bomb within gzip", large=True)
def _double_bomb(talk: Talk) -> None:
    talk.reply(gzip.compress(_zeros(600 * MIB)), "Content-Encoding: gzip, gzip")


@way("endless", "deflate bomb", large=True)
def _deflate_bomb(talk: Talk) -> None:
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(b" " * MIB) for _ in range(200)), packer.flush()])
    talk.reply(packed, "Content-Encoding: deflate")


@way("endless", "endless gzip of nothing", large=True)
def _endless_gzip(talk: Talk) -> None:
    talk.head("Content-Encoding: gzip")
    talk.forever(gzip.compress(b"") * 1000)


##### Status lines


def _status(status: str, *headers: str, group: str = "status", fine: bool = False) -> None:
    def do(talk: Talk) -> None:
        talk.reply(json.dumps({"detail": "no", "error": {"message": "no"}}).encode(), *headers, status=status)

    way(group, f"status {status} {' '.join(headers)}".strip(), fine=fine)(do)


for code in (
    *("101 Switching", "103 Hints", "199 Odd", "203 Non-Authoritative", "204 No Content", "205 Reset", "206 Partial"),
    *("226 IM", "299 Odd", "300 Choices", "304 Not Modified", "305 Proxy", "306 Unused", "400 Bad", "402 Pay"),
    *("401 Who", "403 No", "404 Nowhere", "405 Method", "406 Not", "407 Proxy", "408 Late", "409 Conflict", "410 Gone"),
    *("413 Large", "418 Teapot", "421 Misdirected", "422 No", "426 Upgrade", "431 Headers", "451 Law", "500 Broken"),
    *("501 Not", "502 Bad Gateway", "503 Unavailable", "504 Late", "507 Full", "511 Sign in", "600 Odd", "999 Odd"),
):
    _status(code)
WAYS["status 204 No Content"] = replace(
    WAYS["status 204 No Content"], tidy=frozenset({"connect pause", "connect restart", "trino kill"})
)
_status("429 Slow down", "Retry-After: 1000000000")
_status("503 Unavailable", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT")
_status("401 Who", 'WWW-Authenticate: Basic realm="x", Bearer, Negotiate, Digest nonce="x"')
_status("407 Proxy", "Proxy-Authenticate: Basic")
for code in ("000 Zero", "1000 Odd", "-1 Odd", "20O Letter", "1e2 Odd", " "):
    _status(code)


def _raw(name: str, data: bytes, group: str = "garbage", *, fine: bool = False) -> None:
    way(group, name, fine=fine)(lambda talk: talk.send(data))


_raw("no answer", b"")
_raw("an empty line", b"\r\n\r\n")
_raw("HTTP/0.9", b'{"a": 1}\n')
_raw("HTTP/2 settings", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18)
_raw("HTTP/3.0", b"HTTP/3.0 200 OK\r\n\r\n{}")
_raw("ICY", b"ICY 200 OK\r\n\r\n{}")
_raw("SSH", b"SSH-2.0-OpenSSH_9.0\r\n")
_raw("bytes", bytes(range(256)) * 8)
_raw("NULs", b"\x00" * 4096)
_raw("a header without a name", b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\n{}")
_raw("a header without a colon", b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\n{}")
_raw("a folded header", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}")
_raw("escapes in the status", b"HTTP/1.1 500 \x1b[2J\x1b]0;x\x07\r\nContent-Length: 2\r\n\r\n{}")
_raw("escapes in a header", b"HTTP/1.1 500 No\r\nX: \x1b[2J\r\nContent-Length: 2\r\n\r\n{}")


@way("garbage", "reset before the answer")
def _reset(talk: Talk) -> None:
    talk.reset()


@way("garbage", "reset within the body")
def _reset_within(talk: Talk) -> None:
    talk.head(length=1000)
    talk.send(b"{")
    talk.reset()


##### Lengths and encodings


def _length(name: str, *headers: str, body: bytes = b"{}", group: str = "length", fine: bool = False) -> None:
    def do(talk: Talk) -> None:
        talk.head(*headers)
        talk.send(body)

    way(group, name, fine=fine)(do)


_length("length too long", "Content-Length: 1000")
_length("length too short", "Content-Length: 1")
_length("length negative", "Content-Length: -1")
_length("length no number", "Content-Length: NaN")
_length("length of 10^30", f"Content-Length: {10**30}")
_length("two lengths", "Content-Length: 2", "Content-Length: 5")
_length("length with a plus", "Content-Length: +2")
_length("length and chunks", "Content-Length: 2", "Transfer-Encoding: chunked")
_length("chunks that are none", "Transfer-Encoding: chunked", body=b"nonsense\r\n")
_length("chunk of negative size", "Transfer-Encoding: chunked", body=b"-2\r\n{}\r\n0\r\n\r\n")
_length("chunk of a huge size", "Transfer-Encoding: chunked", body=b"f" * 40 + b"\r\n{}")
_length("chunk that ends early", "Transfer-Encoding: chunked", body=b"ff\r\n{}\r\n0\r\n\r\n")
_length("chunks without the last", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n")
_length("chunk size with spaces", "Transfer-Encoding: chunked", body=b" 2 \r\n{}\r\n0\r\n\r\n")
_length("transfer encoding unknown", "Transfer-Encoding: rot13")
_length("gzip that is none", "Content-Encoding: gzip")
_length("gzip cut off", "Content-Encoding: gzip", body=gzip.compress(b"{}" * 100)[:20])
_length("gzip with garbage behind", "Content-Encoding: gzip", body=gzip.compress(b"{}") + b"garbage")
_length("gzip with a wrong checksum", "Content-Encoding: gzip", body=gzip.compress(b"{}")[:-8] + b"\x00" * 8)
_length("deflate that is none", "Content-Encoding: deflate")
_length("zstd that is none", "Content-Encoding: zstd", body=b"\x28\xb5\x2f\xfd nonsense")
_length("br that is none", "Content-Encoding: br", body=b"nonsense")
_length("encoding unknown", "Content-Encoding: rot13")
_length("twenty encodings", "Content-Encoding: " + ", ".join(["gzip"] * 20))
_length("charset unknown", "Content-Type: application/json; charset=rot13")
_length("charset UTF-7", "Content-Type: application/json; charset=utf-7", body=b"+AHsAfQ-")


##### Redirects


def _redirect(name: str, location: str, status: str, *, fine: bool = False) -> None:
    def do(talk: Talk) -> None:
        target = location.format(elsewhere=talk.elsewhere, base=talk.base, host=talk.base.partition("//")[2])
        talk.reply(b"{}", f"Location: {target}", status=f"{status} Moved")

    way("redirect", f"redirect {status} {name}", fine=fine)(do)


for code in ("301", "302", "303", "307", "308"):
    _redirect("elsewhere", "http://{elsewhere}/x", code)
    _redirect("elsewhere by TLS", "https://{elsewhere}/x", code)
    _redirect("in circles", "{base}/again", code)
_redirect("without a scheme", "//{elsewhere}/x", "302")
_redirect("with a user", "http://{host}@{elsewhere}/x", "302")
_redirect("with a backslash", "http://{host}\\@{elsewhere}/x", "302")
_redirect("with a backslash first", "/\\{elsewhere}/x", "302")
_redirect("to a name that begins alike", "http://{host}.example.invalid/x", "302")
_redirect("to a file", "file:///etc/passwd", "302")
_redirect("to a script", "javascript:alert(1)", "302")
_redirect("to nothing", "", "302")
_redirect("to an odd port", "http://127.0.0.1:99999/x", "302")
_redirect("with escapes", "http://\x1b[2J{elsewhere}/x", "302")
_redirect("of 60 KB", "http://{elsewhere}/" + "x" * 60_000, "302")
_redirect("with 300 Choices", "http://{elsewhere}/x", "300")
_redirect("with 201 Created", "http://{elsewhere}/x", "201")


@way("redirect", "refresh and link elsewhere")
def _refresh(talk: Talk) -> None:
    there = f"http://{talk.elsewhere}/x"
    talk.reply(b"<html>", f"Refresh: 0; url={there}", f"Link: <{there}>; rel=next", "Content-Type: text/html")
