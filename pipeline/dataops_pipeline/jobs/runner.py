"""The common runner of all jobs: it logs one line with the result, or one line with the error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from py4j.protocol import Py4JError
from pyiceberg.exceptions import CommitFailedException, RESTError
from pyspark.errors import PySparkException

from dataops_pipeline.settings import JobError, JobSettings, NotYet

SKIPPED = 99
"""Exit code of a job without input; Airflow's Bash operator then skips the task."""

log = logging.getLogger("job")


def run(job: Callable[[JobSettings], str]) -> None:
    """Run a job and exit: 0 with its summary, 1 with the error, 99 if it has no input yet."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    began = time.monotonic()
    try:
        done = job(JobSettings.from_env())
    except NotYet as error:
        log.warning("nothing done: %s", error)
        sys.exit(SKIPPED)
    except JobError as error:
        sys.exit(f"error: {error}")
    except (PySparkException, Py4JError, RESTError, CommitFailedException, OSError) as error:
        sys.exit(f"error: {first_line(error)}")
    log.info("%s in %.1f s", done, time.monotonic() - began)


def first_line(error: BaseException) -> str:
    """Return the message of an error, without the stack traces of Java and Spark."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else ""
    if first.startswith("An error occurred while calling") and len(lines) > 1:
        first = lines[1].removeprefix(": ")
    return f"{type(error).__name__}: {first[:300]}"
