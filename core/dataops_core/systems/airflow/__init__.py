"""Airflow: client, probe and checks."""
