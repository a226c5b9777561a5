"""DAGs for Airflow 2: a scheduled one with parameters, one that an asset starts, one that fails, one that waits."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow import DAG, Dataset
from airflow.models.param import Param
from airflow.operators.bash import BashOperator

ORDERS = Dataset("s3://lake/shop/orders")
DAY = Param("2026-01-05", type="string", format="date", description="which day")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

with DAG("orders", start_date=BEGIN, schedule="@daily", catchup=False, params={"day": DAY}, tags=["shop"]):
    BashOperator(
        task_id="extract", bash_command='echo day {{ params.day }}; echo it\\\'s \\"quoted\\"'
    ) >> BashOperator(task_id="load", bash_command="true", outlets=[ORDERS])
with DAG("report", start_date=BEGIN, schedule=[ORDERS]):
    BashOperator(task_id="write", bash_command="true")
with DAG("fails", start_date=BEGIN, schedule=None):
    BashOperator(task_id="check", bash_command="echo checking; exit 3") >> BashOperator(
        task_id="after", bash_command="true"
    )
with DAG("waits", start_date=BEGIN, schedule=None):
    BashOperator(task_id="wait", bash_command="echo begun; sleep 12; echo done")
