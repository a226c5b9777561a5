"""Iceberg: client, probe and checks."""
