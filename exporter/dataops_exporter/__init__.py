"""Health snapshots as Prometheus metrics, over HTTP."""
