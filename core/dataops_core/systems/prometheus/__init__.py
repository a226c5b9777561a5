"""Prometheus and Alertmanager: client, probe and checks."""
