"""Serve health snapshots as Prometheus metrics over HTTP."""
