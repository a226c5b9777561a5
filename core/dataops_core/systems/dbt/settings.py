"""Settings of dbt projects, and of stages for their models and sources."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, LocalPath, StageSettings
from dataops_core.systems.object_prefix.settings import StoreSettings


class DbtSettings(ComponentSettings, StoreSettings):
    """The artifacts of a dbt project, which dbt writes to `target`."""

    component: ClassVar[str] = "dbt"
    location: LocalPath
    """Folder with `manifest.json`, `run_results.json` and `sources.json`: `s3://bucket/path`, `gs://bucket/path`,
    `abfs://container/path`, or a local path."""
    run_results: tuple[str, ...] = Field(default=("run_results.json",), min_length=1, max_length=20)
    """Paths of results below the location. Each dbt command overwrites its file. Set several paths if the project keeps
    the results of `dbt build` and `dbt test` in separate files. The newest result of each node counts."""


class DbtStage(StageSettings):
    """Common settings of dbt stages."""

    every: float = Field(default=30.0, gt=0)
    """Seconds between two reads."""


class DbtModelStage(DbtStage):
    """A model, seed or snapshot of a dbt project."""

    kind: Literal["dbt_model"]
    """Always `dbt_model`."""
    model: str
    """Its name, or its unique id such as `model.shop.orders` if several packages have this name."""


class DbtSourceStage(DbtStage):
    """A source of a dbt project whose freshness `dbt source freshness` checks."""

    kind: Literal["dbt_source"]
    """Always `dbt_source`."""
    source: str
    """`source.table`, or its unique id such as `source.shop.raw.orders`."""
    checked_within: float = Field(default=86_400.0, gt=0)
    """Maximum age in seconds of the newest freshness check. If it is older, the stage is unknown."""
