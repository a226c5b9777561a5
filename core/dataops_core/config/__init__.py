"""Settings: the building blocks, the tree that knows no system, and how a file is found, read and checked."""

from dataops_core.config.base import (
    ComponentSettings,
    LocalPath,
    Secret,
    SecretSource,
    Section,
    StageSettings,
    TlsSettings,
    WebSettings,
)
from dataops_core.config.load import ENVIRONMENT, context_of, find_config
from dataops_core.config.model import (
    CanaryHop,
    CanarySettings,
    ConsoleSettings,
    ContextSettings,
    DagSelection,
    ExporterSettings,
    GroupSelection,
    PipelineSettings,
    RecorderSettings,
    Selection,
    Settings,
    TableSelection,
    TopicSelection,
)
from dataops_core.config.secret import resolve_secret, without_user_info

__all__ = [
    "ENVIRONMENT",
    "CanaryHop",
    "CanarySettings",
    "ComponentSettings",
    "ConsoleSettings",
    "ContextSettings",
    "DagSelection",
    "ExporterSettings",
    "GroupSelection",
    "LocalPath",
    "PipelineSettings",
    "RecorderSettings",
    "Secret",
    "SecretSource",
    "Section",
    "Selection",
    "Settings",
    "StageSettings",
    "TableSelection",
    "TlsSettings",
    "TopicSelection",
    "WebSettings",
    "context_of",
    "find_config",
    "resolve_secret",
    "without_user_info",
]
