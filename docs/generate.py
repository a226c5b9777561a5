"""Write the parts of the docs that the code knows best: commands, settings, metrics, keys, alerts, values.

Each part stands between `<!-- generated: NAME -->` and `<!-- end -->`. Run as `make docs`; with `--check` nothing is
written, and the exit code tells whether something would be.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer.main
import yaml
from pydantic.fields import FieldInfo
from textual.binding import Binding
from textual.keys import format_key

from dataops_core.cli.app import app as dataops
from dataops_core.config import ENVIRONMENT, Secret, SecretSource, Section, StageSettings
from dataops_core.config.describe import describe
from dataops_core.config.load import sections
from dataops_core.health.checks.unreachable import FAILURES, UNKNOWN
from dataops_core.systems.base import ComponentKind
from dataops_core.systems.registry import registry
from dataops_exporter.__main__ import parser
from dataops_exporter.compatibility import METRICS as DIALECTS
from dataops_exporter.metrics import METRICS, Metric
from dataops_tui.__main__ import app as console
from dataops_tui.keys import bindings

DOCS = Path(__file__).parent
CHART = DOCS.parent / "deploy/helm/dataops-exporter"
BLOCK = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def commands() -> Iterator[str]:
    """Yield each command of `dataops` and `dataops-tui` with its options, and those of `dataops-exporter`."""
    yield from _command("dataops", typer.main.get_command(dataops))
    yield from _command("dataops-tui", typer.main.get_command(console))
    yield "### `dataops-exporter`\n\n" + (parser().description or "") + "\n"
    rows = [
        ("`" + ", ".join(a.option_strings) + (f" {a.metavar or a.dest.upper()}`" if a.nargs != 0 else "`"), a.help)
        for a in parser()._actions  # noqa: SLF001 - argparse has no other way to ask
    ]
    shown = [(name, (text or "").replace("%(default)s", _default(name))) for name, text in rows]
    yield _table(("option", "what"), shown)


def _default(option: str) -> str:
    return str(parser().get_default(option.split(maxsplit=1)[0].strip("`-")))


def _command(path: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - click's and typer's own classes
    yield f"### `{path}`\n\n{inspect.cleandoc(command.help or '')}\n"
    rows = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            many = "…" if parameter.nargs == -1 else ""
            rows.append((f"`{parameter.metavar or parameter.name.upper()}{many}`", parameter.help))
        else:
            value = "" if parameter.is_flag else f" {parameter.metavar or _choices(parameter)}"
            known = "" if parameter.is_flag or parameter.default is None else f" Default: `{parameter.default}`."
            rows.append((f"`{', '.join(parameter.opts)}{value}`", f"{parameter.help}{known}"))
    rows.append(("`-h, --help`", "Show the help and exit."))
    yield _table(("argument or option", "what"), rows)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(f"{path} {name}", inner)


def _choices(parameter: Any) -> str:  # noqa: ANN401 - as above
    values = parameter.type_descriptor.annotation
    return "/".join(choice.value for choice in values) if issubclass(values, Enum) else values.__name__.upper()


def settings() -> Iterator[str]:
    """Yield each table of the settings with its keys, and the environment variables."""
    tree = registry().settings_type()
    describe(tree)
    first_stage = True
    components = [kind for system in registry().systems() for kind in system.components]
    known: dict[tuple[str, ...], type[Section]] = {}
    for at, model in sections(tree):
        known[at] = model
        if model is SecretSource:
            continue  # described in words, once
        if at[2:3] == ("components",):
            if components:
                yield from _components(components)
                components = []
            continue  # the same tables again, each with its `system`
        if issubclass(model, StageSettings):
            if first_stage:
                first_stage = False
                yield from _section(
                    "`[[pipelines.NAME.stages]]`, of any kind", StageSettings, StageSettings.model_fields
                )
            own = {name: f for name, f in model.model_fields.items() if name not in StageSettings.model_fields}
            yield from _section(f'`[[pipelines.NAME.stages]]` with `kind = "{at[-1]}"`', model, own)
        else:
            listed = at[-1:] == ("*",) and get_origin(known[at[:-2]].model_fields[at[-2]].annotation) is tuple
            path = (*at[:3], *at[5:]) if at[2:4] == ("stages", "*") else at  # a stage has no name in its place
            place = ".".join(path[:-1] if listed else path).replace("*", "NAME")
            title = f"`[[{place}]]`" if listed else f"`[{place}]`" if place else "Top level"
            yield from _section(title, model, model.model_fields)
    yield "### Environment variables\n"
    rows = [(f"`{variable}`", f"outranks `{key}`") for key, variable in ENVIRONMENT.items()]
    yield _table(("variable", "what"), [("`DATAOPS_CONFIG`", "the settings file"), *rows])


def _components(kinds: Iterable[ComponentKind]) -> Iterator[str]:
    yield "### `[contexts.NAME.components.NAME]`\n"
    yield (
        "A further component, where a context has several of one system. Its keys are those of the table of its system,"
        " and `system`. A stage names it with `on`; a table and a checkpoint name it with `catalog` and `store`; a"
        " command names it with `--component`.\n"
    )
    shown = [(f"`{k.name}`", f"`[contexts.NAME.{f'{k.plural}.NAME' if k.plural else k.name}]`") for k in kinds]
    yield _table(("`system`", "further keys as in"), shown)


def _section(title: str, model: type[Section], fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    yield f"### {title}\n\n{inspect.cleandoc(model.__doc__ or '')}\n"
    rows = [
        (f"`{field.alias or name}`", _type(field.annotation), _required(field), field.description)
        for name, field in fields.items()
        if not _is_table(field)
    ]
    yield _table(("key", "type", "default", "what"), rows)


def _is_table(field: FieldInfo) -> bool:
    """Tell whether a field is a table of its own, or several."""
    return any(model is not SecretSource and model is not Section for model in _models(field.annotation))


def _models(annotation: Any) -> Iterator[type[Section]]:  # noqa: ANN401 - whatever a field is annotated with
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _required(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    default = field.default
    return (
        f"`{str(default).lower() if isinstance(default, bool) else default}`"
        if default not in ((), {}, "")
        else "empty"
    )


def _type(annotation: Any) -> str:  # noqa: ANN401 - whatever a field is annotated with
    if annotation == Secret or "SecretSource" in str(annotation):
        return "table of secrets" if get_origin(annotation) is dict else "secret"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _type(next(a for a in inner if a is not type(None)))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return f"list of {_type(inner[0])}" if get_origin(inner[0]) is Literal else "list of texts"
    words = {str: "text", float: "number", bool: "true or false", int: "whole number"}
    return words.get(annotation, "text")


def metrics() -> Iterator[str]:
    """Yield the table of metrics, and a table of compatibility metrics for each other exporter."""
    yield from _metrics(METRICS)
    for dialect in dict.fromkeys(metric.compatible_with for metric in DIALECTS):
        yield f"## Compatible with `{dialect}`\n"
        yield from _metrics(metric for metric in DIALECTS if metric.compatible_with == dialect)


def _metrics(found: Iterable[Metric]) -> Iterator[str]:
    rows = [(f"`{m.name}`", ", ".join(f"`{label}`" for label in m.labels), m.help) for m in found]
    yield _table(("metric", "labels", "what"), rows)


def keys() -> Iterator[str]:
    """Yield the keys of each place of the console."""
    places: dict[str, list[tuple[str, str]]] = {}
    for owner, binding in bindings():
        place, row = _key(owner, binding)
        places.setdefault(place, []).append(row)
    for place in sorted(places, key=lambda p: (p != "app", p)):
        yield f"### {PLACES[place]}\n"
        yield _table(("key", "what", "id"), [(*row, f"`{place}.{row_id}`") for *row, row_id in places[place]])


PLACES = {
    "app": "Everywhere",
    "alerts": "Alerts, beside those of lists",
    "ask": "One line is asked for",
    "command": "Command line (`:`)",
    "connect": "Kafka Connect, beside those of lists",
    "dags": "DAGs, beside those of lists",
    "dialog": "Confirmation",
    "editor": "SQL: editor",
    "filter": "Filter (`/`)",
    "help": "Help (`?`)",
    "home": "Pipelines",
    "iceberg": "One Iceberg table, beside those of lists",
    "list": "Lists: all screens but Pipelines, Stage, SQL and logs",
    "log": "Log of a task",
    "peek": "Records of a topic, beside those of lists",
    "pick": "Choosing one of many",
    "place": "Records of a topic: where to begin (`f`)",
    "plan": "SQL: plan",
    "queries": "Queries, beside those of lists",
    "result": "SQL: rows",
    "runs": "Runs of a DAG, beside those of lists",
    "sql": "SQL",
    "stage": "Stage",
    "table": "Tables of rows",
    "tasks": "Tasks of a run, beside those of lists",
    "text": "A text on top of the screen",
    "time": "The past",
    "topic": "One topic, beside those of lists",
    "topics": "Topics, beside those of lists",
}


def _key(owner: type, binding: Binding) -> tuple[str, tuple[str, str, str]]:
    if not binding.id or not binding.tooltip:
        raise SystemExit(f"{owner.__name__}: the key {binding.key} needs an id and a tooltip")
    place, _, name = binding.id.partition(".")
    shown = binding.key_display or ", ".join(format_key(key) for key in binding.key.split(","))
    return place, (f"`{shown}`", binding.tooltip, name)


def alerts() -> Iterator[str]:
    """Yield the table of alerts."""
    groups = yaml.safe_load((DOCS.parent / "dashboards/alerts/rules.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    rows = [
        (
            f"[{rule['alert']}](../dashboards/runbooks/{rule['alert']}.md)",
            rule["labels"]["severity"],
            rule["labels"].get("window"),
            "at once" if rule.get("for", "0m") == "0m" else rule["for"],
            _plain(rule["annotations"]["summary"]),
        )
        for rule in rules
    ]
    yield _table(("alert", "severity", "window", "fires after", "summary"), rows)


def _plain(summary: str) -> str:
    """Return the summary of an alert with its template expressions as words."""
    summary = re.sub(r"{{ \$labels\.(\w+) }}", r"*\1*", summary)
    summary = re.sub(r"{{ reReplaceAll .*? \$labels\.check_id }}", "*component or stage*", summary)
    return summary.replace("{{ $value }}", "*N*")


def values() -> Iterator[str]:
    """Yield the table of the chart's values; the text after `# --` above a value describes it."""
    text = (CHART / "values.yaml").read_text()
    rows = []
    parents: list[tuple[int, str]] = []
    said: list[str] = []
    for line in text.splitlines():
        comment = re.fullmatch(r"\s*# (-- )?(.*)", line)
        key = re.match(r"(\s*)([A-Za-z]\w*):", line)
        if comment:
            said = [comment[2]] if comment[1] else [*said, comment[2]] if said else []
        elif key:
            parents = [*(p for p in parents if p[0] < len(key[1])), (len(key[1]), key[2])]
            if said:
                path = [name for _, name in parents]
                rows.append((f"`{'.'.join(path)}`", f"`{_default_value(text, path)}`", " ".join(said)))
            said = []
    yield _table(("value", "default", "what"), rows)


def _default_value(text: str, path: list[str]) -> str:
    value = yaml.safe_load(text)
    for name in path:
        value = value[name]
    return json.dumps(value)


def _table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    lines += [
        "| " + " | ".join(" ".join(str(cell or "").replace("|", "\\|").split()) for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines) + "\n"


def checks() -> Iterator[str]:
    """Yield what can be wrong with stages and components, and what to do about it."""
    yield _table(
        ("check", "of", "severity", "what is wrong", "remedy"),
        [
            (f"`{c.name}`", ", ".join(f"`{kind}`" for kind in kinds), c.severity.value, c.meaning, c.remedy)
            for c, kinds in registry().checks()
        ],
    )
    yield "A failed probe gives one of these findings, of the component if that is unavailable, else of the stage:\n"
    yield _table(
        ("check", "what is wrong", "remedy"),
        [
            (f"`{f.name}`", f.meaning, f.remedy.format(name="the component", target="its address"))
            for f in (*FAILURES, UNKNOWN)
        ],
    )


def systems() -> Iterator[str]:
    """Yield two tables of the systems: what the product does with each, and what it was tested on."""
    rows, tested = [], []
    for system in registry().systems():
        page = f"[`{system.name}`]({system.name}.md)"
        tested.append((page, system.tested))
        kinds = (*system.components, *system.stage_kinds)
        rows.append(
            (
                page,
                ", ".join(f"`{kind.name}`" for kind in system.components) or "none",
                ", ".join(f"`{kind.name}`" for kind in system.stage_kinds) or "none",
                sum(len(kind.checks) for kind in kinds),
                "further steps" if any(kind.diagnose is not None for kind in kinds) else "yes",
                "yes" if system.discover is not None else "no",
                "screens" if system.name in SCREENS else "yes",
                "series" if any(m.name.startswith(f"dataops_{system.name}_") for m in METRICS) else "yes",
            )
        )
    yield _table(("system", "components", "stages", "checks", "doctor", "`config init`", "console", "exporter"), rows)
    yield _table(("system", "tested on"), tested)


SCREENS = ("kafka", "iceberg", "airflow", "trino", "prometheus", "connect")
"""Systems that have screens of their own, besides the stage's and the component's."""

PARTS = {
    "checks": checks,
    "systems": systems,
    "commands": commands,
    "settings": settings,
    "metrics": metrics,
    "keys": keys,
    "alerts": alerts,
    "values": values,
}


def main() -> int:
    """Write what has changed, or with `--check` say what would."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; exit code 1 where something would change")
    check = options.parse_args().check
    stale = []
    for path in sorted([*DOCS.glob("*.md"), DOCS / "systems/index.md", CHART / "README.md"]):
        before = path.read_text()
        after = BLOCK.sub(lambda found: f"{found[1]}\n" + "\n".join(PARTS[found["name"]]()) + f"\n{found[3]}", before)
        if after != before:
            stale.append(path.name)
            if not check:
                path.write_text(after)
    if stale:
        print(f"{'stale: run `make docs`' if check else 'written'}: {', '.join(stale)}")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
