"""The version of what is installed."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Return the version of the distribution, or `unknown` where its code runs without being installed."""
    try:
        return metadata.version("dataops-tui")
    except metadata.PackageNotFoundError:
        return "unknown"
