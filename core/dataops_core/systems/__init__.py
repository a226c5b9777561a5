"""One folder per system: all that the product knows about Kafka, Spark, Iceberg, Trino, Airflow and Prometheus.

Vendor SDKs are imported below this package only; every call has a deadline and raises the project's own errors.
"""

from dataops_core.systems import lazy_imports

lazy_imports.install()
