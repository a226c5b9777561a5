"""Settings of services that report their progress as JSON over HTTP."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, Secret, WebSettings
from dataops_core.systems.measured.settings import DocumentStage


class HttpSettings(ComponentSettings, WebSettings):
    """A service that reports its progress as JSON."""

    component: ClassVar[str] = "http"
    url: str
    """Base URL; credentials go to this scheme, host and port only."""
    headers: dict[str, Secret] = Field(default={}, repr=False)
    """Additional request headers by name, such as `X-Api-Key`."""
    health_path: str = "/"
    """Path of the health check; 404 counts as up."""


class HttpDocumentStage(DocumentStage):
    """A stage whose progress is in a JSON document."""

    kind: Literal["http_document"]
    """Always `http_document`."""
    path: str
    """Path of the document with its query string; it begins with `/`."""
    bytes_max: int = Field(default=4 * 2**20, gt=0)
    """Maximum size of the document in bytes."""
