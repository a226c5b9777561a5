"""A DAG for Airflow 2 that a new version of a table starts."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow import DAG, Dataset
from airflow.operators.bash import BashOperator

with DAG("publish", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=[Dataset("s3://lake/shop/by_kind")]):
    BashOperator(task_id="send", bash_command="true")
