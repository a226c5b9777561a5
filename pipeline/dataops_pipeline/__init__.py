"""Boreal Bridge: the pipeline that ships with DataOps TUI."""
