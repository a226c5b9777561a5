"""`make bench-exporter-load`: an exporter beside slow connections and wrong passwords.

200 connections send their request one byte a second or not at all, and come back when they are closed. 100 requests a
second have a wrong password, each another one. Meanwhile a user with the right password scrapes `/metrics`, and
`/-/healthy` is asked for. Prints the times of both as JSON. Each of the three is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import bcrypt
import psutil
import trustme

SETTINGS = """
[contexts.bench.kafka]
bootstrap_servers = "127.0.0.1:9"
[contexts.bench.trino]
url = "http://127.0.0.1:9"
[pipelines.p]
context = "bench"
stages = [{ name = "view", kind = "trino_view", relation = "lake.s.o" }]
"""
USER, PASSWORD = "prometheus", "the right one"
COST = 10
EVERY = 0.1
"""Seconds between two scrapes, and between two requests for `/-/healthy`."""
PATIENCE = 30.0
SETTLED = 5.0
"""Seconds of load before anything is measured."""

Times = list[tuple[str, str, float]]
"""What was asked, what came, and after how many seconds."""


@dataclass(frozen=True)
class Target:
    """The exporter, as each process reaches it."""

    port: int
    ca: str | None

    def tls(self) -> ssl.SSLContext | None:
        return None if self.ca is None else ssl.create_default_context(cafile=self.ca)


async def connect(target: Target, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", target.port, ssl=tls), PATIENCE)


async def ask(target: Target, tls: ssl.SSLContext | None, path: str, credentials: str = "") -> tuple[str, float]:
    """Ask for a page; return its status, or the error, and the seconds that it took."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    if credentials:
        head += f"Authorization: Basic {base64.b64encode(credentials.encode()).decode()}\r\n"
    began = time.perf_counter()
    try:
        reader, writer = await connect(target, tls)
        try:
            writer.write(f"{head}\r\n".encode())
            answer = await asyncio.wait_for(reader.read(-1), PATIENCE)
        finally:
            writer.close()
        status = answer[9:12].decode() or "closed"
    except (OSError, TimeoutError) as error:
        status = type(error).__name__
    return status, time.perf_counter() - began


async def slowly(target: Target, tls: ssl.SSLContext | None, number: int, until: float) -> None:
    """Hold a connection for as long as it lasts, again and again."""
    kind = number % 4  # one of four sends nothing, not even a TLS handshake
    while time.time() < until:
        with suppress(OSError, TimeoutError):
            reader, writer = await connect(target, tls if kind else None)
            try:
                if kind:
                    writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: ")
                while time.time() < until and not reader.at_eof():
                    if kind > 1:
                        writer.write(b"a")
                        await writer.drain()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1000), 1.0)
            finally:
                writer.close()
        await asyncio.sleep(0.05)


async def slow(target: Target, until: float, number: int) -> Times:
    tls = target.tls()
    await asyncio.gather(*(slowly(target, tls, n, until) for n in range(number)))
    return []


async def regularly(until: float, every: float, question: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Ask again and again, also while earlier questions wait for their answers."""
    tasks, number, due = set(), 0, time.time()
    while due < until:
        number += 1
        tasks.add(asyncio.create_task(question(number)))
        due += every
        await asyncio.sleep(max(0.0, due - time.time()))
    await asyncio.gather(*tasks)


async def guess(target: Target, until: float, rate: float) -> Times:
    """Try wrong passwords, of a user that exists and one that does not."""
    times: Times = []
    tls = target.tls()

    async def once(number: int) -> None:
        user = (USER, "nobody")[number % 2]
        times.append((f"wrong password of {user}", *await ask(target, tls, "/metrics", f"{user}:wrong {number}")))

    await regularly(until, 1 / rate, once)
    return times


async def measured(target: Target, until: float, settled: float) -> Times:
    times: Times = []
    tls = target.tls()

    async def scrape(_: int) -> None:
        times.append(("scrape", *await ask(target, tls, "/metrics", f"{USER}:{PASSWORD}")))

    async def healthy(_: int) -> None:
        times.append(("healthy", *await ask(target, tls, "/-/healthy")))

    await asyncio.sleep(settled)
    await asyncio.gather(regularly(until, EVERY, scrape), regularly(until, EVERY, healthy))
    return times


def run(what: Callable[..., Coroutine[Any, Any, Times]], *arguments: Any) -> Times:
    return asyncio.run(what(*arguments))


@contextmanager
def exporter(folder: Path, *, tls: bool) -> Iterator[tuple[Target, psutil.Process, Path]]:
    """Start an exporter with two users."""
    (folder / "dataops.toml").write_text(SETTINGS)
    users = {USER: PASSWORD, "backup": "another one"}
    hashes = {user: bcrypt.hashpw(word.encode(), bcrypt.gensalt(COST)).decode() for user, word in users.items()}
    web = "basic_auth_users:\n" + "".join(f"  {user}: {hashed}\n" for user, hashed in hashes.items())
    if tls:
        ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        certificate = ca.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        ca.cert_pem.write_to_path(folder / "ca.pem")
        web += "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
    (folder / "web.yml").write_text(web)
    log = folder / "log"
    command = [sys.executable, "-m", "dataops_exporter", "--port", "0"]
    command += ["--config", str(folder / "dataops.toml"), "--web-config", str(folder / "web.yml")]
    with log.open("w") as file, subprocess.Popen(command, stderr=file, env=os.environ) as process:
        try:
            deadline = time.monotonic() + 60
            while "listening on" not in log.read_text():
                if time.monotonic() > deadline:
                    raise SystemExit(f"the exporter does not start:\n{log.read_text()}")
                time.sleep(0.1)
            port = int(log.read_text().split("listening on 127.0.0.1:")[1].split()[0])
            yield Target(port, str(folder / "ca.pem") if tls else None), psutil.Process(process.pid), log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def figures(times: Times) -> dict[str, Any]:
    """Return the times in milliseconds, and how often which status came."""
    shown: dict[str, Any] = {}
    for what in sorted({what for what, _, _ in times}):
        ordered = sorted(took for named, _, took in times if named == what)
        shown[what] = {
            "p50_ms": round(statistics.median(ordered) * 1000, 1),
            "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000, 1),
            "max_ms": round(ordered[-1] * 1000, 1),
            "statuses": dict(Counter(status for named, status, _ in times if named == what)),
        }
    return shown


def main() -> int:
    """Measure without load and with it, over HTTP and over TLS, and write the figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--slow", type=int, default=200, help="slow connections at once")
    options.add_argument("--wrong", type=float, default=100, help="wrong passwords a second")
    options.add_argument("--cold", action="store_true", help="let the first right password come under load")
    asked = options.parse_args()
    found: dict[str, Any] = {"slow connections": asked.slow, "wrong passwords a second": asked.wrong}
    pool = ProcessPoolExecutor(3, get_context("spawn"))
    for scheme in ("http", "https"):
        with tempfile.TemporaryDirectory() as folder, exporter(Path(folder), tls=scheme == "https") as running:
            target, process, log = running
            quiet = [] if asked.cold else run(measured, target, time.time() + 10.0, 0.0)
            until = time.time() + SETTLED + asked.seconds
            before, began = process.cpu_times(), time.monotonic()
            work = [
                pool.submit(run, slow, target, until, asked.slow),
                pool.submit(run, guess, target, until, asked.wrong),
                pool.submit(run, measured, target, until, SETTLED),
            ]
            times = [each for part in work for each in part.result()]
            after, took = process.cpu_times(), time.monotonic() - began
            said = [line for line in log.read_text().splitlines() if "listening on" not in line]
            found[scheme] = {
                "quiet": figures(quiet),
                "loaded": figures(times),
                "cores": round(((after.user + after.system) - (before.user + before.system)) / took, 2),
                "memory_mb": round(process.memory_full_info().uss / 1e6, 1),
                "lines on standard error": len(said),
            }
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
