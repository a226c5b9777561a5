"""Spark: client, probe and checks."""
