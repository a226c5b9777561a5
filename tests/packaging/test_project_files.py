"""What a public project has beside its code: CI, hooks, templates and the pages for those who take part."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import yaml

ROOT = Path(__file__).parents[2]


def document(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def targets() -> set[str]:
    lines = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {name for line in lines for name in line.split()}


def test_the_workflow_the_ci_script_and_the_readme_run_one_command() -> None:
    workflow = document(".github/workflows/test.yml")
    (job,) = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == ["make test"]
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == f"exec {commands[0]}"
    assert re.search(r"^make test +#", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True].keys() == {"push", "pull_request"}  # YAML reads `on` as a boolean
    (python,) = (step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert f'requires-python = ">={python}"' in (ROOT / "pyproject.toml").read_text()


def test_the_nightly_workflow_runs_each_group_that_make_test_leaves_out() -> None:
    (job,) = document(".github/workflows/nightly.yml")["jobs"].values()
    nightly = job["strategy"]["matrix"]["target"]
    assert set(nightly) <= targets()
    makefile = (ROOT / "Makefile").read_text()
    (short,) = re.findall(r"^SHORT := (.*)$", makefile, re.MULTILINE)
    recipes = dict(re.findall(r"^([a-z-]+):.*\n\t(.*)$", makefile, re.MULTILINE))
    for mark in re.findall(r"not (\w+)", short):
        assert any(recipes[target].endswith(f"-m {mark}") for target in nightly), f"no target of {nightly} runs {mark}"


def test_the_hook_runs_make_quick() -> None:
    (repository,) = document(".pre-commit-config.yaml")["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["language"], hook["entry"]) == ("local", "system", "make quick")
    assert hook["pass_filenames"] is False


def test_issue_forms_are_complete() -> None:
    for name in ("bug", "feature"):
        form = document(f".github/ISSUE_TEMPLATE/{name}.yml")
        assert {"name", "description", "body"} <= form.keys()
        inputs = [part for part in form["body"] if part["type"] != "markdown"]
        assert all(part["attributes"]["label"] for part in inputs)
        assert len({part["id"] for part in inputs}) == len(inputs)
        assert any(part.get("validations", {}).get("required") for part in inputs)


def test_the_files_that_they_name_exist_and_the_targets_too() -> None:
    paths = [
        ".github/pull_request_template.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/releasing.md",
    ]
    text = "\n".join((ROOT / path).read_text() for path in [*paths, *(str(p) for p in ROOT.glob(".github/*/*.yml"))])
    for named in re.findall(r"[\w/]+\.md\b", re.sub(r"\]\([^)]*\)", "]", text)):
        assert (ROOT / named).exists(), named
    named = {
        name
        for run in re.findall(r"`make ([a-z -]+)`|^make ([a-z-]+)", text, re.MULTILINE)
        for name in " ".join(run).split()
    }
    assert named >= {"dist", "quick", "test"}
    assert named <= targets()


def test_the_picture_of_the_layout_names_folders_that_exist() -> None:
    tree = ET.parse(ROOT / "docs/images/layout.svg")
    bold = next(g for g in tree.iter("{http://www.w3.org/2000/svg}g") if g.get("font-weight") == "bold")
    names = [part for text in bold for part in (text.text or "").split(", ")]
    assert len(names) > 10
    for name in names:
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "core/dataops_core")), name


def test_no_wheel_or_other_build_is_committed() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert not [name for name in files if name.endswith((".whl", ".tar.gz", ".egg"))]
