"""Every code block in the docs runs in a test, or says here why not."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from dataops_core.cli.app import main as dataops
from dataops_core.systems.registry import find_problems
from dataops_exporter import __main__ as exporter
from dataops_exporter.web import WebConfig
from dataops_tui.__main__ import main as console

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "docs/decisions/*.md",
        "docs/systems/*.md",
        "dashboards/runbooks/*.md",
        "deploy/helm/*/*.md",
    )
    for path in ROOT.glob(pattern)
)
CHECKED_ELSEWHERE = {
    ("toml", "docs/extending.md"): "tests/unit/test_plugins.py builds that system, and probes such a file",
    ("sql", "docs/sql.md"): "tests/e2e/test_sql.py runs it on the real Trino",
    ("sql", "docs/boreal-bridge.md"): "tests/e2e/test_sql.py runs it on the real Trino",
    ("yaml", "docs/prometheus.md"): "tests/unit/test_alerts.py gives it to promtool, test_chart.py to the schema",
}
NOT_RUN = {
    "amtool": "tests/unit/test_alerts.py runs it",
    "cd": "the shell's own",
    "echo": "the shell's own",
    "git": "needs the address of the repository",
    "helm": "needs a cluster; tests/chart/test_installed.py installs the chart on a kube-apiserver",
    "kafka-acls.sh": "tests/e2e/test_kafka_security.py reads with these rights",
    "pip": "tests/packaging installs the wheel with and without the console",
    "sed": "only feeds dataops, or edits a file",
    "spark-submit": "tests/e2e/test_spark_cluster.py runs it with the local stack's jars",
}
"""Programs that are not ours, and why their lines are not run here."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and where it begins."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    fence = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    for path in PAGES:
        text = path.read_text()
        assert text.count("```") % 2 == 0, path
        for found in fence.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(str(path.relative_to(ROOT)), line, found[2], found[3])


BLOCKS = list(blocks())


def test_there_is_no_block_that_nobody_checks() -> None:
    assert len(BLOCKS) > 30
    known = {"sh", "console", "python", "toml", "yaml", "sql", "text"}
    assert [str(b) for b in BLOCKS if b.language not in known] == [], "name the language; `text` is no code"
    for language, page in CHECKED_ELSEWHERE:
        assert any(b.language == language and b.page == page for b in BLOCKS), page
    elsewhere = [b for b in BLOCKS if b.language == "sql" and ("sql", b.page) not in CHECKED_ELSEWHERE]
    assert elsewhere == []


@pytest.mark.parametrize(
    "page", sorted({b.page for b in BLOCKS if b.language == "toml" and ("toml", b.page) not in CHECKED_ELSEWHERE})
)
def test_settings_are_valid(page: str, tmp_path: Path) -> None:
    """A page's blocks are parts of one file; one that names no context is about something else."""
    text = "\n".join(b.text for b in BLOCKS if b.page == page and b.language == "toml")
    path = tmp_path / "dataops.toml"
    path.write_text(text if "[contexts." in text else f"[contexts.prod]\n{text}")
    assert find_problems(path) == ()


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "yaml" and ("yaml", b.page) not in CHECKED_ELSEWHERE], ids=str
)
def test_a_web_configuration_is_valid(block: Block) -> None:
    WebConfig.model_validate(yaml.safe_load(block.text))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=str)
def test_python_compiles_and_imports_what_there_is(block: Block) -> None:
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dataops_core"):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names)


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command in a block of shell; of a `console`, what is typed at its prompts."""
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    for line in text.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        for word in words:
            if set(word) <= set("();<>|&"):
                yield command
                command = []
            else:
                command.append(word)
        yield command


SHELL = [b for b in BLOCKS if b.language in ("sh", "console")]


@pytest.mark.programs
@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_exist_and_take_these_options(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found = [command for command in commands(block) if command]
    assert found
    for program, *arguments in found:
        match program.rpartition("/")[2]:
            case "make":
                names = [word for word in arguments if "=" not in word]
                assert names
                assert set(names) <= targets, program
            case "dataops":
                # a command's words are all parsed before its help is printed
                assert dataops([*arguments, "--help"]) == 0, capsys.readouterr().err
            case "dataops-tui":
                assert console([*arguments, "--help"]) == 0, capsys.readouterr().err
            case "dataops-exporter":
                exporter.parser().parse_args(arguments)
            case other:
                assert other in NOT_RUN, f"{other}: run it in a test, or say why not"


def test_what_is_not_run_is_still_written_somewhere() -> None:
    programs = {command[0].rpartition("/")[2] for block in SHELL for command in commands(block) if command}
    assert set(NOT_RUN) <= programs
