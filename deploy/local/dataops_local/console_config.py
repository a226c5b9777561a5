"""The settings file for console, command line and exporter on this stack."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from pathlib import Path

from dataops_local.components import AIRFLOW_USER
from dataops_local.kafka import TOPIC
from dataops_local.layout import DEFAULT_PORT_BASE, DEFAULT_STATE, ROOT, Layout

CANARY = json.dumps(
    {
        "logger_id": "$id",
        "sequence": 1,
        "measured_at": "$now",
        "temperature_c": 5.0,
        "gateway_id": "canary",
        "received_at": "$now",
    }
)
"""The canary record, in the format of a logger's gateway."""


def write_config(layout: Layout, without: Collection[str] = ()) -> Path:
    """Write `dataops.toml`, with secrets in separate files; return its path.

    Args:
        layout: The stack.
        without: Programs that do not run; stages that only they write are omitted.
    """
    secret = {name: json.dumps(str(layout.secret_file(name))) for name in ("s3-key", "s3-secret", "airflow-password")}
    credential = layout.dir("secrets") / "catalog-credential"
    credential.touch(0o600)
    credential.write_text(f"{layout.secret('s3-key')}:{layout.secret('s3-secret')}")
    text = f"""\
# The local stack writes this file at every start.
default_context = "local"
refresh = 5

[contexts.local.kafka]
bootstrap_servers = "127.0.0.1:{layout.port("kafka")}"

[contexts.local.airflow]
url = "{layout.url("airflow")}"
username = "{AIRFLOW_USER}"
password = {{ file = {secret["airflow-password"]} }}

[contexts.local.trino]
url = "{layout.url("trino")}"
catalog = "lake"
schema = "gold"
saved_queries = [{json.dumps(str(ROOT / "pipeline" / "dataops_pipeline" / "sql"))}]

[contexts.local.catalogs.lake.properties]
type = "rest"
uri = "{layout.url("catalog")}"
warehouse = "s3://lake"
credential = {{ file = {json.dumps(str(credential))} }}
oauth2-server-uri = "{layout.url("catalog")}/v1/oauth/tokens"
"s3.endpoint" = "{layout.url("s3")}"
"s3.region" = "us-east-1"
"s3.access-key-id" = {{ file = {secret["s3-key"]} }}
"s3.secret-access-key" = {{ file = {secret["s3-secret"]} }}

[recorder]
folder = {json.dumps(str(layout.state / "recordings"))}

[pipelines.boreal-bridge]
context = "local"
title = "Boreal Bridge: vaccine boxes on New York flights"
objective = 1200

# A reading of a logger that does not exist: it stays in bronze, and downstream tables do not contain it.
[pipelines.boreal-bridge.canary]
topic = "{TOPIC}"
mark = "CANARY-"
key = "$id"
value = {json.dumps(CANARY)}
timeout = 120

[[pipelines.boreal-bridge.canary.hops]]
stage = "bronze.readings"
where = "logger_id = '$id'"
late_after = 30

[[pipelines.boreal-bridge.canary.hops]]
stage = "land_readings"

[[pipelines.boreal-bridge.canary.hops]]
relation = "lake.bronze.readings"
where = "logger_id = '$id'"
late_after = 30

[[pipelines.boreal-bridge.stages]]
name = "{TOPIC}"
kind = "topic"
topic = "{TOPIC}"

[[pipelines.boreal-bridge.stages]]
name = "land_readings"
kind = "spark_query"
checkpoint = {json.dumps(str(layout.checkpoints / "land_readings"))}
reads = ["{TOPIC}"]
remedy = {json.dumps(_make(layout, "start NAME=land_readings"))}

[[pipelines.boreal-bridge.stages]]
name = "bronze.readings"
kind = "iceberg_table"
catalog = "lake"
table = "bronze.readings"
rejects = "bronze.rejected_readings"
progress_column = "kafka_timestamp"
reads = ["land_readings"]

[[pipelines.boreal-bridge.stages]]
name = "conform_readings"
kind = "dag"
dag_id = "conform_readings"
reads = ["bronze.readings"]
lag_ok = 600
stall_after = 900

[[pipelines.boreal-bridge.stages]]
name = "silver.readings"
kind = "iceberg_table"
catalog = "lake"
table = "silver.readings"
progress_column = "kafka_timestamp"
reads = ["conform_readings"]
lag_ok = 60
stall_after = 900

[[pipelines.boreal-bridge.stages]]
name = "assess_shipments"
kind = "dag"
dag_id = "assess_shipments"
reads = ["silver.readings"]
lag_ok = 600
stall_after = 900

[[pipelines.boreal-bridge.stages]]
name = "gold.shipment_exposure"
kind = "iceberg_table"
catalog = "lake"
table = "gold.shipment_exposure"
reads = ["assess_shipments"]
lag_ok = 60
stall_after = 900

[[pipelines.boreal-bridge.stages]]
name = "trino.shipment_exposure"
kind = "trino_view"
relation = "lake.gold.shipment_exposure"
reads = ["gold.shipment_exposure"]
every = 20
"""
    if "detect_excursions" not in without:
        text += _excursions(layout)
    layout.config.write_text(text)
    return layout.config


def _excursions(layout: Layout) -> str:
    """Return the stages of the branch that detects excursions."""
    return f"""\

[[pipelines.boreal-bridge.stages]]
name = "detect_excursions"
kind = "spark_query"
checkpoint = {json.dumps(str(layout.checkpoints / "detect_excursions"))}
reads = ["{TOPIC}"]
stall_after = 45  # its first batch on a busy machine; its alert must come within a minute
remedy = {json.dumps(_make(layout, "start NAME=detect_excursions"))}

# It has a commit at least every 30 seconds, also without an excursion.
[[pipelines.boreal-bridge.stages]]
name = "silver.excursions"
kind = "iceberg_table"
catalog = "lake"
table = "silver.excursions"
reads = ["detect_excursions"]
lag_ok = 60
stall_after = 90
"""


def _make(layout: Layout, command: str) -> str:
    """Return a `make` command for this stack, to run in the project's folder."""
    elsewhere = f" STATE={shlex.quote(str(layout.state))} PORT_BASE={layout.port_base}"
    return f"make {command}" + ("" if layout == Layout(DEFAULT_STATE, DEFAULT_PORT_BASE) else elsewhere)
