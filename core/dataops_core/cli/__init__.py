"""The command line `dataops`."""

from dataops_core.cli.app import main

__all__ = ["main"]
