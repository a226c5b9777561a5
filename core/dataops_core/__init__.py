"""The headless core: settings, clients, probes, health and actions. Imports no terminal, Spark or Airflow code."""
