"""The wheel and the source distribution, each installed into an empty environment; `make dist` checks those in dist."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from tests.real_terminal import RealTerminal

ROOT = Path(__file__).parents[2]
UV = ROOT / ".local/uv/bin/uv"

pytestmark = [pytest.mark.programs, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("DATAOPS_TEST_DIST"):
        return Path(given)
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


def test_the_source_distribution_holds_the_packages_and_no_more(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = [name.split("/", 1)[1] for name in archive.getnames()]
    packages = {"core", "tui", "exporter", "pipeline"}
    files = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}
    assert {name.split("/")[0] for name in names} == packages | files
    assert not [name for name in names if name.endswith(".pyc")]
    assert path.stat().st_size < 5_000_000


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_it_installs_into_an_empty_environment_and_runs(built: Path, tmp_path: Path, pattern: str) -> None:
    (path,) = built.glob(pattern)
    programs = tmp_path / "env/bin"
    install = [UV, "pip", "install", "--quiet", "--python", programs / "python", "--constraint", "requirements/dev.txt"]
    # most modules are never imported, so uv need not compile them
    env = {name: value for name, value in os.environ.items() if name != "UV_COMPILE_BYTECODE"}
    for command in ([UV, "venv", "--quiet", "--python", sys.executable, programs.parent], [*install, f"{path}[tui]"]):
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
    for program in ("dataops", "dataops-tui", "dataops-exporter"):
        done = subprocess.run(
            [programs / program, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.stdout.startswith(f"{program} "), done.stderr
        assert path.name.startswith(f"dataops_tui-{done.stdout.split()[1]}")
    with RealTerminal([str(programs / "dataops-tui"), "--replay"]) as terminal:
        terminal.until(lambda text: "land_readings" in text and "Quit" in text, "the shipped incident")
        for _ in range(30):  # a key that is pressed with the first frame may come too early
            if terminal.process.poll() is None:
                terminal.write(b"q")
                time.sleep(1)
        assert terminal.exit_code() == 0
