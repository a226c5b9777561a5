"""The programs of the stack: how to start each, and when it is ready."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from dataops_local import fetch
from dataops_local.errors import LocalError
from dataops_local.java import cached_classes, spark_home
from dataops_local.kafka import kafka
from dataops_local.layout import AIRFLOW_VENV, ROOT, Layout
from dataops_local.run import SMALL_JVM, run_to_end
from dataops_local.supervisor import Program

SPEED_UP = 60
"""Simulated seconds per second."""
STATE_HOURS = 3
"""How long `detect_excursions` keeps the state of a silent logger; 180 hours of simulated time."""
AIRFLOW_USER = "operator"
TOOLS = ROOT / ".local" / "tools" / "bin"
"""Folder into which `make monitoring-tools` unpacks Prometheus."""
AIRFLOW_PARTS = {
    "airflow-api": ("api-server",),
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
}
AIRFLOW_HEALTH = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def programs(layout: Layout) -> tuple[Program, ...]:
    """Return all programs, in the order in which they stop, and write their configuration files."""
    results = [
        Program("simulator", _simulator(layout), job_env(layout), cwd=ROOT, restart=False),
        Program("land_readings", _job("land_readings"), job_env(layout), cwd=layout.state),
        # A few hundred readings in each batch: a second core would only be taken from the others.
        Program(
            "detect_excursions",
            _job("detect_excursions"),
            {**job_env(layout), "BOREAL_SPARK_MASTER": "local[1]"},
            cwd=layout.state,
        ),
        Program("exporter", _exporter(layout), {}, port="exporter"),
        *(_airflow(layout, name, arguments) for name, arguments in AIRFLOW_PARTS.items()),
        _trino(layout),
        kafka(layout),
        _store(layout),
    ]
    prometheus = shutil.which("prometheus", path=os.pathsep.join((os.environ["PATH"], str(TOOLS))))
    if prometheus:
        results.insert(0, _prometheus(layout, prometheus))
    return tuple(results)


def job_env(layout: Layout) -> dict[str, str]:
    """Return the environment variables of Boreal Bridge's jobs."""
    return {
        "BOREAL_KAFKA": f"127.0.0.1:{layout.port('kafka')}",
        "BOREAL_CATALOG_URI": layout.url("catalog"),
        "BOREAL_WAREHOUSE": "s3://lake",
        "BOREAL_CATALOG_CREDENTIAL": f"{layout.secret('s3-key')}:{layout.secret('s3-secret')}",
        "BOREAL_S3_ENDPOINT": layout.url("s3"),
        "BOREAL_S3_ACCESS_KEY": layout.secret("s3-key"),
        "BOREAL_S3_SECRET_KEY": layout.secret("s3-secret"),
        "BOREAL_S3_REGION": "us-east-1",
        "BOREAL_RAW": "s3://raw",
        "BOREAL_CHECKPOINTS": str(layout.checkpoints),
        "BOREAL_SPARK_MASTER": "local[2]",
        "BOREAL_SPARK_JARS": str(fetch.home("spark")),
        "BOREAL_STATE_HOURS": str(STATE_HOURS),
        "BOREAL_TRINO": layout.url("trino"),
        "BOREAL_PYTHON": sys.executable,
        "JAVA_HOME": str(spark_home(layout)),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def _job(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"dataops_pipeline.jobs.{name}")


def _simulator(layout: Layout) -> tuple[str, ...]:
    state = layout.dir("simulator") / "position.json"
    return (*_SIMULATOR, "run", "--speed-up", str(SPEED_UP), "--state", str(state))


_SIMULATOR = (sys.executable, "-m", "dataops_pipeline.simulator")


def _exporter(layout: Layout) -> tuple[str, ...]:
    port = str(layout.port("exporter"))
    return (sys.executable, "-m", "dataops_exporter", "--config", str(layout.config), "--port", port)


# The object store and the catalog


def _store(layout: Layout) -> Program:
    folder, sockets = layout.dir("store"), layout.socket.parent
    identity = {
        "name": "lake",
        "credentials": [{"accessKey": layout.secret("s3-key"), "secretKey": layout.secret("s3-secret")}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = layout.dir("secrets") / "s3.json"
    config.touch(0o600)
    config.write_text(json.dumps({"identities": [identity]}))
    short = layout.socket.stem
    ports = {
        "master.port": "store master",
        "master.port.grpc": "store master grpc",
        "volume.port": "store volume",
        "volume.port.grpc": "store volume grpc",
        "filer.port": "store filer",
        "filer.port.grpc": "store filer grpc",
        "admin.port": "store admin",
        "admin.port.grpc": "store admin grpc",
        "s3.port": "s3",
        "s3.port.grpc": "s3 grpc",
        "s3.port.iceberg": "catalog",
    }
    argv = (
        str(Path(sys.executable).parent / "weed"),
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",  # the default is all interfaces
        "-master.telemetry=false",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.lance=0",
        *(f"-{flag}={layout.port(name)}" for flag, name in ports.items()),
        f"-filer.localSocket={sockets / short}-filer.sock",
        f"-s3.localSocket={sockets / short}-s3.sock",
        f"-s3.config={config}",
        "-bucket=raw",
        "-tableBucket=lake",
    )
    env = {"HOME": str(folder), "TMPDIR": str(layout.dir("store", "tmp")), "GOMEMLIMIT": "600MiB"}
    return Program("store", argv, env, port="s3")


def store_ready(layout: Layout) -> bool:
    """Return whether the S3 store responds and the catalog accepts its credentials."""
    body = (
        f"grant_type=client_credentials&client_id={layout.secret('s3-key')}&client_secret={layout.secret('s3-secret')}"
    )
    token = _json(layout.url("catalog") + "/v1/oauth/tokens", body=body.encode())
    return bool(token.get("access_token"))


def upload_reference(layout: Layout) -> None:
    """Write the raw reference files to the object store."""
    run_to_end((*_SIMULATOR, "reference"), job_env(layout), layout.log_dir / "reference.log")


# Trino


_TRINO_MAIN = f"""\
// Trino publishes its main class only in its server archive.
public final class TrinoServer {{
    public static void main(String[] arguments) {{
        new io.trino.server.Server().start("{fetch.trino_version()}");
    }}
}}
"""


def _trino(layout: Layout) -> Program:
    folder = layout.dir("trino")
    for name in ("lib", "plugin"):
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(fetch.home("trino") / name)
    etc = layout.dir("trino", "etc", "catalog").parent
    key, secret = layout.secret("s3-key"), layout.secret("s3-secret")
    _properties(
        etc / "config.properties",
        {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "http-server.http.port": layout.port("trino"),
            "discovery.uri": layout.url("trino"),
            "query.max-memory": "400MB",
            "query.max-memory-per-node": "400MB",
            "memory.heap-headroom-per-node": "200MB",
            "task.concurrency": 2,
            "catalog.management": "static",
        },
    )
    _properties(etc / "log.properties", {"io.trino": "INFO"})
    _properties(etc / "catalog" / "tpch.properties", {"connector.name": "tpch"})
    _properties(
        etc / "catalog" / "lake.properties",
        {
            "connector.name": "iceberg",
            "iceberg.catalog.type": "rest",
            "iceberg.rest-catalog.uri": layout.url("catalog"),
            "iceberg.rest-catalog.warehouse": "s3://lake",
            "iceberg.rest-catalog.security": "OAUTH2",
            "iceberg.rest-catalog.oauth2.credential": f"{key}:{secret}",
            "iceberg.rest-catalog.oauth2.server-uri": layout.url("catalog") + "/v1/oauth/tokens",
            "iceberg.rest-catalog.vended-credentials-enabled": "false",
            "iceberg.unique-table-location": "true",
            # Trino's minimum is 7 days, but this stack runs for minutes or hours. Expiry is safe at any age, because
            # maintenance keeps the snapshots that jobs need. The minimum for orphan files is longer than any job may
            # take, because uncommitted files of a running job are orphans, too.
            "iceberg.expire-snapshots.min-retention": "0s",
            "iceberg.remove-orphan-files.min-retention": "1h",
            "fs.native-s3.enabled": "true",
            "s3.endpoint": layout.url("s3"),
            "s3.region": "us-east-1",
            "s3.path-style-access": "true",
            "s3.aws-access-key": key,
            "s3.aws-secret-key": secret,
        },
    )
    argv = (
        layout.java,
        *SMALL_JVM,
        *cached_classes("trino"),
        "-Xmx1G",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:ReservedCodeCacheSize=256M",
        "-XX:+UnlockDiagnosticVMOptions",
        "-XX:+EnableDynamicAgentLoading",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-Djdk.attach.allowAttachSelf=true",
        "-Djdk.nio.maxCachedBufferSize=2000000",
        "-Dfile.encoding=UTF-8",
        "-Dconfig=etc/config.properties",
        "-Dlog.levels-file=etc/log.properties",
        "-Dnode.id=local",
        "-Dnode.environment=local",
        f"-Dnode.data-dir={layout.dir('trino', 'data')}",
        "-Dnode.internal-address=127.0.0.1",
        "-Dnode.bind-ip=127.0.0.1",
        "-cp",
        ":".join(("lib/*", *map(str, fetch.java_compiler()))),
        "org.codehaus.janino.SimpleCompiler",
        str(folder / "TrinoServer.java"),
        "TrinoServer",
    )
    (folder / "TrinoServer.java").write_text(_TRINO_MAIN)
    return Program("trino", argv, {}, cwd=folder, port="trino")


def trino_ready(layout: Layout) -> bool:
    """Return whether Trino has finished starting."""
    return _json(layout.url("trino") + "/v1/info").get("starting") is False


# Airflow


def airflow_env(layout: Layout) -> dict[str, str]:
    """Return Airflow's settings as environment variables."""
    home = layout.dir("airflow")
    passwords = layout.dir("secrets") / "airflow-passwords.json"
    passwords.touch(0o600)
    passwords.write_text(json.dumps({AIRFLOW_USER: layout.secret("airflow-password")}))
    settings = {
        "CORE__DAGS_FOLDER": ROOT / "pipeline" / "dags",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 1,  # one Spark job at a time, in addition to the streams
        "CORE__EXECUTION_API_SERVER_URL": layout.url("airflow") + "/execution/",
        "CORE__INTERNAL_API_SECRET_KEY": layout.secret("airflow-internal"),
        "CORE__FERNET_KEY": "",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{AIRFLOW_USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
        "API__HOST": "127.0.0.1",
        "API__PORT": layout.port("airflow"),
        "API__WORKERS": 1,
        "API__BASE_URL": layout.url("airflow"),
        "API__SECRET_KEY": layout.secret("airflow-api"),
        "API_AUTH__JWT_SECRET": layout.secret("airflow-jwt"),
        "DAG_PROCESSOR__REFRESH_INTERVAL": 60,
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 60,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": home / "bundles",
        "LOGGING__BASE_LOG_FOLDER": home / "logs",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    named = {f"AIRFLOW__{key}": str(value) for key, value in settings.items()}
    return {**job_env(layout), **named, "AIRFLOW_HOME": str(home), "NO_COLOR": "1"}


def _airflow(layout: Layout, name: str, arguments: tuple[str, ...]) -> Program:
    port = "airflow" if name == "airflow-api" else None
    return Program(name, (str(AIRFLOW_VENV / "bin" / "airflow"), *arguments), airflow_env(layout), port=port)


def migrate_airflow(layout: Layout) -> None:
    """Create or migrate Airflow's database."""
    program = AIRFLOW_VENV / "bin" / "airflow"
    if not program.exists():
        raise LocalError(f"Airflow is not installed in {AIRFLOW_VENV}: run `make install`")
    run_to_end((str(program), "db", "migrate"), airflow_env(layout), layout.log_dir / "airflow-migrate.log")


def make_pool(layout: Layout) -> None:
    """Create the pool that serialises the writers of `silver.readings`."""
    arguments = ("pools", "set", "silver_readings", "1", "one writer at a time")
    run_to_end(
        (str(AIRFLOW_VENV / "bin" / "airflow"), *arguments), airflow_env(layout), layout.log_dir / "airflow-pools.log"
    )


def airflow_ready(layout: Layout) -> bool:
    """Return whether all four components of Airflow have a heartbeat, and the DAGs can be triggered."""
    url = layout.url("airflow")
    health = _json(f"{url}/api/v2/monitor/health")
    if not all(health.get(part, {}).get("status") == "healthy" for part in AIRFLOW_HEALTH):
        return False
    token = _airflow_token(url, layout.secret("airflow-password"))
    return bool(_json(f"{url}/api/v2/dags?limit=1", token=token)["total_entries"])


@cache
def _airflow_token(url: str, password: str) -> str:
    login = {"username": AIRFLOW_USER, "password": password}
    return str(_json(f"{url}/auth/token", json.dumps(login).encode())["access_token"])


# Prometheus


def _prometheus(layout: Layout, program: str) -> Program:
    folder = layout.dir("prometheus")
    target = f"127.0.0.1:{layout.port('exporter')}"
    (folder / "prometheus.yml").write_text(
        f"global:\n  scrape_interval: 15s\nrule_files: ['{ROOT / 'dashboards/alerts/rules.yml'}']\nscrape_configs:\n"
        f"  - job_name: dataops\n    static_configs:\n      - targets: ['{target}']\n"
    )
    listen = f"127.0.0.1:{layout.port('prometheus')}"
    argv = (
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={listen}",
    )
    return Program("prometheus", argv, {}, port="prometheus")


def http_ready(url: str) -> bool:
    """Return whether a web server responds with HTTP 200."""
    with _open(url) as answer:
        return bool(answer.status == 200)


# Shared


@contextmanager
def _open(url: str, body: bytes | None = None, token: str | None = None) -> Iterator[Any]:
    kind = "application/json" if body is None or body.startswith(b"{") else "application/x-www-form-urlencoded"
    headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - our own address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        yield answer


def _json(url: str, body: bytes | None = None, token: str | None = None) -> dict[str, Any]:
    with _open(url, body, token) as answer:
        results: dict[str, Any] = json.load(answer)
        return results


def _properties(path: Path, values: dict[str, object]) -> None:
    path.touch(0o600)
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
