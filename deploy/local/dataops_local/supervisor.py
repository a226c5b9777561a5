"""supervisord: configuration, start, stop, and the states of its programs."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from dataops_local import guard
from dataops_local.errors import LocalError
from dataops_local.layout import Layout

STOP_SECONDS = 25
"""Seconds until a program that does not stop is killed."""
SPARE_SECONDS = 10
"""Additional seconds for supervisord itself."""
GONE = (OSError, xmlrpc.client.Error)
"""Errors if supervisord is unavailable."""
ALIVE = ("STARTING", "RUNNING", "BACKOFF", "STOPPING")


@dataclass(frozen=True)
class Program:
    """A process that supervisord keeps running.

    Attributes:
        name: Name of the program and of its log.
        argv: Program and arguments.
        env: Additional environment variables.
        cwd: Working folder; `None` is the state folder.
        port: Name of the port that it listens on, for display.
        restart: Whether it is restarted when it exits.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None = None
    port: str | None = None
    restart: bool = True


class Supervisor:
    """The supervisord of one stack."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.pid_file = layout.state / "supervisor.pid"

    def configure(self, programs: Iterable[Program]) -> Path:
        """Write the configuration; return its path."""
        folder = self.layout.dir("programs")
        pids = self.layout.dir("pids")
        sections = [
            "[unix_http_server]",
            f"file={_escaped(self.layout.socket)}",
            "chmod=0600",
            "[supervisord]",
            f"pidfile={_escaped(self.pid_file)}",
            f"logfile={_escaped(self.layout.log_dir / 'supervisor.log')}",
            "logfile_maxbytes=1MB",
            "logfile_backups=1",
            "minfds=1024",
            f"user={getpass.getuser()}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for program in programs:
            path = folder / f"{program.name}.json"
            path.touch(0o600)
            path.write_text(
                json.dumps(
                    {
                        "argv": program.argv,
                        "env": {**os.environ, **program.env},
                        "cwd": str(program.cwd or self.layout.state),
                        "pid_file": str(pids / program.name),
                    }
                )
            )
            sections += [
                f"[program:{program.name}]",
                f'command={_escaped(sys.executable)} {_escaped(guard.__file__)} "{_escaped(path)}"',
                "autostart=false",
                f"autorestart={'true' if program.restart else 'false'}",
                "startsecs=1",
                "startretries=100",
                f"stopwaitsecs={STOP_SECONDS}",
                "stopasgroup=true",
                "killasgroup=true",
                "redirect_stderr=true",
                f"stdout_logfile={_escaped(self.layout.log_dir / program.name)}.log",
                "stdout_logfile_maxbytes=10MB",
                "stdout_logfile_backups=1",
            ]
        conf = self.layout.state / "supervisord.conf"
        conf.write_text("\n".join(sections) + "\n")
        return conf

    def launch(self, conf: Path, *, tied: bool) -> subprocess.Popen[bytes] | None:
        """Start supervisord.

        Args:
            conf: Path of the configuration.
            tied: Whether it ends with this process; otherwise it runs in the background.

        Returns:
            The process if it is tied to this one; otherwise `None`.
        """
        argv = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(conf)]
        process = None
        if tied:
            program = self.layout.state / "supervisor.json"
            program.touch(0o600)
            program.chmod(0o600)  # also for a file of an earlier start: it contains the whole environment
            program.write_text(
                json.dumps(
                    {
                        "argv": [*argv, "--nodaemon", "--silent"],
                        "env": dict(os.environ),
                        "cwd": str(self.layout.state),
                        "pid_file": str(self.layout.dir("pids") / "supervisor"),
                    }
                )
            )
            process = subprocess.Popen(
                [sys.executable, guard.__file__, str(program)],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        else:
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, cwd=self.layout.state)
        deadline = time.monotonic() + 20
        while not self.is_running():
            if time.monotonic() > deadline:
                raise LocalError(f"supervisord did not start within 20s: see {self.layout.log_dir}/supervisor.log")
            time.sleep(0.05)
        return process

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        """Yield the `supervisor` namespace of a new connection; one connection serves one thread."""
        transport = SupervisorTransport("", "", f"unix://{self.layout.socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
            yield server.supervisor

    def is_running(self) -> bool:
        """Return whether supervisord responds."""
        try:
            with self._rpc() as rpc:
                return bool(rpc.getState()["statename"] == "RUNNING")
        except GONE:
            return False

    def states(self) -> dict[str, dict[str, Any]]:
        """Return supervisord's information by program (`statename`, `pid`, `start`, `now`, …); empty if it is down."""
        try:
            with self._rpc() as rpc:
                return {info["name"]: info for info in rpc.getAllProcessInfo()}
        except GONE:
            return {}

    def state(self, name: str) -> str:
        """Return the state of a program, e.g. `RUNNING`; raises OSError if supervisord is down."""
        with self._rpc() as rpc:
            return str(rpc.getProcessInfo(name)["statename"])

    def start(self, name: str) -> bool:
        """Start a program; return False if it was already running."""
        if self.state(name) in ALIVE:
            return False
        with self._rpc() as rpc:
            rpc.startProcess(name, False)  # do not wait
        return True

    def stop(self, name: str) -> None:
        """Stop a program and wait until it has exited; do nothing if it is not running."""
        if self.state(name) in ALIVE:
            with self._rpc() as rpc:
                rpc.stopProcess(name, True)  # wait

    def shutdown(self) -> None:
        """Stop supervisord and all programs, including programs that a crashed supervisord has left running."""
        try:
            with self._rpc() as rpc:
                rpc.shutdown()
        except xmlrpc.client.Fault:
            self._await_end()  # it is already stopping
        except GONE:
            pass
        else:
            self._await_end()
        self.sweep()

    def _await_end(self) -> None:
        try:
            supervisord = psutil.Process(int(self.pid_file.read_text()))
            psutil.wait_procs([supervisord], timeout=STOP_SECONDS + SPARE_SECONDS)
            _signal(supervisord, signal.SIGKILL)  # the machine is too busy; its programs end with it
        except (psutil.NoSuchProcess, OSError, ValueError):
            pass  # it has exited

    def sweep(self) -> list[str]:
        """Stop programs whose supervisor has exited; return their names."""
        left = []
        for path in self.layout.dir("pids").iterdir():
            process = self._ours(path)
            if process is not None:
                family = [process, *process.children(recursive=True)]
                for member in family:
                    _signal(member, signal.SIGTERM)
                _, stubborn = psutil.wait_procs(family, timeout=STOP_SECONDS)
                for member in stubborn:
                    _signal(member, signal.SIGKILL)
                left.append(path.name)
            path.unlink(missing_ok=True)
        return left

    def _ours(self, path: Path) -> psutil.Process | None:
        """Return the process of a pid file; `None` if another process has the number, which started after the file."""
        try:
            process = psutil.Process(int(path.read_text()))
            began = process.create_time()
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except (psutil.Error, OSError, ValueError):
            return None
        written = path.stat().st_mtime
        return process if -60 < began - written < 1 else None


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _escaped(path: Path | str) -> str:
    return str(path).replace("%", "%%")
