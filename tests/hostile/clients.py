"""Every question that a client of ours asks over HTTP, with credentials that must stay with whom they are for."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme

from dataops_core.config import OauthSettings, TlsSettings, WebSettings
from dataops_core.errors import BadAnswer
from dataops_core.systems.airflow import runs
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.systems.clients import Clients
from dataops_core.systems.connect.client import ConnectClient
from dataops_core.systems.connect.requests import Change
from dataops_core.systems.connect.settings import ConnectSettings
from dataops_core.systems.dbt.api import ArtifactsApi
from dataops_core.systems.dbt.client import DbtClient
from dataops_core.systems.dbt.settings import DbtSettings
from dataops_core.systems.flink.client import FlinkClient
from dataops_core.systems.flink.responses import Job
from dataops_core.systems.flink.settings import FlinkSettings
from dataops_core.systems.http import SYSTEM as HTTP
from dataops_core.systems.http.client import HttpClient
from dataops_core.systems.http.settings import HttpDocumentStage, HttpSettings
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.settings import CatalogSettings
from dataops_core.systems.kafka.schema_registry import SchemaRegistry
from dataops_core.systems.kafka.settings import SchemaRegistrySettings
from dataops_core.systems.kafka.subjects import subject_schema, subjects
from dataops_core.systems.prometheus import SYSTEM as PROMETHEUS
from dataops_core.systems.prometheus.alerts import AlertsClient
from dataops_core.systems.prometheus.client import AlertmanagerClient, PrometheusClient
from dataops_core.systems.prometheus.settings import AlertsSettings, PrometheusQueryStage
from dataops_core.systems.spark.applications import Run
from dataops_core.systems.spark.history import HistoryClient
from dataops_core.systems.spark.settings import SparkHistorySettings
from dataops_core.systems.spark.ui import SparkUi
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.settings import TrinoSettings
from dataops_core.transport.oauth import OauthToken

SECRET = "S3CR3T"
ACCESS_KEY = "OURKEYID"
NOW = datetime(2026, 1, 5, tzinfo=UTC)

Question = Callable[[str, float], Any]
"""Asks the server at an address, with a timeout in seconds."""


# created by the import, not by the first caller: questions are asked by several threads
_CA = trustme.CA(key_type=trustme.KeyType.ECDSA)
CA_FILE = Path(tempfile.mkdtemp(prefix="hostile-")) / "ca.pem"
"""The certificate authority of all servers here."""
_CA.cert_pem.write_to_path(str(CA_FILE))
SERVER_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
"""The TLS of all servers here."""
_CA.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(SERVER_TLS)


def trino(url: str, timeout: float) -> TrinoClient:
    tls = TlsSettings(ca_file=str(CA_FILE)) if url.startswith("https") else None
    return TrinoClient(TrinoSettings(url=url, token=SECRET, tls=tls), timeout)


def oauth(url: str, timeout: float) -> OauthToken:
    settings = OauthSettings(token_url=f"{url}/oauth/token", client_id="id", client_secret=SECRET)
    return OauthToken(settings, "trino.oauth", timeout)


def airflow(url: str, timeout: float) -> AirflowClient:
    return AirflowClient(AirflowSettings(url=url, token=SECRET), timeout)


def airflow_login(url: str, timeout: float) -> AirflowClient:
    return AirflowClient(AirflowSettings(url=url, username="u", password=SECRET), timeout)


def airflow2(url: str, timeout: float) -> AirflowClient:
    """Return a client that has found out that it is Airflow 2."""
    client = AirflowClient(AirflowSettings(url=url, username="u", password=SECRET), timeout)
    client._connection.version = "v1"
    return client


def catalog(url: str, timeout: float, **more: str) -> CatalogClient:
    properties = {"type": "rest", "uri": url, "token": SECRET, "s3.endpoint": "http://127.0.0.1:9", **STATIC, **more}
    return CatalogClient("lake", CatalogSettings.model_validate({"properties": properties}), timeout)


def catalog_oauth(url: str, timeout: float, **more: str) -> CatalogClient:
    properties = {"type": "rest", "uri": url, "credential": f"id:{SECRET}", **more}
    return CatalogClient("lake", CatalogSettings.model_validate({"properties": properties}), timeout)


STATIC = {"s3.access-key-id": ACCESS_KEY, "s3.secret-access-key": SECRET, "s3.region": "us-east-1"}


def alerts(name: str, url: str, timeout: float) -> AlertsClient:
    return AlertsClient(name, AlertsSettings(url=url, token=SECRET), timeout)


def connect(url: str, timeout: float) -> ConnectClient:
    return ConnectClient("connect", ConnectSettings(url=url, token=SECRET), timeout)


def connectors(url: str, timeout: float) -> object:
    found = connect(url, timeout).connectors()
    if not found:
        raise BadAnswer(f"connect {url}: `{{}}` is what a cluster without connectors answers")
    return found


def dbt(url: str, timeout: float) -> DbtClient:
    location = f"{url}/api/v2/accounts/1/jobs/7/artifacts/"
    return DbtClient("dbt", DbtSettings(location=location, token=SECRET), timeout)


def artifacts(url: str, timeout: float) -> object:
    """Ask for the artifacts without asking for the runs before them."""
    client = dbt(url, timeout)
    assert isinstance(client._store, ArtifactsApi)
    client._store._newest_runs = tuple  # type: ignore[method-assign]
    project = client.project()
    if project.unreadable or project.manifest is None:
        raise BadAnswer("; ".join(project.unreadable.values()) or "there is no manifest.json")
    return project


def flink(url: str, timeout: float) -> FlinkClient:
    return FlinkClient("flink", FlinkSettings(url=url, token=SECRET), timeout)


def spark_history(url: str, timeout: float) -> HistoryClient:
    return HistoryClient("history", SparkHistorySettings(url=url, token=SECRET), timeout)


def document(url: str, timeout: float) -> object:
    settings = HttpSettings(url=url, token=SECRET, headers={"X-Api-Key": SECRET})
    wanted = {"name": "s", "kind": "http_document", "path": "/status", "progress_time": "at", "status": "state"}
    stage = HttpDocumentStage.model_validate({**wanted, "status_ok": ["UP"]})
    return HTTP.stage_kinds[0].observe(stage, Clients(timeout=timeout, http=HttpClient("http", settings, timeout)))


def measured(url: str, timeout: float) -> object:
    stage = PrometheusQueryStage(name="s", kind="prometheus_query", progress_time="up", status="up", status_ok=("1",))
    return PROMETHEUS.stage_kinds[0].observe(
        stage, Clients(timeout=timeout, prometheus=alerts("prometheus", url, timeout))
    )


def web(url: str) -> WebSettings:
    return WebSettings(url=url, username="u", password=SECRET)


def _task() -> runs.TaskInstance:
    return runs.TaskInstance("t", -1, "failed", None, 1, 1, None, None, None)


def over_tls(name: str) -> bool:
    """Tell whether a question is asked over TLS: Trino's driver shows no credentials without."""
    return name.startswith("trino")


SPARK_RUN = Run("app-1", None, "a", completed=True, started_at=NOW, ended_at=NOW)
FLINK_JOB = Job("j", "j", "RUNNING", None, None, 1, 1)
QUESTIONS: dict[str, Question] = {
    "trino info": lambda url, t: trino(url, t).info(),
    "trino query": lambda url, t: trino(url, t).fetch("SELECT 1", 2 * t),
    "trino queries": lambda url, t: trino(url, t).queries(),
    "trino detail": lambda url, t: trino(url, t).query_detail("20260105_000000_00000_aaaaa"),
    "trino kill": lambda url, t: trino(url, t).kill("20260105_000000_00000_aaaaa", "why"),
    "oauth token": lambda url, t: oauth(url, t).current(),
    "airflow health": lambda url, t: airflow(url, t).health(),
    "airflow dags": lambda url, t: airflow(url, t).dags(),
    "airflow assets": lambda url, t: airflow(url, t).assets(),
    "airflow dag": lambda url, t: airflow(url, t).dag("d"),
    "airflow runs": lambda url, t: airflow(url, t).runs("d"),
    "airflow pools": lambda url, t: airflow(url, t).pools(),
    "airflow files": lambda url, t: airflow(url, t).failed_files(),
    "airflow tasks": lambda url, t: runs.task_instances(airflow(url, t), "d", "r"),
    "airflow params": lambda url, t: runs.params(airflow(url, t), "d"),
    "airflow log": lambda url, t: runs.log(airflow(url, t), "d", "r", _task()),
    "airflow trigger": lambda url, t: airflow(url, t).trigger("d", {}),
    "airflow pause": lambda url, t: runs.set_paused(airflow(url, t), "d", paused=True),
    "airflow token": lambda url, t: airflow_login(url, t).health(),
    "airflow 2 health": lambda url, t: airflow2(url, t).health(),
    "airflow 2 dags": lambda url, t: airflow2(url, t).dags(),
    "airflow 2 assets": lambda url, t: airflow2(url, t).assets(),
    "airflow 2 dag": lambda url, t: airflow2(url, t).dag("d"),
    "airflow 2 runs": lambda url, t: airflow2(url, t).runs("d"),
    "airflow 2 params": lambda url, t: runs.params(airflow2(url, t), "d"),
    "airflow 2 log": lambda url, t: runs.log(airflow2(url, t), "d", "r", _task()),
    "airflow 2 trigger": lambda url, t: airflow2(url, t).trigger("d", {}),
    "airflow 2 clear": lambda url, t: runs.clear_failed(airflow2(url, t), "d", "r"),
    "catalog ping": lambda url, t: catalog(url, t).ping(),
    "catalog table": lambda url, t: catalog(url, t).table("a.b"),
    "catalog oauth": lambda url, t: catalog_oauth(url, t).ping(),
    "prometheus alerts": lambda url, t: alerts("prometheus", url, t).alerts(),
    "prometheus version": lambda url, t: PrometheusClient(web(url), t).version(),
    "prometheus query": lambda url, t: PrometheusClient(web(url), t).query("up"),
    "prometheus stage": measured,
    "prometheus range": lambda url, t: PrometheusClient(web(url), t).query_range("up", NOW, NOW, 15),
    "prometheus targets": lambda url, t: PrometheusClient(web(url), t).scrape_errors(),
    "prometheus rules": lambda url, t: PrometheusClient(web(url), t).rules({"R"}),
    "prometheus alertmanagers": lambda url, t: PrometheusClient(web(url), t).alertmanagers(),
    "alertmanager alerts": lambda url, t: alerts("alertmanager", url, t).alerts(),
    "alertmanager routed": lambda url, t: AlertmanagerClient(web(url), t).alerts({"alertname": "A"}),
    "alertmanager post": lambda url, t: AlertmanagerClient(web(url), t).post({"alertname": "A"}, {}, NOW),
    "registry ping": lambda url, t: SchemaRegistry(SchemaRegistrySettings(url=url, token=SECRET), t).ping(),
    "registry subjects": lambda url, t: subjects(SchemaRegistry(SchemaRegistrySettings(url=url, token=SECRET), t)),
    "registry subject": lambda url, t: subject_schema(
        SchemaRegistry(SchemaRegistrySettings(url=url, token=SECRET), t), "s"
    ),
    "registry schema": lambda url, t: SchemaRegistry(SchemaRegistrySettings(url=url, token=SECRET), t)._schema(7),
    "http document": document,
    "flink overview": lambda url, t: flink(url, t).overview(),
    "flink job": lambda url, t: flink(url, t).job("j"),
    "flink report": lambda url, t: flink(url, t).report(FLINK_JOB),
    "flink topics": lambda url, t: flink(url, t).topics(FLINK_JOB),
    "connect version": lambda url, t: connect(url, t).version(),
    "connect connectors": connectors,
    "connect status": lambda url, t: connect(url, t).connector("c"),
    "connect topics": lambda url, t: connect(url, t).topics("c"),
    "connect config": lambda url, t: connect(url, t).config("c"),
    "connect restart": lambda url, t: connect(url, t).change("c", Change.RESTART_FAILED),
    "connect pause": lambda url, t: connect(url, t).change("c", Change.PAUSE),
    "connect offsets": lambda url, t: connect(url, t).source_time("c"),
    "dbt runs": lambda url, t: dbt(url, t).project(),
    "dbt artifacts": artifacts,
    "spark history version": lambda url, t: spark_history(url, t).version(),
    "spark history runs": lambda url, t: spark_history(url, t).history(),
    "spark history outcome": lambda url, t: spark_history(url, t).outcome(SPARK_RUN),
    "spark ui": lambda url, t: SparkUi(web(url), t).late_rows("q", NOW),
}
