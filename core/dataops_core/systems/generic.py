"""Generic stages and components for kinds without a loadable system, such as a plug-in of a recording."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import ConfigDict, create_model

from dataops_core.config.base import ComponentSettings, StageSettings


class GenericStage(StageSettings):
    """A stage with the common settings only."""

    model_config = ConfigDict(extra="allow")


class GenericComponent(ComponentSettings):
    """A component with the common settings only."""

    model_config = ConfigDict(extra="allow")


@cache
def stage_settings(kind: str) -> type[GenericStage]:
    """Return the settings of stages of a kind that no system offers."""
    return create_model("GenericStage", __base__=GenericStage, kind=(Literal[kind], ...))  # type: ignore[arg-type]


@cache
def component_settings(kind: str) -> type[GenericComponent]:
    """Return the settings of components of a kind that no system offers."""
    return type("GenericComponent", (GenericComponent,), {"__module__": __name__, "component": kind})
