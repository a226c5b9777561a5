"""Probes: from clients to observations. One file per component; no probe computes a status."""
