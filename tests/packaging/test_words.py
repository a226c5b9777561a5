"""Text that people read uses the terms of the field: no coined words, no sentence of more than 40 words, no TODO.

`python -m tests.packaging.test_words` prints the number of hits in every scope; `… SCOPE` also prints the hits.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from dataops_core.cli.app import app as dataops
from dataops_core.config.describe import describe
from dataops_core.config.load import sections
from dataops_core.health.checks.unreachable import FAILURES, UNKNOWN
from dataops_core.systems.registry import registry
from dataops_exporter.compatibility import METRICS as COMPATIBILITY
from dataops_exporter.metrics import METRICS
from dataops_tui.__main__ import app as console
from dataops_tui.keys import bindings

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]
EXERCISE = "docs/exercise"
UNIT = "second|minute|hour|day|week"
TERMS = {
    "again, re-created": r"\banew\b",
    "fix": r"\bmend(s|ed|ing)?\b",
    "maintenance": r"\bupkeep\b",
    "reports, shows; unknown": r"\b(is|are|was|were|be|been|not) told\b|\btold of\b|\btells?\b",
    "cluster scan": r"\bsurvey(s|ed|ing)?\b",
    "refresh, probe run": r"\b(first|next|last|newest|previous|each|every|two|three|full|whole|its|of|a|per) looks?\b",
    "metric, value": r"\bfigures?\b",
    "derivatives, similar": r"\bkin\b",
    "is unavailable": r"\b(is|are) away\b",
    "no response": r"\bdo(es)? not answer\b|\bnobody knows\b|\bnonsense\b",
    "15 minutes, 30 minutes": r"\b(quarter of an|half an) hour\b",
    "p50, p99": r"\bat the median\b|\b99 of 100\b",
    "every": rf"\beach (\d+ )?({UNIT})s?\b",
    "for (a duration)": rf"(?<!-)\bsince \d+ ?(s|m|min|h|d|{UNIT})s?\b",
    "objective, SLO": r"\bpromise[sd]?\b",
    "CA, CA certificates": r"\bauthorit(y|ies)\b",
    "ETA": r"\bcaught up in\b",
    "probe duration": r"\bthe probe took\b",
    "read-write, read-only": r"\bchanges allowed\b|\bno changes\b",
    "Back; Reverse sort": r"\bplace before\b|\bturn the order\b",
    "unknown": r"\bnot known\b",
    "access denied": r"\b(is|are) (not )?let in\b",
    "malformed records; GC": r"\bgarbage\b",
    "compatibility metrics": r"\bdialects\b|\bthe dialect\b",
    "done": r"\b(?-i:TODO)\b",
}
"""What to write, and the pattern of what not to write."""
ALLOWED: dict[str, str] = {
    "*survey*": "a label of a metric, which is an interface",
    'probe!="survey"': "the value of that label in a query",
    "garbage collection": "what Python's GC does",
    "figures: Measurements of": "a field of the JSON form, which is an interface",
}
"""Text in which a hit is right, and why. At most 20."""
COINED = frozenset(
    [
        "anew",
        "authorities",
        "authority",
        "away",
        "conclude",
        "concluded",
        "dialect",
        "dialects",
        "edges",
        "fact",
        "facts",
        "few",
        "figure",
        "figures",
        "fold",
        "folded",
        "folds",
        "found",
        "garbage",
        "gate",
        "gates",
        "judge",
        "judges",
        "kin",
        "lies",
        "look",
        "looked",
        "looks",
        "mend",
        "mends",
        "nonsense",
        "onboarding",
        "passages",
        "promise",
        "promised",
        "seen",
        "seldom",
        "survey",
        "surveys",
        "tell",
        "telling",
        "tells",
        "told",
        "upkeep",
    ]
)
"""Words that no identifier holds; the left column of the table of terms."""
IDENTIFIERS = {
    "SEEN": "an outcome of the canary in its JSON",
    "dialects": "a settings key",
    "dialect": "the column of a database's kind in the JSON of `sql_query`",
    "facts": "a JSON key, also in recordings",
    "figures": "a JSON key, also in recordings",
    "NOT_FOUND": "Kafka errors of the kind of HTTP 404",
    "NotFound": "the error for HTTP 404",
    "garbage": "an option of the simulator",
    "passages": "a JSON key of the canary",
    "seen": "a JSON key of an incident",
    "survey_every": "a settings key",
}
"""Identifiers that hold such a word because they are an interface, and what of."""
NAMING = tuple(
    f"core/dataops_core/{part}"
    for part in ("actions", "cli", "config", "diagnostics", "health", "recorder", "sql", "transport")
)
"""Folders whose docstrings begin with a noun or an imperative."""
VAGUE_BEGINNING = re.compile(r"(What|Whatever|Who|Whoever|Let|Have|Say|Tell)\b")
LONGEST = 40
"""Words in a sentence of the docs."""

Text = tuple[str, str]
"""Where a text stands, and the text."""


def _yaml_texts() -> Iterator[Text]:
    for group in yaml.safe_load((ROOT / "dashboards/alerts/rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            for name in ("summary", "description"):
                if "alert" in rule:
                    yield f"{rule['alert']} {name}", rule["annotations"][name]


def _runbooks() -> Iterator[Text]:
    yield from _pages(sorted((ROOT / "dashboards/runbooks").glob("*.md")))


def _dashboards() -> Iterator[Text]:
    for path in sorted((ROOT / "dashboards/grafana").glob("*.json")):
        board = json.loads(path.read_text())
        yield path.stem, board["description"]
        for panel in board["panels"]:
            legends = (target.get("legendFormat", "") for target in panel.get("targets", []))
            texts = (
                panel["title"],
                panel.get("description", ""),
                panel.get("options", {}).get("content", ""),
                *legends,
            )
            yield f"{path.stem} {panel['title']}", ". ".join(texts)


def _metric_help() -> Iterator[Text]:
    for metric in (*METRICS, *COMPATIBILITY):
        yield metric.name, metric.help


def _checks() -> Iterator[Text]:
    for check, _ in registry().checks():
        yield check.name, f"{check.meaning} {check.remedy}"
    for failure in (*FAILURES, UNKNOWN):
        yield failure.name, f"{failure.meaning} {failure.remedy}"


def _keys() -> Iterator[Text]:
    for owner, binding in bindings():
        yield f"{owner.__name__} {binding.id}", f"{binding.description}. {binding.tooltip}"


def _commands() -> Iterator[Text]:
    def walk(path: str, command: Any) -> Iterator[Text]:
        yield path, command.help or ""
        for parameter in command.params:
            yield f"{path} {parameter.name}", getattr(parameter, "help", None) or ""
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(f"{path} {name}", inner)

    yield from walk("dataops", typer.main.get_command(dataops))
    yield from walk("dataops-tui", typer.main.get_command(console))


def _settings() -> Iterator[Text]:
    tree = registry().settings_type()
    describe(tree)
    for at, model in sections(tree):
        yield ".".join(at), model.__doc__ or ""
        for name, field in model.model_fields.items():
            yield ".".join((*at, name)), field.description or ""


def _pages(paths: list[Path]) -> Iterator[Text]:
    for path in paths:
        text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        for number, block in enumerate(re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.|\||#))", text), 1):
            yield f"{path.relative_to(ROOT)} block {number}", block


def _docs() -> Iterator[Text]:
    docs = [path for part in ("docs", "docs/decisions", "docs/systems") for path in (ROOT / part).glob("*.md")]
    yield from _pages([ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(docs)])


def _targets() -> Iterator[Text]:
    for name, text in re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE):
        yield f"make {name}", text


def _exercise() -> Iterator[Text]:
    """Yield the exercise's pages, its backlog, and the strings and docstrings of its code."""
    yield from _pages(sorted((ROOT / EXERCISE).rglob("*.md")))
    backlog = ROOT / EXERCISE / "team/backlog.toml"
    yield from ((f"backlog.toml {where}", text) for where, text in _leaves(tomllib.loads(backlog.read_text())))
    yield from _strings(EXERCISE)
    yield from _docstrings(EXERCISE)


def _leaves(value: object, *path: str) -> Iterator[Text]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, *path, str(key))
    elif isinstance(value, str):
        yield ".".join(path), value


def _modules(*parts: str) -> Iterator[tuple[Path, ast.Module]]:
    for part in parts:
        for path in sorted((ROOT / part).rglob("*.py")):
            yield path, _parsed(path)


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _docstrings(*parts: str) -> Iterator[Text]:
    for path, tree in _modules(*parts):
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and (text := _literal(node.value)):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def _strings(*parts: str) -> Iterator[Text]:
    """Yield string literals of several words that are no docstrings."""
    for path, tree in _modules(*parts):
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in docstrings and " " in _literal(node).strip():
                yield f"{path.relative_to(ROOT)}:{node.lineno}", _literal(node)


def _identifiers() -> Iterator[Text]:
    """Yield the names of modules, classes, their fields, functions, their parameters, and constants."""
    for path, tree in _modules("core", "exporter", "tui", "pipeline", "deploy"):
        where = str(path.relative_to(ROOT))
        yield where, path.stem
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{where}:{node.lineno}", node.name
            elif isinstance(node, ast.arg):
                yield f"{where}:{node.lineno}", node.arg
            if isinstance(node, ast.ClassDef | ast.Module):
                yield from ((f"{where}:{line}", name) for line, name in _assigned(node.body))


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    for statement in body:
        if isinstance(statement, ast.AnnAssign | ast.Assign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from ((statement.lineno, node.id) for node in targets if isinstance(node, ast.Name))


def coined(name: str) -> list[str]:
    """Return the words of an identifier that the field does not use."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return [word.lower() for word in words if word.lower() in COINED]


def _literal(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


SCOPES: dict[str, Callable[[], Iterator[Text]]] = {
    "alert rules": _yaml_texts,
    "runbooks": _runbooks,
    "dashboards": _dashboards,
    "metric HELP": _metric_help,
    "checks": _checks,
    "console keys": _keys,
    "console strings": lambda: _strings("tui"),
    "command help": _commands,
    "help of make": _targets,
    "settings": _settings,
    "strings of core, exporter, pipeline and deploy": lambda: _strings("core", "exporter", "pipeline", "deploy"),
    "README and docs": _docs,
    "the exercise": _exercise,
    "docstrings": lambda: _docstrings("core", "tui", "exporter"),
}
PROSE = ("alert rules", "runbooks", "README and docs", "the exercise")
"""Scopes whose sentences are counted."""


@cache
def texts_of(scope: Callable[[], Iterator[Text]]) -> list[Text]:
    """Return all texts of a scope, which are read once."""
    return list(scope())


ANY_TERM = re.compile("|".join(TERMS.values()), re.IGNORECASE)


def hits(scope: str) -> list[str]:
    """Return where a scope uses a term that it should not use, or a sentence that is too long."""
    found: list[str] = []
    for where, text in texts_of(SCOPES[scope]):
        plain = re.sub(r"`[^`]*`|{{.*?}}", "`", text)
        plain = re.sub(r"\]\([^)]*\)", "]", plain)
        for allowed in ALLOWED:
            plain = plain.replace(allowed, "")
        if ANY_TERM.search(plain):
            for instead, pattern in TERMS.items():
                used = re.finditer(pattern, plain, re.IGNORECASE)
                found.extend(f"{where}: {match[0]!r}: write {instead!r}" for match in used)
        if scope in PROSE and not plain.lstrip().startswith(("|", "<")):
            for sentence in re.split(r"(?<=[.!?:])\s+", plain):
                words = sentence.split()
                if sum(bool(re.search(r"\w", word)) for word in words) > LONGEST:
                    found.append(f"{where}: {len(words)} words: {' '.join(words)[:60]}…")
    return found


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_texts_use_the_terms_of_the_field(scope: str) -> None:
    assert hits(scope) == []


def test_a_term_and_a_long_sentence_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        SCOPES, "README and docs", lambda: iter([("a", "It is mended, each 5 minutes."), ("b", "word " * 41)])
    )
    assert [hit.split(":")[0] for hit in hits("README and docs")] == ["a", "a", "b"]


def test_each_exception_is_still_needed_and_there_are_few() -> None:
    assert len(ALLOWED) <= 20
    texts = "\n".join(text for scope in SCOPES.values() for _, text in texts_of(scope))
    assert [allowed for allowed in ALLOWED if allowed not in texts] == []


def test_docstrings_of_the_core_name_their_subject() -> None:
    found = [f"{where}: {text[:60]}" for where, text in _docstrings(*NAMING) if VAGUE_BEGINNING.match(text)]
    assert found == []


def test_identifiers_use_the_terms_of_the_field() -> None:
    found = [f"{where}: {name}" for where, name in _identifiers() if coined(name) and name not in IDENTIFIERS]
    assert found == []


def test_each_word_of_an_identifier_is_read() -> None:
    assert coined("SurveyTime") == coined("SURVEY_TIME") == coined("_survey_2") == ["survey"]
    assert coined("FoldersLooked") == ["looked"]
    assert coined("folder_factor") == []


def test_each_identifier_that_is_excepted_is_there() -> None:
    assert IDENTIFIERS.keys() - {name for _, name in _identifiers()} == set()


if __name__ == "__main__":
    for name in SCOPES:
        found = hits(name)
        shown = [f"       {hit}" for hit in found if name in sys.argv[1:]]
        sys.stdout.write("\n".join([f"{len(found):5}  {name}", *shown, ""]))
