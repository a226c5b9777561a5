"""A PostgreSQL on its own port, in its own folder, where PostgreSQL is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.ports import free_port

OWNER, PASSWORD = "owner", "own3r"
NOBODY = "65534"
"""The user that PostgreSQL runs as if the tests run as root, which it refuses."""


def initdb_program() -> str | None:
    """Return the path of initdb, or `None` if PostgreSQL is not installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return shutil.which("initdb") or (str(programs[-1]) if programs else None)


class Postgres:
    """The folder of a database server, and the command that starts the server.

    Args:
        initdb: Path of initdb.
        settings: Settings of the server, `name=value`.
    """

    def __init__(self, initdb: str, *settings: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="dataops-postgres-"))  # pytest's own is closed to other users
        self.folder.chmod(0o755)
        root = os.geteuid() == 0
        # A change of the user clears the signal that a process gets when its parent ends.
        user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig=TERM")
        as_user = ("setpriv", *user) if root else ()
        data, password = self.folder / "data", self.folder / "password"
        data.mkdir(mode=0o700)
        password.write_text(PASSWORD)
        if root:
            os.chown(data, int(NOBODY), int(NOBODY))
        options = ["-D", str(data), "-U", OWNER, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "-N"]
        subprocess.run([*as_user, initdb, *options], check=True, capture_output=True, cwd=self.folder)
        server = str(Path(initdb).with_name("postgres"))
        own = (f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", *settings)
        self.argv = (*as_user, server, "-D", str(data), *(word for each in own for word in ("-c", each)))

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database for SQLAlchemy."""
        return f"postgresql+psycopg://{OWNER}:{PASSWORD}@{self.address}/{database}"

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)
