"""Airflow 2 with web server and scheduler on SQLite, in the environment that `make test-systems` installs."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
AIRFLOW = ROOT / ".local/airflow2-venv/bin/airflow"
STARTS = 300.0
"""Seconds that Airflow may take to start, on a busy machine."""
T = TypeVar("T")


def until(ask: Callable[[], T], within: float) -> T:
    """Return the first true answer; fails after that many seconds."""
    end = time.monotonic() + within
    while not (found := ask()):
        assert time.monotonic() < end, f"not within {within} s: {found!r}"
        time.sleep(1)
    return found


def healthy(url: str) -> bool:
    """Tell whether web server and scheduler are up."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/health", timeout=5) as answer:
            return bool(json.load(answer)["scheduler"]["status"] == "healthy")
    except OSError:
        return False


@contextmanager
def airflow2(home: Path, dags: Path) -> Iterator[str]:
    """Start Airflow 2 with the user `admin`, whose password is the name; yield its address.

    Args:
        home: Empty folder for its files.
        dags: Folder of the DAGs.
    """
    port = free_port()
    settings = {
        "API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__EXECUTOR": "SequentialExecutor",
        "CORE__FERNET_KEY": "",
        "CORE__LOAD_EXAMPLES": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "SCHEDULER__ALLOWED_RUN_ID_PATTERN": "^.+$",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "300",  # the executor sends no heartbeat while a task runs
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        "WEBSERVER__SECRET_KEY": "test",
        "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
    }
    path = f"{AIRFLOW.parent}:{os.environ['PATH']}"
    env = {**os.environ, "AIRFLOW_HOME": str(home), "HOME": str(home), "PATH": path, "OPENLINEAGE_DISABLED": "true"}
    env |= {f"AIRFLOW__{name}": value for name, value in settings.items()}
    started = []
    with (home / "out.txt").open("w") as out:

        def run(*arguments: str) -> None:
            subprocess.run([AIRFLOW, *arguments], env=env, stdout=out, stderr=out, check=True, timeout=STARTS)

        run("db", "migrate")
        person = ("-f", "A", "-l", "B", "-e", "admin@example.org")
        run("users", "create", "-u", "admin", "-p", "admin", "-r", "Admin", *person)
        for arguments in (("webserver", "-p", str(port), "--workers", "1"), ("scheduler", "--skip-serve-logs")):
            program = [str(AIRFLOW), *arguments]
            started.append(subprocess.Popen(program, env=env, stdout=out, stderr=out))
        try:
            address = f"http://127.0.0.1:{port}"
            until(lambda: healthy(address), STARTS)
            yield address
        finally:
            for each in started:
                # Its children ignore or outlive a SIGTERM, and some are in a process group of their own.
                children = psutil.Process(each.pid).children(recursive=True)
                each.kill()
                each.wait()
                for child in children:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
