"""Build the class caches of Kafka, Spark and Trino: run each once, and have Java save its classes at the end."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import trino
from confluent_kafka import KafkaException

from dataops_core.units import duration
from dataops_local import components, fetch, guard, kafka
from dataops_local.download import Progress
from dataops_local.errors import LocalError
from dataops_local.java import class_cache, spark_home
from dataops_local.layout import OFFSETS, Layout, cache_dir
from dataops_local.run import last_line
from dataops_local.supervisor import Program

TIMEOUT = 300.0
"""Seconds for one program, on a busy machine."""
POLL = 0.2
"""Seconds between two readiness checks."""
KEPT = 3
"""Class caches of each kind that stay: one for each installation of the project."""


def build(progress: Progress) -> None:
    """Build the missing caches; report a failure, because the stack works without them, and do not try it again."""
    if not _missing():
        return
    with fetch.locked(progress):
        kinds = _missing()  # another process may have built them
        if not kinds:
            return
        progress(f"saving the Java classes of {', '.join(kinds)} for faster starts: once, about a minute …")
        with (
            tempfile.TemporaryDirectory(prefix="dataops-classes-") as folder,
            ThreadPoolExecutor(len(kinds)) as beside,
        ):
            base = _free_base()
            started = [(kind, beside.submit(_failure, kind, Layout(Path(folder, kind), base))) for kind in kinds]
            try:
                for kind, building in started:
                    failure = building.result()
                    if failure is not None:
                        with suppress(OSError):  # a full disk
                            _failed(kind).write_text(f"{failure}\n")
                        progress(f"the class cache of {kind} was not built, so it starts more slowly: {failure}")
            except BaseException:
                _kill(os.getpid())
                raise


def _missing() -> list[str]:
    return [kind for kind in fetch.KINDS if not class_cache(kind).exists() and not _failed(kind).exists()]


def _failed(kind: str) -> Path:
    return class_cache(kind).with_suffix(".failed")


def _failure(kind: str, layout: Layout) -> str | None:
    """Build the cache of a kind; return why it cannot be built."""
    try:
        _build(kind, layout)
    except (LocalError, OSError) as error:
        return str(error)
    return None


def _build(kind: str, layout: Layout) -> None:
    """Run the program of a kind; at its end, Java saves its classes. Raises LocalError."""
    part = class_cache(kind).with_suffix(".part")
    part.unlink(missing_ok=True)
    save = f"-XX:AOTCacheOutput={part}"
    if kind == "spark":
        argv = (sys.executable, str(Path(__file__).with_name("spark_training.py")), str(layout.dir("warehouse")))
        env = {**components.job_env(layout), "JAVA_HOME": str(spark_home(layout, [save]))}
        with _running(layout, Program(kind, argv, env)) as process:
            process.wait(TIMEOUT)
    else:
        (program,) = (each for each in components.programs(layout) if each.name == kind)
        if kind == "kafka":
            kafka.format_kafka(layout)
        java, *arguments = program.argv
        with _running(layout, replace(program, argv=(java, save, *arguments))) as process:
            _use(process, USES[kind], layout)
            process.terminate()
            process.wait(TIMEOUT)
    if not part.exists():
        raise LocalError(f"Java saved nothing: {last_line(layout.log_dir / f'{kind}.log')}")
    part.replace(class_cache(kind))
    _drop_old(kind)


def _drop_old(kind: str) -> None:
    """Delete the oldest caches of a kind; an installation that is still used builds its cache again."""
    for old in sorted(cache_dir().glob(f"{kind}-*.aot"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink()


@contextmanager
def _running(layout: Layout, program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; at the end, kill what is left of it. Raises LocalError if it takes too long."""
    log = layout.log_dir / f"{program.name}.log"
    command = guard.command(layout.state, program.name, program.argv, program.env, program.cwd or layout.state)
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield process
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"it did not end within {error.timeout:.0f} s: {last_line(log)}") from None
    finally:
        _kill(process.pid)
        process.wait()


def _kill(pid: int) -> None:
    """Kill the processes that a process has started, and then itself unless it is this one."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        for each in first.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        if pid != os.getpid():
            first.kill()


def _use(process: subprocess.Popen[bytes], use: Callable[[Layout], object], layout: Layout) -> None:
    """Use a program as soon as it is ready; raises LocalError."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        with suppress(*NOT_YET):
            use(layout)
            return
        if process.poll() is not None:
            raise LocalError(f"it exited with code {process.returncode}")
        if time.monotonic() > deadline:
            raise LocalError(f"it was not ready within {duration(TIMEOUT)}")
        time.sleep(POLL)


def _query(layout: Layout) -> None:
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
        host="127.0.0.1", port=layout.port("trino"), user="local", request_timeout=60, max_attempts=1
    )
    with closing(connection):
        cursor = connection.cursor()
        cursor.execute("SELECT name, count(*) FROM tpch.tiny.nation GROUP BY name ORDER BY 2 DESC LIMIT 3")
        cursor.fetchall()


USES: Mapping[str, Callable[[Layout], object]] = {"kafka": kafka.create_topics, "trino": _query}
"""What is done with a program, so that its classes are loaded."""
NOT_YET = (OSError, KafkaException, trino.exceptions.Error)
"""Errors of a program that is still starting."""


def _free_base() -> int:
    """Return a port base at which no port of Kafka and Trino is in use."""
    offsets = [OFFSETS[name] for name in ("kafka", "kafka controller", "trino")]
    for _ in range(100):
        base = random.randrange(20_000, 32_000)  # noqa: S311 - below the ports that Linux gives to connections
        if all(_is_free(base + offset) for offset in offsets):
            return base
    raise LocalError("no free ports between 20000 and 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
