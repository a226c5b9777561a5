"""Trino: client, probe and checks."""
