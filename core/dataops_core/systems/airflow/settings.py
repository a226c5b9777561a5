"""Settings of Airflow: the API server and DAGs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, Secret, StageSettings, TlsSettings


class AirflowSettings(ComponentSettings):
    """Airflow's public REST API: v2 of Airflow 3, or v1 of Airflow 2. The client detects the version."""

    component: ClassVar[str] = "airflow"
    url: str
    """Base URL of the API server or web server, without `/api/v1` or `/api/v2`."""
    username: str | None = None
    """With `password`: exchanged for a token at `/auth/token` of Airflow 3; HTTP basic authentication for Airflow 2."""
    password: Secret | None = Field(default=None, repr=False)
    """Password for `username`."""
    token: Secret | None = Field(default=None, repr=False)
    """A bearer token, instead of user name and password."""
    headers: dict[str, Secret] = Field(default={}, repr=False)
    """Further headers of each request by name, such as a `Cookie` of Amazon MWAA."""
    tls: TlsSettings | None = None
    """Certificates, for an `https://` address."""


class DagStage(StageSettings):
    """An Airflow DAG."""

    kind: Literal["dag"]
    """Always `dag`."""
    dag_id: str
    """The DAG's id."""
    late_after: float = Field(default=120.0, gt=0)
    """Seconds after which a scheduled run that was not created is late."""
    queued_max: float = Field(default=300.0, gt=0)
    """Maximum time of a run in the queue, in seconds."""
    run_max: float | None = Field(default=None, gt=0)
    """Seconds that a run may take; three times the median of the last successes, and 5 minutes at least, where not
    given."""
