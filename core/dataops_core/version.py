"""The installed version."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Return the version of the installed distribution; `unknown` if it is not installed."""
    try:
        return metadata.version("dataops-tui")
    except metadata.PackageNotFoundError:
        return "unknown"
