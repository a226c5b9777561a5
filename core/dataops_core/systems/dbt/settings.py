"""Settings of dbt projects, and of stages for their models and sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import (
    ComponentSettings,
    LocalPath,
    Secret,
    Section,
    StageSettings,
    TlsSettings,
    WebSettings,
)
from dataops_core.config.check import tls_problems, url_problems
from dataops_core.systems.object_prefix.settings import StoreSettings, location_problems

_API = re.compile(
    r"(?P<account>https?://[^?#]+/api/v2/accounts/\d{1,19})/(?P<of>jobs|runs)/(?P<id>\d{1,19})/artifacts/?"
)
_STEP = re.compile(r"\?step=\d{1,9}$")


@dataclass(frozen=True, slots=True)
class ApiLocation:
    """The artifacts of a job or a run in dbt's Administrative API v2.

    Attributes:
        account: URL of the account, `https://host/api/v2/accounts/1`, and credentials.
        of: `jobs` or `runs`.
        id: Id of the job or the run.
    """

    account: WebSettings
    of: str
    id: str


class DbtSettings(ComponentSettings, StoreSettings):
    """The artifacts of a dbt project, which dbt writes to `target`."""

    component: ClassVar[str] = "dbt"
    location: LocalPath
    """Folder with `manifest.json`, `run_results.json` and `sources.json`: `s3://bucket/path`, `gs://bucket/path`,
    `abfs://container/path`, or a local path. Or a job of the dbt platform (dbt Cloud):
    `https://HOST/api/v2/accounts/ACCOUNT/jobs/JOB/artifacts/`, or one run: `…/runs/RUN/artifacts/`."""
    token: Secret | None = Field(default=None, repr=False)
    """Token for an `https://` location: a service token, or a personal access token."""
    tls: TlsSettings | None = None
    """Certificates, for an `https://` location."""
    run_results: tuple[str, ...] = Field(default=("run_results.json",), min_length=1, max_length=20)
    """Paths of results below the location. Each dbt command overwrites its file. Set several paths if the project keeps
    the results of `dbt build` and `dbt test` in separate files. The newest result of each node counts. For an
    `https://` location, `run_results.json?step=4` selects the results of a run's fourth step instead of the last."""

    def api(self) -> ApiLocation | None:
        """Return the location in dbt's API; `None` for a folder or an object store."""
        match = _API.fullmatch(self.location)
        if match is None:
            return None
        return ApiLocation(WebSettings(url=match["account"], token=self.token, tls=self.tls), match["of"], match["id"])


def problems(settings: DbtSettings) -> Iterator[str]:
    """Yield the problems of a project's settings; each line begins with the key."""
    is_web = settings.location.startswith(("https://", "http://"))
    yield from _web_problems(settings) if is_web else _store_problems(settings)
    for path in settings.run_results:
        file = _STEP.sub("", path) if is_web else path
        if PurePosixPath(file).is_absolute() or ".." in file.split("/") or not file.endswith(".json"):
            yield f'.run_results: "{path}": must be the path of a .json file below the location'


def _web_problems(settings: DbtSettings) -> Iterator[str]:
    wrong = list(url_problems(".location", settings.location))
    yield from wrong
    if not wrong and settings.api() is None:
        yield ".location: must end with /api/v2/accounts/ACCOUNT/jobs/JOB/artifacts/ or …/runs/RUN/artifacts/"
    if settings.token is None:
        yield ".token: is missing; dbt's API requires a token"
    if settings.properties:
        yield ".properties: are for object stores; dbt's API needs only `token` and `tls`"
    yield from tls_problems("", settings.location, settings.tls)


def _store_problems(settings: DbtSettings) -> Iterator[str]:
    yield from location_problems(settings)
    for key in ("token", "tls"):
        if getattr(settings, key) is not None:
            yield f".{key}: is only for an https:// location of dbt's API"


class DbtThresholds(Section):
    """Thresholds of dbt's checks."""

    dbt_run_max: float = Field(default=7200.0, gt=0)
    """Maximum seconds for which the newest run of a job of the dbt platform may be queued or running."""


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
