"""The class caches of Java: how they are used, and that a start goes on without them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dataops_local import class_cache, fetch, java
from dataops_local.errors import LocalError
from dataops_local.layout import Layout
from dataops_local.supervisor import Program


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A stack with an empty cache, and a Java that prints its arguments."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetch.home("kafka").mkdir(parents=True)
    layout = Layout(tmp_path / "state", 20_000)
    layout.__dict__["java"] = "/bin/echo"
    return layout


def test_a_cache_that_is_not_built_is_not_named(layout: Layout) -> None:
    assert java.cached_classes("kafka") == ()
    java.class_cache("kafka").touch()
    assert java.cached_classes("kafka") == (f"-XX:AOTCache={java.class_cache('kafka')}", "-Xlog:aot*=off")


def test_another_installation_of_pyspark_has_caches_of_its_own(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar, linked = tmp_path / "a.jar", tmp_path / "other" / "a.jar"
    linked.parent.mkdir()
    jar.touch()
    linked.hardlink_to(jar)  # as uv installs a package

    def caches(installed: Path) -> dict[str, Path]:
        monkeypatch.setattr("dataops_local.ivy.pyspark_jars", lambda: [installed])
        return {kind: java.class_cache(kind) for kind in fetch.KINDS}

    before, elsewhere = caches(jar), caches(linked)
    os.utime(jar, (0, 0))
    for other in (elsewhere, caches(jar)):
        assert [kind for kind in fetch.KINDS if other[kind] != before[kind]] == ["spark", "trino"]


def test_the_newest_caches_of_a_kind_stay(layout: Layout) -> None:
    java.class_cache("trino").touch()
    made = [java.class_cache("kafka").with_name(f"kafka-{number}.aot") for number in range(5)]
    for age, path in enumerate(made):
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    class_cache._drop_old("kafka")
    assert [path for path in made if path.exists()] == made[:3]
    assert java.class_cache("trino").exists()


@pytest.mark.programs
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-cp a org.apache.spark.deploy.SparkSubmit x", "-XX:A -cp a org.apache.spark.deploy.SparkSubmit x"),
        ("-cp a --add-modules=jdk.incubator.vector b", "-cp a b"),
        (
            "-cp a org.apache.spark.launcher.Main org.apache.spark.deploy.SparkSubmit x",
            "-cp a org.apache.spark.launcher.Main org.apache.spark.deploy.SparkSubmit x",
        ),
    ],
)
def test_only_a_driver_of_spark_uses_the_cache(layout: Layout, arguments: str, expected: str) -> None:
    program = java.spark_home(layout, ["-XX:A"]) / "bin/java"
    done = subprocess.run([program, *arguments.split()], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_a_cache_that_cannot_be_built_is_reported_once(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(kind: str, _: Layout) -> None:
        built.append(kind)
        if kind == "trino":
            raise LocalError("it exited with code 1")
        java.class_cache(kind).touch()

    monkeypatch.setattr(class_cache, "_build", build)
    said: list[str] = []
    class_cache.build(said.append)
    assert sorted(built) == ["kafka", "spark", "trino"]
    assert said[1:] == ["the class cache of trino was not built, so it starts more slowly: it exited with code 1"]
    class_cache.build(said.append)
    assert len(built) == 3
    assert java.cached_classes("trino") == ()


@pytest.mark.programs
def test_what_takes_too_long_is_killed_with_what_it_started(tmp_path: Path, layout: Layout) -> None:
    (tmp_path / "state").mkdir()
    child = "import subprocess; subprocess.run(['sleep', '600'])"
    family: list[psutil.Process] = []

    def wait() -> None:
        program = Program("sleeper", (sys.executable, "-c", child), {})
        with class_cache._running(layout, program) as process:
            while len(family) < 2:
                first = psutil.Process(process.pid)
                family[:] = [first, *first.children()]
                time.sleep(0.05)
            process.wait(1)

    with pytest.raises(LocalError, match="it did not end within 1 s: no output"):
        wait()
    deadline = time.monotonic() + 30
    while left := [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
