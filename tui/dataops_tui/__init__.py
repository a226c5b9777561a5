"""The terminal console: shows health snapshots and sends actions; all data comes from `dataops_core`."""
