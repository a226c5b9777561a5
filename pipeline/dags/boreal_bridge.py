"""Boreal Bridge's batch jobs as Airflow DAGs; each runs a job of `dataops_pipeline` in the project's environment."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, DeltaTriggerTimetable, Param

BRONZE = Asset("iceberg://lake/bronze/readings")
SILVER = Asset("iceberg://lake/silver/readings")
EXPOSURE = Asset("iceberg://lake/gold/shipment_exposure")
REFERENCE = Asset("iceberg://lake/bronze/reference")

ONE_WRITER = "silver_readings"
"""A pool with one slot, for the writers of `silver.readings`. A MERGE that only inserts is an append, and Iceberg
accepts two concurrent appends: both jobs would add the same reading."""

COMMON = {
    "start_date": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "catchup": False,
    "max_active_runs": 1,
    "is_paused_upon_creation": False,
    "tags": ["boreal-bridge"],
    "default_args": {
        "owner": "boreal-bridge",
        "retries": 2,
        "retry_delay": dt.timedelta(seconds=20),
        "execution_timeout": dt.timedelta(minutes=15),
    },
}


def minutes(variable: str, default: float) -> dt.timedelta:
    """Return an interval from an environment variable; raises ValueError if it is not a number of minutes."""
    text = os.environ.get(variable) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 24 * 60:
        raise ValueError(f"{variable} is {text!r}: a number of minutes, more than 0 and less than a day")
    return dt.timedelta(minutes=value)


def job(dag: DAG, inlets: Sequence[Asset] = (), outlets: Sequence[Asset] = ()) -> BashOperator:
    """Return the task that runs the job with the DAG's name; $BOREAL_PYTHON is the Python of the project's environment.

    A task that writes `silver.readings` runs in the pool `ONE_WRITER`, which has to be created once: `airflow pools set
    silver_readings 1 "one writer at a time"`.

    Args:
        dag: The DAG. The job gets its parameters as environment variables `BOREAL_PARAM_<NAME>`. They are never part of
            the command, so that no shell interprets user input.
        inlets: Assets that the job reads.
        outlets: Assets that the job writes.
    """
    # Airflow's own PYTHONPATH must not reach the project's environment.
    command = f'exec env -u PYTHONPATH "$BOREAL_PYTHON" -m dataops_pipeline.jobs.{dag.dag_id}'
    return BashOperator(
        task_id=dag.dag_id,
        bash_command=command,
        # A missing parameter is empty, not the word None.
        env={
            f"BOREAL_PARAM_{name.upper()}": f"{{{{ '' if params.{name} is none else params.{name} }}}}"
            for name in dag.params
        },
        append_env=True,
        skip_on_exit_code=99,  # the job has no input yet
        inlets=list(inlets),
        outlets=list(outlets),
        pool=ONE_WRITER if SILVER in outlets else "default_pool",
    )


with DAG(
    "load_reference_data",
    schedule="@daily",
    doc_md="Replace flights, weather, airports, products and shipments in `bronze` by the object store's.",
    **COMMON,
) as dag:
    job(dag, outlets=[REFERENCE])

with DAG(
    "conform_readings",
    schedule=AssetOrTimeSchedule(
        timetable=DeltaTriggerTimetable(minutes("BOREAL_CONFORM_MINUTES", 5)),
        assets=[REFERENCE],  # on a new stack, the first scheduled run comes before the reference data and is skipped
    ),
    doc_md="Merge new rows of `bronze.readings` into `silver.readings`: each reading once, wrong clocks corrected.",
    **COMMON,
) as dag:
    job(dag, [BRONZE, REFERENCE], [SILVER])

with DAG(
    "reconcile_logger_dumps",
    schedule=minutes("BOREAL_RECONCILE_MINUTES", 10),
    doc_md="Compare new logger dumps with `silver.readings`, and add the readings that the stream lost.",
    params={
        "max_files": Param(
            1000, type="integer", minimum=1, maximum=100_000, description="Maximum number of dumps per run."
        )
    },
    **COMMON,
) as dag:
    job(dag, [SILVER], [SILVER])

with DAG(
    "assess_shipments",
    schedule=[SILVER],
    doc_md=(
        "Compute the exposure of each shipment from `silver.readings` into `gold.shipment_exposure`: write to a branch,"
        " audit, publish. Tag complete lots, and record them in `gold.lot_releases`."
    ),
    **COMMON,
) as dag:
    job(dag, [SILVER, REFERENCE], [EXPOSURE])

INSTANT = {"type": "string", "format": "date-time"}
RECALIBRATION = {
    "logger_id": Param(
        type="string",
        pattern=r"^\S{1,64}$",
        title="Logger",
        description="Logger whose readings are restated, such as BL-0701-0004.",
    ),
    "correction_c": Param(
        type="number",
        minimum=-5,
        maximum=5,
        title="Correction",
        description="Correction in degrees Celsius, added to the logger's values.",
    ),
    "valid_from": Param(
        **INSTANT, title="Valid from", description="First measurement time that it is valid for, with a time zone."
    ),
    "valid_until": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Valid until",
        description="First measurement time that it is no longer valid for; empty if it has no end.",
    ),
    "calibration_id": Param(
        type="string",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        title="Certificate",
        description="Its number, which must be unique.",
    ),
    "issued_at": Param(
        **INSTANT,
        title="Issued at",
        description="If several certificates are valid at a time, the one that was issued last applies.",
    ),
}

with DAG(
    "recalibrate_logger",
    schedule=None,
    params=RECALIBRATION,
    doc_md=(
        "Apply a later calibration certificate of one logger: add it to `bronze.recalibrations`, and restate the"
        " logger's rows of `silver.readings`. The earlier rows stay readable at the tag `before_<certificate>`."
    ),
    **COMMON,
) as dag:
    job(dag, [SILVER], [SILVER])

with DAG(
    "create_views",
    schedule=[SILVER],
    doc_md="Create the quality officer's views in `gold` from the files in `sql`, once their tables exist.",
    **COMMON,
) as dag:
    job(dag, [SILVER])

with DAG(
    "maintain_tables",
    schedule="@hourly",
    doc_md="Maintain all tables through Trino: compact small files, rewrite manifests, remove old snapshots and orphan"
    " files. Data that a tag, a branch or a job still needs is kept.",
    params={
        "tables": Param(
            "",
            type="string",
            pattern=r"^([a-z0-9_]+\.[a-z0-9_]+( [a-z0-9_]+\.[a-z0-9_]+)*)?$",
            title="Tables",
            description="Tables as namespace.table, separated by spaces; empty for all.",
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Only print what would be done."),
        "retention_hours": Param(
            2.0,
            type="number",
            minimum=0,
            maximum=8760,
            title="Retention",
            description="Minimum age of the snapshots to expire, in hours.",
        ),
        "file_size_threshold": Param(
            "64MB",
            type="string",
            pattern=r"^[0-9]+(\.[0-9]+)?(B|kB|MB|GB)$",
            title="File size",
            description="Data files that are smaller are compacted.",
        ),
    },
    **COMMON,
) as dag:
    job(dag)

with DAG(
    "replay_rejected",
    schedule=None,
    doc_md="After a fix: copy records of `bronze.rejected_readings` that are valid now into `bronze.readings`.",
    params={
        "quoted_numbers": Param(
            False,
            type="boolean",
            title="Quoted numbers",
            description='Accept a temperature or sequence that was sent as text, such as "4.5".',
        ),
        "reason": Param(
            "",
            type="string",
            maxLength=200,
            title="Reason",
            description="Only records whose reason starts with this text, such as wrong-type; empty for all.",
        ),
        "limit": Param(
            0,
            type="integer",
            minimum=0,
            title="Limit",
            description="Maximum number of records, oldest first; 0 for all.",
        ),
    },
    **COMMON,
) as dag:
    job(dag)
