"""Entry point for spark-submit: `spark-submit … submit.py land_readings` runs a job of `dataops_pipeline.jobs`."""

from __future__ import annotations

import re
import runpy
import sys

if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"[a-z_]+", sys.argv[1]):
        sys.exit("error: name one job of dataops_pipeline.jobs, such as land_readings")
    job = sys.argv.pop()
    runpy.run_module(f"dataops_pipeline.jobs.{job}", run_name="__main__", alter_sys=True)
