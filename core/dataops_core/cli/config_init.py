"""Generate settings for `dataops config init`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataops_core.cli.invocation import Invocation
from dataops_core.cli.terminal import Exit, say, write
from dataops_core.config import Settings, context_of, find_config
from dataops_core.config.toml import toml_key, toml_value
from dataops_core.diagnostics.base import Status
from dataops_core.diagnostics.config_init import Proposal, Question, observe, propose
from dataops_core.errors import ConfigError
from dataops_core.systems.clients import Clients
from dataops_core.systems.draft import ProposedStage
from dataops_core.systems.registry import load_settings, settings_of

AIRFLOW_PASSWORD = "${AIRFLOW_PASSWORD}"  # noqa: S105 - the name of a variable
SHOWN = 20
"""Maximum number of listed objects without a known reader or writer."""


def init(
    invocation: Invocation,
    addresses: Mapping[str, str | None],
    catalogs: Sequence[str],
    checkpoints: Sequence[str],
    output: Path | None,
) -> int:
    """Write settings with a pipeline for each group of linked stages in a running stack.

    Args:
        invocation: Names the context, either of existing settings or of the new ones.
        addresses: `kafka`, `airflow`, `airflow_user` and `trino`; without any, the existing settings are used.
        catalogs: `NAME=ADDRESS` of REST catalogs.
        checkpoints: Folders of Spark queries' checkpoints.
        output: File to write, which must not exist; standard output by default.
    """
    if output is not None and output.exists():
        raise ConfigError(f"{output} already exists", hint="name another file, or remove it")
    given = any(addresses.values()) or bool(catalogs)
    if given:
        name = invocation.context or "default"
        tables = _tables(addresses, catalogs)
        base = settings_of({"contexts": {name: tables}}, Path(), "the given addresses")
    else:
        path = find_config(invocation.config)
        base = load_settings(path)
        name, _ = context_of(base, invocation.context)
    result = propose(
        Clients(base.contexts[name], base.probe_timeout),
        [c if "://" in c else str(Path(c).absolute()) for c in checkpoints],
    )
    head = _context_lines(name, tables) if given else [f"# For {path}: append the parts that you need."]
    text = "\n".join([*head, *_lines(result, name)]) + "\n"
    settings = _checked(tomllib.loads(text), base, name)
    if output is None:
        write(text)
    else:
        output.write_text(text, encoding="utf-8")
    _report(result, settings, name, output)
    return Exit.OK


def _tables(addresses: Mapping[str, str | None], catalogs: Sequence[str]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    if kafka := addresses.get("kafka"):
        tables["kafka"] = {"bootstrap_servers": kafka}
    if airflow := addresses.get("airflow"):
        tables["airflow"] = {"url": airflow}
        if user := addresses.get("airflow_user"):
            tables["airflow"] |= {"username": user, "password": AIRFLOW_PASSWORD}
    if trino := addresses.get("trino"):
        tables["trino"] = {"url": trino}
    for catalog in catalogs:
        name, equals, uri = catalog.partition("=")
        if not (name and equals and uri):
            raise ConfigError(f'"{catalog}" is not a catalog', hint="write NAME=ADDRESS: lake=http://catalog:8181")
        tables.setdefault("catalogs", {})[name] = {"properties": {"type": "rest", "uri": uri}}
    return tables


def _checked(proposed: dict[str, Any], base: Settings, name: str) -> Settings:
    """Return the settings with the proposal merged in; raises ConfigError if the proposal is not valid by itself."""
    contexts = proposed.get("contexts") or {name: base.contexts[name].model_dump(by_alias=True, exclude_unset=True)}
    return settings_of({**proposed, "contexts": contexts}, Path(), "the proposal")


def _context_lines(name: str, tables: Mapping[str, Any]) -> Iterator[str]:
    yield "# Proposed by `dataops config init`: review it, then run `dataops doctor` and `dataops probe`."
    yield from _table(f"contexts.{toml_key(name)}", tables)


def _table(header: str, values: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    if plain:
        yield ""
        yield f"[{header}]"
        yield from (f"{toml_key(key)} = {toml_value(value)}" for key, value in plain.items())
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _table(f"{header}.{toml_key(key)}", value)


def _lines(result: Proposal, context: str) -> Iterator[str]:
    for name, stages in result.pipelines.items():
        header = f"pipelines.{toml_key(name)}"
        yield from (
            "",
            f"[{header}]",
            f"context = {toml_value(context)}",
            "# objective = 900  # seconds: how old the data may be at the last stage",
        )
        for stage in stages:
            yield from _stage_lines(header, stage)
    if result.unlinked:
        more = len(result.unlinked) - SHOWN
        yield ""
        yield "# No reader or writer is known for these:"
        yield from (f"# - {' '.join(one.split())}" for one in result.unlinked[:SHOWN])
        if more > 0:
            yield f"# - and {more} more"


def _stage_lines(header: str, stage: ProposedStage) -> Iterator[str]:
    yield ""
    yield from (f"# {' '.join(remark.split())}" for remark in stage.remarks)  # remarks may contain line ends
    yield f"[[{header}.stages]]"
    yield from (f"{key} = {toml_value(value)}" for key, value in stage.settings.items())
    if stage.reads:
        yield f"reads = {toml_value(stage.reads)}"


def _report(result: Proposal, settings: Settings, context: str, output: Path | None) -> None:
    """Write to standard error the proposed pipelines, and how many of their stages can be observed."""
    for step in result.report.steps:
        if step.name is Question.COMPONENT:
            say(f"dataops: not queried: {step.detail}")
    pipelines = next(step for step in result.report.steps if step.name is Question.PIPELINES)
    if pipelines.status is not Status.OK:
        say(f"dataops: {pipelines.detail}")
        return
    next_step = f"; next: dataops --config {output} doctor" if output is not None else ""
    say(f"dataops: {pipelines.detail}; {observe(result, settings, context).detail}{next_step}")
