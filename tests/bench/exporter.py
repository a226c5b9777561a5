"""`make bench-exporter`: what a scrape of a large cluster costs, beside kminion and kafka_exporter.

One broker with 1,000 topics, 10,000 partitions and 200 groups; all exporters tell of each partition. Each one runs for
a minute of scrapes at the usual pace of Prometheus, for its CPU, and is then scraped again and again, for the times.
Peers are taken from the PATH; one that is not there is not measured, and the output says so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from tests.bench import end_cleanly
from tests.bench.broker import Broker, broker, fill

PORT_BASE = int(os.environ.get("DATAOPS_BENCH_PORT_BASE", "27500"))
INTERVAL = 15.0
"""Seconds between two scrapes while the CPU is measured."""
MEASURED = 60.0
SCRAPES = 30
READY_WITHIN = 120.0
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
OURS = "dataops-exporter"
SCAN_TIME = re.compile(r'^dataops_exporter_survey_timestamp_seconds\{survey="kafka"\} (\S+)', re.MULTILINE)


@dataclass(frozen=True)
class Contender:
    """An exporter that is measured.

    Attributes:
        name: Its name.
        argv: How it is started.
        url: Its metrics.
        ready: What a page of its metrics holds once all is told.
        env: Further environment variables.
    """

    name: str
    argv: Sequence[str]
    url: str
    ready: str
    env: Mapping[str, str] = field(default_factory=dict)


def contenders(kafka: Broker, folder: Path) -> Iterator[Contender]:
    """Yield what is measured: ours, and the peers that are there."""
    settings = folder / "dataops.toml"
    settings.write_text(
        f'refresh = 15\nprobe_timeout = 30\n[contexts.bench.kafka]\nbootstrap_servers = "{kafka.bootstrap}"\n'
        '[exporter]\nmax_series = 200000\n[exporter.topics]\ngranularity = "partition"\n'
        '[exporter.groups]\ngranularity = "partition"\n'
    )
    port = PORT_BASE + 1
    yield Contender(
        OURS,
        (sys.executable, "-m", "dataops_exporter", "--config", str(settings), "--port", str(port)),
        f"http://127.0.0.1:{port}/metrics",
        "dataops_kafka_group_partition_lag_records{",
    )
    if kminion := shutil.which("kminion"):
        config = folder / "kminion.yaml"
        config.write_text(
            json.dumps(  # JSON is YAML
                {
                    "logger": {"level": "error"},
                    "kafka": {"brokers": [kafka.bootstrap]},
                    "exporter": {"host": "127.0.0.1", "port": port + 1},
                    "minion": {
                        "consumerGroups": {"scrapeMode": "adminApi", "granularity": "partition"},
                        "topics": {"granularity": "partition"},
                        "logDirs": {"enabled": False},
                    },
                }
            )
        )
        yield Contender(
            "kminion",
            (kminion,),
            f"http://127.0.0.1:{port + 1}/metrics",
            "kminion_kafka_consumer_group_topic_partition_lag{",
            {"CONFIG_FILEPATH": str(config)},
        )
    if kafka_exporter := shutil.which("kafka_exporter"):
        yield Contender(
            "kafka_exporter",
            (kafka_exporter, f"--kafka.server={kafka.bootstrap}", f"--web.listen-address=127.0.0.1:{port + 2}"),
            f"http://127.0.0.1:{port + 2}/metrics",
            "kafka_consumergroup_lag{",
        )


@contextmanager
def running(contender: Contender, folder: Path) -> Iterator[psutil.Process]:
    """Start an exporter, wait until it tells all, and stop it at the end."""
    with (folder / f"{contender.name}.log").open("w") as log:
        process = subprocess.Popen(
            contender.argv, env={**os.environ, **contender.env}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + READY_WITHIN
        while True:
            try:
                if contender.ready in scrape(contender.url)[1]:
                    break
            except OSError:
                pass  # not yet
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{contender.name} tells nothing:\n{(folder / f'{contender.name}.log').read_text()}")
            time.sleep(0.5)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def scrape(url: str) -> tuple[float, str]:
    """Return how long a scrape took in seconds, and its body."""
    request = urllib.request.Request(url, headers={"Accept": ACCEPT})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = answer.read()
    return time.perf_counter() - began, body.decode()


def measure(contender: Contender, folder: Path) -> dict[str, Any]:
    """Return the figures of one exporter."""
    with running(contender, folder) as process:
        before, began = process.cpu_times(), time.monotonic()
        while (left := began + MEASURED - time.monotonic()) > 0:
            _, body = scrape(contender.url)
            time.sleep(max(0.0, min(left, INTERVAL)))
        after, minutes = process.cpu_times(), (time.monotonic() - began) / 60
        times, ages = [], []
        for _ in range(SCRAPES):
            took, body = scrape(contender.url)
            times.append(took)
            if surveyed := SCAN_TIME.search(body):
                ages.append(datetime.now(UTC).timestamp() - float(surveyed[1]))
            time.sleep(0.2)
        cpu = (after.user + after.system) - (before.user + before.system)
        return {
            "series": sum(not line.startswith("#") for line in body.splitlines()),
            "bytes": len(body),
            "scrape_p50_ms": round(statistics.median(times) * 1000, 1),
            "scrape_p99_ms": round(max(times) * 1000, 1),
            "cpu_seconds_per_minute": round(cpu / minutes, 2),
            "memory_mb": round(process.memory_full_info().uss / 1e6, 1),
            "data_age_s_max": round(max(ages), 1) if ages else 0.0,
        }


def ratios(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return ours over theirs: below 1 is better than they."""
    ours = figures[OURS]
    return {
        f"{ours_key} / {theirs_key} of {name}": round(ours[ours_key] / theirs[theirs_key], 3)
        for name, theirs in figures.items()
        if name != OURS
        for ours_key, theirs_key in (
            ("scrape_p99_ms", "scrape_p50_ms"),
            ("cpu_seconds_per_minute", "cpu_seconds_per_minute"),
            ("memory_mb", "memory_mb"),
        )
        if theirs[theirs_key]
    }


def main() -> int:
    """Measure, and write the figures as JSON."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--topics", type=int, default=1_000)
    options.add_argument("--partitions", type=int, default=10, help="of each topic")
    options.add_argument("--groups", type=int, default=200)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary, broker(PORT_BASE) as kafka:
        folder = Path(temporary)
        began = time.monotonic()
        fill(kafka, topics=asked.topics, partitions=asked.partitions, groups=asked.groups)
        print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
        found: dict[str, dict[str, Any]] = {}
        for contender in contenders(kafka, folder):
            found[contender.name] = measure(contender, folder)
            print(f"{contender.name}: {found[contender.name]}", file=sys.stderr)
        missing = [name for name in ("kminion", "kafka_exporter") if name not in found]
        print(json.dumps({**found, "ratios": ratios(found), "not on the PATH": missing}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
