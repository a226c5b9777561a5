"""The docs are true: what the code knows is written from it, links lead somewhere, examples are valid."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from dataops_core.systems.registry import BUILT_IN, registry
from dataops_tui.base import ConsoleScreen

ROOT = Path(__file__).parents[2]
SYSTEMS = ROOT / "docs/systems"
SECTIONS = ("Set up", "What is read", "Progress", "Permissions", "Cost", "Findings", "Tested on", "Limits")
"""Sections of the page of a system, in order; further ones may follow."""
PARTS = ("docs", "dashboards", "deploy")
PAGES = sorted([*ROOT.glob("*.md"), *(path for part in PARTS for path in (ROOT / part).rglob("*.md"))])


def test_commands_settings_metrics_and_keys_are_those_of_the_code() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["checks", "commands", "settings", "metrics", "keys", "alerts", "values", "systems"])
def test_each_of_them_has_its_place(name: str) -> None:
    assert sum(f"<!-- generated: {name} -->" in page.read_text() for page in PAGES) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_system_has_a_page_with_the_same_sections(name: str) -> None:
    assert f"[`{name}`]({name}.md)" in (SYSTEMS / "index.md").read_text()
    page = (SYSTEMS / f"{name}.md").read_text()
    assert page.startswith(f"# `{name}`: ")
    sections = [section.partition("\n") for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]]
    assert tuple(title for title, _, _ in sections[: len(SECTIONS)]) == SECTIONS
    text = {title: text for title, _, text in sections}
    assert all(len(text[title].split()) > 3 for title in SECTIONS)
    assert "```toml" in text["Set up"]
    for called in ("`dataops doctor`", "`config init`"):
        assert called in text["What is read"], called
    for title in ("What is read", "Tested on"):
        assert "|---|" in text[title], title
    assert "not tried" in text["Tested on"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_page_of_a_system_has_its_tested_versions_and_kinds(name: str) -> None:
    page = (SYSTEMS / f"{name}.md").read_text()
    system = registry().system(name)
    assert system is not None
    tested = page.partition("## Tested on")[2].partition("\n## ")[0]
    for version in re.findall(r"\d+(?:\.\d+)+", system.tested):
        assert version in tested, version
    for kind in (*system.components, *system.stage_kinds):
        assert f"`{kind.name}`" in page, kind.name


def test_the_table_of_systems_says_which_have_screens() -> None:
    import_module("dataops_tui.app")
    screens, components = [ConsoleScreen], set[str]()
    while screens:
        screen = screens.pop()
        screens += screen.__subclasses__()
        components.add(screen.COMPONENT)
    components |= {"prometheus", "iceberg"}  # alerts and tables of all components are on one screen
    with_screens = {
        system.name for system in registry().systems(BUILT_IN) if components & {kind.name for kind in system.components}
    }
    table = (SYSTEMS / "index.md").read_text()
    shown = {row[1] for row in re.finditer(r"^\| \[`(\w+)`\].*\| screens \|", table, re.MULTILINE)}
    assert shown == with_screens


@pytest.mark.timeout(600)
def test_the_site_has_every_page_and_no_dead_link(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-c", "docs", "-b", "dummy", ".", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


CODE = re.compile(r"`(dataops_(?:core|tui|exporter|pipeline)[\w.]*)(?:\(([^`]*)\))?`")
"""A module, a class or a function in backticks, with the parameters that it is called with."""


def named_in(path: str) -> object:
    """Return the module, class or function of a dotted path."""
    module, names = path, list[str]()
    while find_spec_of(module) is None:
        module, _, name = module.rpartition(".")
        names.insert(0, name)
    return reduce(getattr, names, import_module(module))


def find_spec_of(module: str) -> object:
    try:
        return find_spec(module)
    except ModuleNotFoundError:  # its parent is a module and no package
        return None


def test_the_architecture_names_code_that_exists() -> None:
    found = CODE.findall((ROOT / "docs/architecture.md").read_text())
    assert len(found) > 40
    for path, parameters in found:
        named = named_in(path)
        if parameters:
            known = inspect.signature(named).parameters  # type: ignore[arg-type]
            assert set(parameters.split(", ")) <= set(known), path
    with pytest.raises(AttributeError):
        named_in("dataops_core.monitor.Monitors")


def test_every_make_target_and_simulator_option_is_described() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    makefile = (ROOT / "Makefile").read_text()
    for line in re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE):
        for target in line.split():
            assert f"make {target}" in text, target
    done = subprocess.run(
        [sys.executable, "-m", "dataops_pipeline.simulator", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
    )
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}
    assert len(options) > 8
    for option in options:
        if not option.startswith("--no-"):
            assert f"{option}" in text, option


def test_the_readme_begins_with_the_two_commands() -> None:
    start = (ROOT / "README.md").read_text()[:1500]
    assert "make demo" in start
    assert "make test" in start
