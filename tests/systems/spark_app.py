"""A driver that runs Spark applications one after the other; each argument is `NAME=OUTCOME`."""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

HANGS = 600.0
"""Seconds of a task that hangs; the driver is killed meanwhile."""


def amount(number: int) -> int:
    if number == 7:
        raise ValueError("bad amount in row 7")
    return number


def work(session: SparkSession, outcome: str) -> None:
    numbers = session.sparkContext.parallelize(range(10), 1)
    match outcome:
        case "succeed":
            session.range(10).selectExpr("id % 2 AS part").groupBy("part").count().collect()
        case "task-fails":
            with suppress(Exception):  # the next application still runs
                numbers.map(amount).count()
        case "query-fails":
            with suppress(AnalysisException):
                session.sql("INSERT INTO no_such_table SELECT 1")
        case "nothing":
            session.createDataFrame([(1,)], "id int")
        case "hang":
            numbers.map(lambda number: time.sleep(HANGS) or number).count()
        case _:
            raise SystemExit(f"no such outcome: {outcome}")


def main() -> None:
    for argument in sys.argv[1:]:
        name, _, outcome = argument.partition("=")
        session = SparkSession.builder.appName(name).getOrCreate()
        work(session, outcome)
        session.stop()


if __name__ == "__main__":
    main()
