"""A DAG file that fails to load; Airflow reads files only that name it and a DAG."""

import no_such_module
from airflow import DAG

with DAG("broken"):
    no_such_module.task()
