"""The one list of metrics: what the collector emits, and what docs/metrics.md describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        name: As it is in the text format.
        help: What it says, in base units.
        labels: Names of its labels.
        kind: `info` for a constant 1 whose labels carry the news.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "info"] = "gauge"


STAGE = ("pipeline", "stage", "system")
PROBE = ("probe", "target")

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
    "1 for the finding that the verdict rests on, absent when all is well. `component` is the one that does not answer,"
    " where that is the cause; `stage` and `component` are empty where there is none.",
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
    "1 for the state that the stage is in (caught_up, idle, behind, slow, stuck, failed, unknown), 0 for the others.",
    (*STAGE, "state"),
)
STAGE_OBSERVATION = Metric(
    "dataops_stage_observation_timestamp_seconds", "When the figures of the stage were last read.", STAGE
)
COMPONENT_UP = Metric(
    "dataops_component_up", "1 if the component answers and calls itself healthy, else 0.", ("component",)
)
PROBE_SUCCESS = Metric(
    "dataops_probe_success",
    "1 if the newest run of the probe got an answer; that there is no data is one.",
    PROBE,
)
PROBE_DURATION = Metric(
    "dataops_probe_duration_seconds", "How long the newest run of the probe took, or has taken so far.", PROBE
)
PROBE_LAST_RUN = Metric("dataops_probe_last_run_timestamp_seconds", "When the newest run of the probe began.", PROBE)
SNAPSHOT_TIME = Metric(
    "dataops_exporter_snapshot_timestamp_seconds",
    "When the health snapshot was taken that the other metrics show. Too old a one is not shown, only its time.",
)
BUILD_INFO = Metric("dataops_build_info", "The version that runs.", ("version",), "info")

METRICS = (
    PIPELINE_DATA_AGE,
    PIPELINE_SOURCE_AGE,
    PIPELINE_OBJECTIVE,
    PIPELINE_STATUS,
    PIPELINE_FINDING,
    STAGE_LAG,
    STAGE_LAG_RECORDS,
    STAGE_PROGRESS,
    STAGE_STATE,
    STAGE_OBSERVATION,
    COMPONENT_UP,
    PROBE_SUCCESS,
    PROBE_DURATION,
    PROBE_LAST_RUN,
    SNAPSHOT_TIME,
    BUILD_INFO,
)
