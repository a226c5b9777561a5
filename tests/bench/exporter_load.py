"""`make bench-exporter-load`: an exporter beside slow connections and wrong passwords.

200 connections send their request one byte a second or not at all, and come back when they are closed. 100 requests a
second have a wrong password, each another one. Meanwhile a user with the right password scrapes `/metrics`, and
`/-/healthy` is asked for. Prints the times of both as JSON.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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
USERS = {"prometheus": "the right one", "backup": "another one"}
COST = 10
EVERY = 0.1
"""Seconds between two scrapes, and between two looks at `/-/healthy`."""
PATIENCE = 30.0


@dataclass
class Load:
    """What is done to the exporter, and what came of it."""

    port: int
    tls: ssl.SSLContext | None
    until: float
    statuses: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.until

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return self.tls.wrap_socket(connection, server_hostname="127.0.0.1") if self.tls else connection

    def ask(self, what: str, path: str, user: str = "", password: str = "") -> None:
        """Ask for a page, and note status and time."""
        headers = {}
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        began = time.perf_counter()
        try:
            if self.tls:
                asked = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=self.tls)
            else:
                asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            asked.request("GET", path, headers=headers)
            answer = asked.getresponse()
            answer.read()
            status = str(answer.status)
            asked.close()
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
        with self.lock:
            self.statuses[f"{what} {status}"] += 1
            self.times.setdefault(what, []).append(time.perf_counter() - began)

    def slow(self, number: int) -> None:
        """Hold a connection for as long as it lasts, again and again."""
        while self.goes_on:
            with suppress(OSError):
                kind = number % 4
                # three of four get as far as the request; the fourth does not even shake hands
                connection = self.connect() if kind else socket.create_connection(("127.0.0.1", self.port), PATIENCE)
                with connection:
                    connection.settimeout(1.0)
                    if kind:
                        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: ")
                    while self.goes_on:
                        if kind > 1:
                            connection.sendall(b"a")
                        try:
                            if not connection.recv(1000):
                                break
                        except TimeoutError:
                            continue
            time.sleep(0.05)

    def regularly(self, every: float, what: str, path: str, user: str = "", password: str | None = None) -> None:
        number, due = 0, time.monotonic()
        while self.goes_on:
            number += 1
            wrong = f"wrong {threading.get_ident()} {number}"
            self.ask(what, path, user, wrong if password is None else password)
            due += every
            time.sleep(max(0.0, due - time.monotonic()))


@contextmanager
def exporter(folder: Path, *, tls: bool) -> Iterator[tuple[int, ssl.SSLContext | None, psutil.Process, Path]]:
    """Start an exporter with two users."""
    (folder / "dataops.toml").write_text(SETTINGS)
    hashes = {user: bcrypt.hashpw(word.encode(), bcrypt.gensalt(COST)).decode() for user, word in USERS.items()}
    web = "basic_auth_users:\n" + "".join(f"  {user}: {hashed}\n" for user, hashed in hashes.items())
    context = None
    if tls:
        ca = trustme.CA()
        certificate = ca.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        web += "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
        context = ssl.create_default_context()
        ca.configure_trust(context)
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
            yield port, context, psutil.Process(process.pid), log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def measure(port: int, tls: ssl.SSLContext | None, seconds: float, slow: int, wrong: int, warm: bool) -> Load:
    """Return the times under load."""
    load = Load(port, tls, time.monotonic() + seconds)
    user, password = "prometheus", USERS["prometheus"]
    if warm:
        load.ask("first scrape", "/metrics", user, password)
    threads = [threading.Thread(target=load.slow, args=(n,), daemon=True) for n in range(slow)]
    guessers = 20 if wrong else 0
    for number in range(guessers):
        name = ("prometheus", "nobody")[number % 2]
        how = (guessers / wrong, f"wrong password of {name}", "/metrics", name)
        threads.append(threading.Thread(target=load.regularly, args=how, daemon=True))
    for thread in threads:
        thread.start()
    time.sleep(min(3.0, seconds / 4))  # until all slow ones are there
    asking = [
        threading.Thread(target=load.regularly, args=(EVERY, "scrape", "/metrics", user, password), daemon=True),
        threading.Thread(target=load.regularly, args=(EVERY, "healthy", "/-/healthy", "", ""), daemon=True),
    ]
    for thread in asking:
        thread.start()
    for thread in (*asking, *threads):
        thread.join(seconds + 2 * PATIENCE)
    return load


def figures(load: Load) -> dict[str, Any]:
    """Return the times in milliseconds, and how often which status came."""
    shown: dict[str, Any] = {}
    for what, times in sorted(load.times.items()):
        ordered = sorted(times)
        shown[what] = {
            "requests": len(ordered),
            "p50_ms": round(statistics.median(ordered) * 1000, 1),
            "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000, 1),
            "max_ms": round(ordered[-1] * 1000, 1),
        }
    return {**shown, "statuses": dict(sorted(load.statuses.items()))}


def main() -> int:
    """Measure without load and with it, over HTTP and over TLS, and write the figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--slow", type=int, default=200, help="slow connections at once")
    options.add_argument("--wrong", type=int, default=100, help="wrong passwords a second")
    options.add_argument("--cold", action="store_true", help="let the first right password come under load")
    asked = options.parse_args()
    found: dict[str, Any] = {"slow connections": asked.slow, "wrong passwords a second": asked.wrong}
    for scheme in ("http", "https"):
        with tempfile.TemporaryDirectory() as folder, exporter(Path(folder), tls=scheme == "https") as running:
            port, tls, process, log = running
            quiet = figures(measure(port, tls, 10.0, 0, 0, warm=True))
            before, began = process.cpu_times(), time.monotonic()
            loaded = figures(measure(port, tls, asked.seconds, asked.slow, asked.wrong, warm=not asked.cold))
            after, took = process.cpu_times(), time.monotonic() - began
            cpu = (after.user + after.system) - (before.user + before.system)
            said = [line for line in log.read_text().splitlines() if "listening on" not in line]
            found[scheme] = {
                "quiet": quiet,
                "loaded": loaded,
                "cores": round(cpu / took, 2),
                "memory_mb": round(process.memory_full_info().uss / 1e6, 1),
                "lines on standard error": len(said),
                "tracebacks": sum("Traceback" in line for line in said),
            }
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
