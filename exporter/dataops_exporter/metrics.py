"""The metrics of the exporter; docs/metrics.md describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A metric.

    Attributes:
        name: Name in the text format.
        help: HELP text; values are in base units.
        kind: `info` is a constant 1 with the information in its labels.
        compatible_with: Exporter with the original metric, served only if the settings enable it; `None` for ours.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter", "info"] = "gauge"
    compatible_with: str | None = None


STAGE = ("pipeline", "stage", "system")
PROBE = ("probe", "target", "pipeline", "component")
TABLE = ("catalog", "table_namespace", "table")
"""Not `namespace`: OpenShift sets that label on all scraped metrics, to the namespace of the pod."""
PARTITION = ("topic", "partition")
GROUP_PARTITION = ("group", "topic", "partition")

PIPELINE_DATA_AGE = Metric(
    "dataops_pipeline_data_age_seconds",
    "Age of the newest complete data at the pipeline's last stage.",
    ("pipeline",),
)
PIPELINE_SOURCE_AGE = Metric(
    "dataops_pipeline_source_age_seconds",
    "Time since the newest record at the source. Data age is this plus the hop lags of the stages on the path.",
    ("pipeline",),
)
PIPELINE_OBJECTIVE = Metric(
    "dataops_pipeline_objective_seconds", "Objective of the data age, from the settings.", ("pipeline",)
)
PIPELINE_STATUS = Metric(
    "dataops_pipeline_status",
    "1 for the status of the pipeline's verdict (ok, warning, critical, unknown), 0 for the others.",
    ("pipeline", "status"),
)
PIPELINE_FINDING = Metric(
    "dataops_pipeline_finding",
    "1 for the finding that the verdict rests on; absent if the pipeline is healthy. `component` is the cause, or"
    " is unavailable; `stage` and `component` are empty if the finding has none.",
    ("pipeline", "check_id", "stage", "component"),
)
STAGE_LAG = Metric(
    "dataops_stage_lag_seconds", "Progress time of the stage's input minus progress time of the stage.", STAGE
)
STAGE_LAG_RECORDS = Metric(
    "dataops_stage_lag_records", "Lag of the stage in records: records that it has not processed yet.", STAGE
)
STAGE_PROGRESS = Metric(
    "dataops_stage_progress_timestamp_seconds",
    "Progress time: the stage has processed all records that entered the pipeline up to this time.",
    STAGE,
)
STAGE_STATE = Metric(
    "dataops_stage_state",
    "1 for the state of the stage (caught_up, idle, behind, slow, stuck, failed, unknown, affected), 0 for the"
    " others; absent before its first probe.",
    (*STAGE, "state"),
)
STAGE_ETA = Metric(
    "dataops_stage_eta_seconds",
    "Time until the stage has caught up at the current rates; absent unless its lag is falling.",
    STAGE,
)
STAGE_OBSERVATION = Metric(
    "dataops_stage_observation_timestamp_seconds", "Time of the newest successful observation of the stage.", STAGE
)
STAGE_FINDING = Metric(
    "dataops_stage_finding",
    "1 for each finding of the stage's checks, also if the verdict rests on another finding; absent otherwise.",
    (*STAGE, "check_id", "severity"),
)
STAGE_VALUE = Metric(
    "dataops_stage_figure",
    "Other values of the stage that the console shows, by name and unit (empty for a count).",
    (*STAGE, "figure", "unit"),
)
COMPONENT_UP = Metric(
    "dataops_component_up", "1 if the component is up and reports that it is healthy, else 0.", ("component",)
)
COMPONENT_FINDING = Metric(
    "dataops_component_finding",
    "1 for each finding of the component's checks; absent otherwise.",
    ("component", "check_id", "severity"),
)
COMPONENT_VALUE = Metric(
    "dataops_component_figure",
    "Other values of the component that the console shows, by name and unit (empty for a count).",
    ("component", "figure", "unit"),
)
PROBE_SUCCESS = Metric(
    "dataops_probe_success",
    "1 if the newest run of the probe succeeded, even without data, else 0. `component` is the component"
    " that it queries; `pipeline` is empty for probes outside pipelines.",
    PROBE,
)
PROBE_DURATION = Metric(
    "dataops_probe_duration_seconds", "Duration of the newest run of the probe, so far if it is still running.", PROBE
)
PROBE_LAST_RUN = Metric("dataops_probe_last_run_timestamp_seconds", "Start of the newest run of the probe.", PROBE)
ICEBERG_RECORDS = Metric("dataops_iceberg_records", "Rows of the table, not reduced by delete files.", TABLE)
ICEBERG_DATA_FILES = Metric("dataops_iceberg_data_files", "Data files of the table's current snapshot.", TABLE)
ICEBERG_DELETE_FILES = Metric("dataops_iceberg_delete_files", "Delete files of the table's current snapshot.", TABLE)
ICEBERG_SNAPSHOTS = Metric("dataops_iceberg_snapshots", "Snapshots in the table's metadata.", TABLE)
ICEBERG_COMMIT_TIME = Metric(
    "dataops_iceberg_commit_timestamp_seconds",
    "Time of the table's newest commit with a progress stamp, else of its current snapshot.",
    TABLE,
)
ICEBERG_WRITER_CHANGE = Metric(
    "dataops_iceberg_writer_change_timestamp_seconds",
    "Time at which a new streaming query began to write to the table: the checkpoint of the previous query is lost.",
    TABLE,
)
AIRFLOW_DAGS = Metric(
    "dataops_airflow_dags", "DAGs by state: active, paused, or broken (its file fails to load).", ("state",)
)
AIRFLOW_DAG_STATE = Metric(
    "dataops_airflow_dag_state",
    "1 for the state of the DAG (active, paused, broken), 0 for the others.",
    ("dag_id", "state"),
)
AIRFLOW_LAST_SUCCESS = Metric(
    "dataops_airflow_dag_last_success_timestamp_seconds",
    "End of the newest successful run in which at least one task ran. Only for DAGs of pipelines.",
    ("dag_id",),
)
AIRFLOW_RUN_DURATION = Metric(
    "dataops_airflow_dag_run_duration_seconds",
    "Duration of the newest successful run in which at least one task ran. Only for DAGs of pipelines.",
    ("dag_id",),
)
AIRFLOW_FAILED = Metric(
    "dataops_airflow_dag_failed",
    "1 if the DAG's newest finished run failed and no run is active, or its file fails to load, else 0. "
    "Only for DAGs of pipelines.",
    ("dag_id",),
)
TRINO_COMMIT_TIME = Metric(
    "dataops_trino_commit_timestamp_seconds",
    "Commit time of the newest snapshot with a progress stamp that Trino serves for the table.",
    ("relation",),
)
KAFKA_BROKERS = Metric("dataops_kafka_brokers", "Brokers of the cluster that are up.")
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
    "Offset of the oldest record in the partition. Only with granularity partition.",
    PARTITION,
)
PARTITION_HIGH = Metric(
    "dataops_kafka_partition_high_watermark",
    "Offset after the newest record in the partition. Only with granularity partition.",
    PARTITION,
)
GROUP_STATE = Metric(
    "dataops_kafka_group_state",
    "1 for the state of the group as the coordinator reports it; other states are absent.",
    ("group", "state"),
)
GROUP_MEMBERS = Metric("dataops_kafka_group_members", "Members of the group.", ("group",))
GROUP_LAG = Metric(
    "dataops_kafka_group_lag_records",
    "Lag of the group over all topics with a committed offset; absent unless all are known.",
    ("group",),
)
GROUP_LAG_SECONDS = Metric(
    "dataops_kafka_group_lag_seconds",
    "Largest age of a first unread record over the group's partitions, estimated; absent unless all are known.",
    ("group",),
)
GROUP_TOPIC_LAG = Metric(
    "dataops_kafka_group_topic_lag_records",
    "Lag of the group in the topic, over all partitions with a committed offset; absent unless all are known.",
    ("group", "topic"),
)
GROUP_TOPIC_LAG_SECONDS = Metric(
    "dataops_kafka_group_topic_lag_seconds",
    "Largest age of a first unread record over the topic's partitions, estimated; absent unless all are known.",
    ("group", "topic"),
)
GROUP_TOPIC_COMMITTED = Metric(
    "dataops_kafka_group_topic_committed_offset",
    "Sum of the group's committed offsets in the topic.",
    ("group", "topic"),
)
GROUP_PARTITION_LAG = Metric(
    "dataops_kafka_group_partition_lag_records",
    "Lag of the group in the partition. Only with granularity partition.",
    GROUP_PARTITION,
)
GROUP_PARTITION_LAG_SECONDS = Metric(
    "dataops_kafka_group_partition_lag_seconds",
    "Age of the group's first unread record in the partition, estimated. Only with granularity partition.",
    GROUP_PARTITION,
)
GROUP_PARTITION_COMMITTED = Metric(
    "dataops_kafka_group_partition_committed_offset",
    "Committed offset of the group in the partition. Only with granularity partition.",
    GROUP_PARTITION,
)
SCAN_TIME = Metric(
    "dataops_exporter_survey_timestamp_seconds",
    "Time of the cluster scan that the series outside pipelines come from, by scanned system (kafka, airflow).",
    ("survey",),
)
SCAN_INTERVAL = Metric(
    "dataops_exporter_survey_interval_seconds",
    "Interval of the cluster scan, from the settings; present before the first scan finishes.",
    ("survey",),
)
SCAN_FAILURES = Metric(
    "dataops_exporter_survey_failures",
    "Distinct errors that left a group or a partition out of the newest cluster scan of Kafka; 0 if it is complete.",
)
OBJECTS = Metric(
    "dataops_exporter_objects",
    "Topics, groups, tables and DAGs that are exported, denied by the lists, or dropped because of max_series.",
    ("kind", "outcome"),
)
DROPPED_SERIES = Metric("dataops_exporter_dropped_series", "Series dropped because of max_series.", ("kind",))
SNAPSHOT_TIME = Metric(
    "dataops_exporter_snapshot_timestamp_seconds",
    "Time of the health snapshot that the other metrics show. If it is too old, only its time and age are served.",
)
SNAPSHOT_AGE = Metric(
    "dataops_exporter_snapshot_age_seconds", "Age of the health snapshot that the other metrics show."
)
RELOAD_SUCCESSFUL = Metric(
    "dataops_exporter_config_last_reload_successful",
    "1 if the last reload of the settings (config) or of the web configuration (web) succeeded, else 0: the previous "
    "version stays active.",
    ("file",),
)
RELOAD_TIME = Metric(
    "dataops_exporter_config_last_reload_success_timestamp_seconds",
    "Time of the last successful reload of the settings.",
)
REQUESTS = Metric(
    "dataops_exporter_http_requests_total", "HTTP requests by page and status code.", ("handler", "code"), "counter"
)
BUILD_INFO = Metric("dataops_build_info", "Version of the exporter.", ("version",), "info")

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All metrics, in the order of their definition."""
