"""The one list of metrics: what the collector emits, and what docs/metrics.md describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A metric.

    Attributes:
        name: As it is in the text format.
        help: What it says, in base units.
        labels: Names of its labels.
        kind: `info` for a constant 1 whose labels carry the news.
        dialect: The exporter whose name it is, where it is not ours; served only where that dialect is asked for.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter", "info"] = "gauge"
    dialect: str | None = None


STAGE = ("pipeline", "stage", "system")
PROBE = ("probe", "target", "pipeline", "component")
TABLE = ("catalog", "table_namespace", "table")
"""Not `namespace`: OpenShift gives that label to whatever it scrapes, with the namespace of the pod."""
PARTITION = ("topic", "partition")
GROUP_PARTITION = ("group", "topic", "partition")

PIPELINE_DATA_AGE = Metric(
    "dataops_pipeline_data_age_seconds",
    "How old the newest complete data is that a reader of the pipeline's last stage sees.",
    ("pipeline",),
)
PIPELINE_SOURCE_AGE = Metric(
    "dataops_pipeline_source_age_seconds",
    "Time since the source's newest record. Data age is this plus the lags of the stages on the path.",
    ("pipeline",),
)
PIPELINE_OBJECTIVE = Metric(
    "dataops_pipeline_objective_seconds", "The data age that is promised, from the settings.", ("pipeline",)
)
PIPELINE_STATUS = Metric(
    "dataops_pipeline_status",
    "1 for the status that the verdict on the pipeline has (ok, warning, critical, unknown), 0 for the others.",
    ("pipeline", "status"),
)
PIPELINE_FINDING = Metric(
    "dataops_pipeline_finding",
    "1 for the finding that the verdict rests on, absent when all is well. `component` is the one that is the cause, or"
    " that does not answer; `stage` and `component` are empty where there is none.",
    ("pipeline", "check_id", "stage", "component"),
)
STAGE_LAG = Metric(
    "dataops_stage_lag_seconds", "Progress of what the stage reads minus progress of the stage itself.", STAGE
)
STAGE_LAG_RECORDS = Metric("dataops_stage_lag_records", "Records that wait in front of the stage.", STAGE)
STAGE_PROGRESS = Metric(
    "dataops_stage_progress_timestamp_seconds",
    "Everything that entered the pipeline up to this time has passed the stage.",
    STAGE,
)
STAGE_STATE = Metric(
    "dataops_stage_state",
    "1 for the state that the stage is in (caught_up, idle, behind, slow, stuck, failed, unknown, affected), 0 for the"
    " others; absent until its first probe.",
    (*STAGE, "state"),
)
STAGE_ETA = Metric(
    "dataops_stage_eta_seconds", "Time until the stage has caught up at the present rates; only while it gains.", STAGE
)
STAGE_OBSERVATION = Metric(
    "dataops_stage_observation_timestamp_seconds", "When the figures of the stage were last read.", STAGE
)
STAGE_FINDING = Metric(
    "dataops_stage_finding",
    "1 for each thing that the checks find wrong with the stage, also where the verdict rests on another; absent else.",
    (*STAGE, "check_id", "severity"),
)
STAGE_FIGURE = Metric(
    "dataops_stage_figure",
    "Each further number that the console shows of the stage, by its name and unit (empty for a count).",
    (*STAGE, "figure", "unit"),
)
COMPONENT_UP = Metric(
    "dataops_component_up", "1 if the component answers and calls itself healthy, else 0.", ("component",)
)
COMPONENT_FINDING = Metric(
    "dataops_component_finding",
    "1 for each thing that the checks find wrong with the component; absent else.",
    ("component", "check_id", "severity"),
)
COMPONENT_FIGURE = Metric(
    "dataops_component_figure",
    "Each further number that the console shows of the component, by its name and unit (empty for a count).",
    ("component", "figure", "unit"),
)
PROBE_SUCCESS = Metric(
    "dataops_probe_success",
    "1 if the newest run of the probe got an answer; that there is no data is one. `component` is the one that it asks;"
    " `pipeline` is empty for what belongs to none.",
    PROBE,
)
PROBE_DURATION = Metric(
    "dataops_probe_duration_seconds", "How long the newest run of the probe took, or has taken so far.", PROBE
)
PROBE_LAST_RUN = Metric("dataops_probe_last_run_timestamp_seconds", "When the newest run of the probe began.", PROBE)
ICEBERG_RECORDS = Metric("dataops_iceberg_records", "Rows of the table, delete files not counted off.", TABLE)
ICEBERG_DATA_FILES = Metric("dataops_iceberg_data_files", "Data files of the table's current snapshot.", TABLE)
ICEBERG_DELETE_FILES = Metric("dataops_iceberg_delete_files", "Delete files of the table's current snapshot.", TABLE)
ICEBERG_SNAPSHOTS = Metric("dataops_iceberg_snapshots", "Snapshots that the table keeps.", TABLE)
ICEBERG_COMMIT_TIME = Metric(
    "dataops_iceberg_commit_timestamp_seconds",
    "When the table last advanced: its newest stamped commit, else its current snapshot.",
    TABLE,
)
ICEBERG_WRITER_CHANGE = Metric(
    "dataops_iceberg_writer_change_timestamp_seconds",
    "When another streaming query began to write to the table: the checkpoint of the one before is gone.",
    TABLE,
)
AIRFLOW_DAGS = Metric(
    "dataops_airflow_dags", "DAGs by state: active, paused, or broken (its file fails to load).", ("state",)
)
AIRFLOW_DAG_STATE = Metric(
    "dataops_airflow_dag_state",
    "1 for the state that the DAG is in (active, paused, broken), 0 for the others.",
    ("dag_id", "state"),
)
AIRFLOW_LAST_SUCCESS = Metric(
    "dataops_airflow_dag_last_success_timestamp_seconds",
    "End of the newest successful run of which a task did something. For DAGs of pipelines.",
    ("dag_id",),
)
AIRFLOW_RUN_DURATION = Metric(
    "dataops_airflow_dag_run_duration_seconds",
    "How long that run took. For DAGs of pipelines.",
    ("dag_id",),
)
AIRFLOW_FAILED = Metric(
    "dataops_airflow_dag_failed",
    "1 if the DAG's newest finished run failed and none runs since, or its file fails to load, else 0. "
    "For DAGs of pipelines.",
    ("dag_id",),
)
TRINO_COMMIT_TIME = Metric(
    "dataops_trino_commit_timestamp_seconds",
    "When the newest stamped snapshot that Trino serves of the table was committed.",
    ("relation",),
)
KAFKA_BROKERS = Metric("dataops_kafka_brokers", "Brokers of the cluster that answer.")
TOPIC_PARTITIONS = Metric("dataops_kafka_topic_partitions", "Partitions of the topic.", ("topic",))
TOPIC_OFFLINE = Metric(
    "dataops_kafka_topic_offline_partitions", "Partitions of the topic without a leader.", ("topic",)
)
TOPIC_UNDER_REPLICATED = Metric(
    "dataops_kafka_topic_under_replicated_partitions",
    "Partitions of the topic with fewer in-sync replicas than replicas.",
    ("topic",),
)
TOPIC_LOW = Metric(
    "dataops_kafka_topic_low_watermark",
    "Sum of the low watermarks of the topic's partitions; absent unless all are known.",
    ("topic",),
)
TOPIC_HIGH = Metric(
    "dataops_kafka_topic_high_watermark",
    "Sum of the high watermarks of the topic's partitions; absent unless all are known.",
    ("topic",),
)
PARTITION_LOW = Metric(
    "dataops_kafka_partition_low_watermark",
    "First offset that the partition still has. With granularity partition.",
    PARTITION,
)
PARTITION_HIGH = Metric(
    "dataops_kafka_partition_high_watermark",
    "Offset after the partition's newest record. With granularity partition.",
    PARTITION,
)
GROUP_STATE = Metric(
    "dataops_kafka_group_state",
    "1 for the state that the group is in, in the coordinator's words; the others are absent.",
    ("group", "state"),
)
GROUP_MEMBERS = Metric("dataops_kafka_group_members", "Members of the group.", ("group",))
GROUP_LAG = Metric(
    "dataops_kafka_group_lag_records",
    "Records that wait for the group, on all topics where it has committed; absent unless all are known.",
    ("group",),
)
GROUP_TOPIC_LAG = Metric(
    "dataops_kafka_group_topic_lag_records",
    "Records that wait for the group in the topic, on the partitions where it has committed; absent unless all are "
    "known.",
    ("group", "topic"),
)
GROUP_TOPIC_COMMITTED = Metric(
    "dataops_kafka_group_topic_committed_offset",
    "Sum of the offsets that the group has committed in the topic.",
    ("group", "topic"),
)
GROUP_PARTITION_LAG = Metric(
    "dataops_kafka_group_partition_lag_records",
    "Records that wait for the group in the partition. With granularity partition.",
    GROUP_PARTITION,
)
GROUP_PARTITION_COMMITTED = Metric(
    "dataops_kafka_group_partition_committed_offset",
    "Offset that the group has committed in the partition. With granularity partition.",
    GROUP_PARTITION,
)
SURVEY_TIME = Metric(
    "dataops_exporter_survey_timestamp_seconds",
    "When the survey was made that the series beyond the pipelines show, by what was surveyed (kafka, airflow).",
    ("survey",),
)
SURVEY_INTERVAL = Metric(
    "dataops_exporter_survey_interval_seconds",
    "How often the settings have the survey made; there before its first answer.",
    ("survey",),
)
SURVEY_FAILURES = Metric(
    "dataops_exporter_survey_failures",
    "Kinds of errors because of which the newest survey of Kafka lacks a group or a partition; 0 if it is whole.",
)
OBJECTS = Metric(
    "dataops_exporter_objects",
    "Topics, groups, tables and DAGs that are exported, denied by the lists, or dropped because of max_series.",
    ("kind", "outcome"),
)
DROPPED_SERIES = Metric(
    "dataops_exporter_dropped_series", "Series that max_series keeps out of the exposition.", ("kind",)
)
SNAPSHOT_TIME = Metric(
    "dataops_exporter_snapshot_timestamp_seconds",
    "When the health snapshot was taken that the other metrics show. Too old a one is not shown, only its time.",
)
SNAPSHOT_AGE = Metric("dataops_exporter_snapshot_age_seconds", "How old that health snapshot is.")
RELOAD_SUCCESSFUL = Metric(
    "dataops_exporter_config_last_reload_successful",
    "1 if the newest reading of the settings (config) or of the web configuration (web) was good, else 0: then the "
    "ones before go on.",
    ("file",),
)
RELOAD_TIME = Metric(
    "dataops_exporter_config_last_reload_success_timestamp_seconds", "When the settings in force were read."
)
REQUESTS = Metric(
    "dataops_exporter_http_requests_total", "Requests by page and status code.", ("handler", "code"), "counter"
)
BUILD_INFO = Metric("dataops_build_info", "The version that runs.", ("version",), "info")

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them, in the order of their definition."""
