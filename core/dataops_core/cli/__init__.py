"""The command line `dataops`."""

from dataops_core.cli.app import main, run

__all__ = ["main", "run"]
