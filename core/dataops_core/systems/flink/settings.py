"""Settings of Flink clusters and jobs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, WebSettings
from dataops_core.systems.kafka.settings import ReaderStage


class FlinkSettings(ComponentSettings, WebSettings):
    """A Flink cluster, by the REST API of its JobManager."""

    component: ClassVar[str] = "flink"
    url: str
    """Base URL of the JobManager, such as `http://jobmanager:8081`."""


class FlinkJobStage(ReaderStage):
    """A streaming job of Flink."""

    kind: Literal["flink_job"]
    """Always `flink_job`."""
    job: str
    """The job's name, or its id of 32 hexadecimal digits. Of several jobs with one name the newest counts."""
    group: str | None = None
    """Consumer group of its Kafka source, `properties.group.id`. DataOps reads progress and lag from it."""
    kafka: str | None = None
    """Name of the Kafka cluster of the group, needed only if the context has several."""
    event_time: bool = False
    """Whether the progress time is the watermark. Otherwise DataOps derives it from pending records and the newest
    checkpoint."""
    checkpoint_within: float = Field(default=600.0, gt=0)
    """Seconds within which a checkpoint must complete."""
    watermark_skew_max: float = Field(default=600.0, gt=0)
    """Seconds by which the watermarks of the sources' subtasks may differ."""
    every: float = Field(default=15.0, gt=0)
    """Seconds between two observations."""
