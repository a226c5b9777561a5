"""Kafka: client, probe and checks."""
