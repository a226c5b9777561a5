"""A Kerberos KDC on its own port, in its own folder, where MIT Kerberos is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.ports import free_port
from tests.systems.foreign import until

REALM = "EXAMPLE.TEST"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
CLIENT = """
[libdefaults]
  default_realm = {realm}
  dns_lookup_realm = false
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false
  rdns = false
  kdc_timesync = 0
  udp_preference_limit = 1
[realms]
  {realm} = {{
    kdc = 127.0.0.1:{port}
  }}
"""
SERVER = """
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {realm} = {{
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    acl_file = {folder}/acl
    max_life = 1h
  }}
[logging]
  kdc = FILE:{folder}/kdc.log
"""


class Kdc:
    """A realm with its KDC.

    Args:
        folder: Folder for its database and keytabs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        given = {"realm": REALM, "port": self.port, "folder": folder}
        self.config = folder / "krb5.conf"
        self.config.write_text(CLIENT.format(**given))
        (folder / "kdc.conf").write_text(SERVER.format(**given))
        self._environment = {
            **os.environ,
            "PATH": PATH,
            "KRB5_CONFIG": str(self.config),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
        }
        self.run("kdb5_util", "create", "-s", "-P", "a-master-key", "-r", REALM)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def run(self, *argv: str) -> None:
        """Run a program of Kerberos for this realm."""
        done = subprocess.run(argv, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def start(self, *before: str) -> None:
        """Start the KDC, by a program such as `faketime` if one is given."""
        argv = [*before, "krb5kdc", "-n", "-r", REALM]
        log = self.folder / "kdc.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                argv, env=self._environment, stdout=out, stderr=out, start_new_session=True
            )
        until(self._accepts, 20)

    def _accepts(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def stop(self) -> None:
        """Stop the KDC, and the program that started it."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def add(self, principal: str) -> Path:
        """Create a principal, and return its keytab."""
        keytab = self.folder / f"{principal.replace('/', '-')}.keytab"
        self.run("kadmin.local", "-r", REALM, "-q", f"addprinc -randkey {principal}")
        self.run("kadmin.local", "-r", REALM, "-q", f"ktadd -k {keytab} {principal}")
        return keytab

    def change(self, *command: str) -> None:
        """Run a command of kadmin."""
        self.run("kadmin.local", "-r", REALM, "-q", " ".join(command))

    def sign_in(self, keytab: Path, principal: str, cache: Path, *options: str) -> None:
        """Write a ticket into a credential cache, as kinit does."""
        self.run("kinit", *options, "-k", "-t", str(keytab), "-c", str(cache), principal)


def installed() -> bool:
    """Return whether MIT Kerberos is installed."""
    return all(shutil.which(name, path=PATH) for name in ("krb5kdc", "kadmin.local", "kdb5_util", "kinit"))
