"""The settings tree with the tables of all systems, as a settings file that names them all has it."""

from __future__ import annotations

from typing import get_args

from dataops_core.systems.registry import registry

Settings = registry().settings_type()
ContextSettings = get_args(Settings.model_fields["contexts"].annotation)[1]
PipelineSettings = get_args(Settings.model_fields["pipelines"].annotation)[1]
RULES = registry()
"""How the kinds of stages of all systems are evaluated."""
THRESHOLDS = ContextSettings().thresholds
"""The thresholds of components that a context has where it names none."""
