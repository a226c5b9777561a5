"""Settings of Spark: streaming queries, the history server, and batch applications."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, LocalPath, StageSettings, WebSettings
from dataops_core.systems.kafka.settings import ReaderStage


class SparkQueryStage(ReaderStage):
    """A Spark Structured Streaming query, observed through its checkpoint."""

    kind: Literal["spark_query"]
    """Always `spark_query`."""
    checkpoint: LocalPath
    """Folder of the query's checkpoint, or its URL in an object store, such as `s3://bucket/checkpoints/orders`."""
    store: str | None = None
    """Name of the catalog in the context whose properties (`s3.endpoint` …) open that object store."""
    reads_kafka: bool = True
    """Whether it reads topics. Set it to false for a query that reads only other sources: it then needs no Kafka."""
    trigger: float | None = Field(default=None, gt=0)
    """Trigger interval of the query, in seconds; the checkpoint does not contain it."""
    watermark_stall_after: float = Field(default=600.0, gt=0)
    """Maximum seconds without progress of the event-time watermark while batches with records are committed."""
    clock_ahead_max: float = Field(default=60.0, gt=0)
    """Maximum time by which the event-time watermark may be in the future, in seconds."""
    ui: WebSettings | None = None
    """Web UI of the query's driver, such as `http://driver:4040`; it shows the number of dropped late rows."""
    late_rows_max: int = Field(default=0, ge=0)
    """Maximum number of late rows dropped within 10 minutes."""
    state_bytes_max: float = Field(default=10 * 2.0**30, gt=0)
    """Maximum size of the query's state, in bytes."""
    state_growth_max: float = Field(default=2.0, gt=1)
    """Maximum growth factor of the state since the oldest snapshot in the checkpoint; applies from 64 MiB on."""


class SparkHistorySettings(ComponentSettings, WebSettings):
    """Spark's history server, by its REST API."""

    component: ClassVar[str] = "spark_history"
    url: str
    """Base URL, such as `http://history:18080`, without `/api/v1`."""
    lookback: float = Field(default=14 * 86_400.0, gt=0)
    """Seconds for which runs are read. Set it above the longest interval between two runs of a stage."""


class SparkBatchStage(StageSettings):
    """A Spark batch application that runs repeatedly, by its runs in the history server."""

    kind: Literal["spark_batch"]
    """Always `spark_batch`."""
    application: str
    """The application's name (`spark.app.name`), or a pattern such as `load-orders-*` for names with a date."""
    interval: float | None = Field(default=None, gt=0)
    """Seconds between two starts, as scheduled. Without it, a run that does not start has no finding of its own."""
    late_after: float = Field(default=300.0, gt=0)
    """Seconds after which a scheduled run that did not start is overdue."""
    run_max: float | None = Field(default=None, gt=0)
    """Maximum duration of a run, in seconds. Default: three times the p50 of the last runs, and at least 5 minutes."""
    silent_max: float | None = Field(default=None, gt=0)
    """Maximum seconds without a new event in the log of a run that has not ended. Default: the p50 of the last runs,
    and at least 15 minutes."""
    failures_max: int = Field(default=0, ge=0)
    """Maximum number of failed jobs and queries of a successful run, for an application that catches failures."""
    every: float = Field(default=30.0, gt=0)
    """Seconds between two observations."""
