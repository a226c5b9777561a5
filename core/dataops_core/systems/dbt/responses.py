"""Read the artifacts of dbt as typed values. A wrong type makes an artifact invalid.

Only the command and `--empty` of `args` are kept, and not `env` of `metadata`, because variables may be secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dataops_core.bounded import Malformed
from dataops_core.reasons import line
from dataops_core.redaction import redacted
from dataops_core.transport.fields import Fields

SUPPORTED: Mapping[str, tuple[int, ...]] = {"run-results": (5, 6), "sources": (3,), "manifest": (11, 12)}
"""Supported schema versions of the artifacts: dbt 1.7 to 1.11."""
RUNS = ("run", "build", "seed", "snapshot", "retry")
"""Commands that run models. `compile`, `docs generate` and `show` also report success, without running them."""
TESTS = ("test", "build", "retry")
"""Commands that run tests."""
FAILED = ("error", "fail", "partial success", "runtime error")
"""Status of a failed model or test."""
_SCHEMA = re.compile(r"/dbt/([a-z-]{1,30})/v(\d{1,4})\.json$")
_QUERY = re.compile(r"query_id=([\w-]{1,100})")
_PART = re.compile(r'"((?:[^"]|"")*)"|`([^`]*)`|\[([^]]*)\]|([^."`\[\]]+)')


@dataclass(frozen=True, slots=True)
class Written:
    """The command that wrote an artifact, and the time.

    Attributes:
        invocation: Id of the command's run; `None` if dbt does not report it.
    """

    dbt_version: str | None
    invocation: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one node in one run of a command.

    Attributes:
        status: `success`, `error`, `skipped`, `partial success` of models; `pass`, `fail`, `warn`, `error` of tests.
        message: dbt's message in one line, without secrets.
        failures: Rows that a test returned.
        query_id: The engine's id of its query, if the adapter reports it.
        started_at: Start of its execution; `None` for a skipped node.
    """

    node: str
    status: str
    message: str | None
    failures: int | None
    query_id: str | None
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def failed(self) -> bool:
        """Whether the node failed. A skipped node and a warning did not."""
        return self.status in FAILED


@dataclass(frozen=True, slots=True)
class RunResults:
    """A `run_results.json`.

    Attributes:
        command: Such as `build`; `None` if dbt does not report it.
        empty: Whether it ran with `--empty`, so that models were built without rows.
    """

    written: Written
    command: str | None
    empty: bool
    results: tuple[Result, ...]

    @property
    def title(self) -> str:
        """The command with its relevant option."""
        return f"{self.command or 'command'}{' --empty' if self.empty else ''}"

    def of_models(self) -> tuple[Result, ...]:
        """Return the results of models, seeds and snapshots that this command ran."""
        if self.command not in RUNS or self.empty:
            return ()
        return tuple(each for each in self.results if each.node.startswith(("model.", "seed.", "snapshot.")))

    def of_tests(self) -> tuple[Result, ...]:
        """Return the results of tests that this command ran."""
        if self.command not in TESTS or self.empty:
            return ()
        return tuple(each for each in self.results if each.node.startswith(("test.", "unit_test.")))

    def failures(self) -> tuple[Result, ...]:
        """Return the results of models and tests that failed."""
        return tuple(each for each in (*self.of_models(), *self.of_tests()) if each.failed)


@dataclass(frozen=True, slots=True)
class Freshness:
    """The result of `dbt source freshness` for one source.

    Attributes:
        status: `pass`, `warn`, `error` or `runtime error`.
        newest: Time of its newest row.
        checked_at: Time of the check.
        error: Why the check failed, in one line without secrets.
    """

    source: str
    status: str
    newest: datetime | None
    checked_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Sources:
    """A `sources.json`."""

    written: Written
    freshness: Mapping[str, Freshness]


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the project: a model, seed, snapshot, test or source.

    Attributes:
        name: Its name; `source.table` for a source.
        relation: Parts of its relation's name in the database; empty without a relation.
        parents: Unique ids of the nodes that it reads.
        materialized: Such as `table`, `incremental` or `view`.
        attached: The node that a generic test is declared for.
    """

    unique_id: str
    kind: str
    name: str
    relation: tuple[str, ...]
    parents: tuple[str, ...]
    materialized: str | None = None
    attached: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A `manifest.json`.

    Attributes:
        nodes: By their unique ids.
        tests: Tests of each node: those declared for it, and undeclared ones that read it.
    """

    written: Written
    nodes: Mapping[str, Node]
    tests: Mapping[str, tuple[str, ...]]

    def tests_of(self, node: str) -> tuple[str, ...]:
        """Return the tests of a node."""
        return self.tests.get(node, ())


def read_run_results(answer: object) -> RunResults:
    """Return a `run_results.json`."""
    fields = Fields(answer)
    written, args = _written(fields, "run-results"), fields.inner("args")
    return RunResults(
        written=written,
        command=args.text("which"),
        empty=args.flag("empty") is True,
        results=tuple(_result(each) for each in fields.require_objects("results")),
    )


def read_sources(answer: object) -> Sources:
    """Return a `sources.json`."""
    fields = Fields(answer)
    written = _written(fields, "sources")
    read = [_freshness(each) for each in fields.require_objects("results")]
    return Sources(written, {each.source: each for each in read})


def read_manifest(result: object) -> Manifest:
    """Return the nodes of a `manifest.json`; macros, documentation and code are left out."""
    fields = Fields(result)
    written = _written(fields, "manifest")
    nodes: dict[str, Node] = {}
    for group in ("nodes", "sources", "unit_tests"):
        inner = fields.require_inner(group) if group != "unit_tests" else fields.inner(group)
        for unique_id in inner.names():
            nodes[unique_id] = _node(unique_id, inner.require_inner(unique_id))
    tests: dict[str, list[str]] = {}
    for node in nodes.values():
        if node.kind in ("test", "unit_test"):
            for tested in (node.attached,) if node.attached is not None else dict.fromkeys(node.parents):
                tests.setdefault(tested, []).append(node.unique_id)
    return Manifest(written, nodes, {tested: tuple(result) for tested, result in tests.items()})


def _written(fields: Fields, kind: str) -> Written:
    metadata = fields.require_inner("metadata")
    schema = _SCHEMA.search(metadata.require_text("dbt_schema_version"))
    if schema is None or schema[1] != kind:
        raise Malformed(f"is not an artifact of dbt of the kind {kind}")
    if int(schema[2]) not in SUPPORTED[kind]:
        known = " and ".join(f"v{each}" for each in SUPPORTED[kind])
        raise Malformed(f"has schema {kind} v{schema[2]}; supported: {known} (dbt 1.7 to 1.11)")
    version = metadata.text("dbt_version")
    return Written(
        line(version) if version else None, metadata.text("invocation_id"), metadata.require_time("generated_at")
    )


def _result(fields: Fields) -> Result:
    timing = {each.text("name"): each for each in fields.objects("timing")}
    executed = timing.get("execute")
    message = fields.text("message")
    query = fields.inner("adapter_response").text("query_id")
    if query is None and message is not None and (named := _QUERY.search(message)) is not None:
        query = named[1]
    return Result(
        node=fields.require_text("unique_id"),
        status=fields.require_text("status"),
        message=one_line(message),
        failures=fields.count("failures"),
        query_id=query,
        started_at=executed.time("started_at") if executed is not None else None,
        ended_at=executed.time("completed_at") if executed is not None else None,
    )


def _freshness(fields: Fields) -> Freshness:
    return Freshness(
        source=fields.require_text("unique_id"),
        status=fields.require_text("status"),
        newest=fields.time("max_loaded_at"),
        checked_at=fields.time("snapshotted_at"),
        error=one_line(fields.text("error")),
    )


def _node(unique_id: str, fields: Fields) -> Node:
    kind = fields.require_text("resource_type")
    name = fields.require_text("name")
    return Node(
        unique_id=unique_id,
        kind=kind,
        name=f"{fields.require_text('source_name')}.{name}" if kind == "source" else name,
        relation=relation_parts(fields.text("relation_name") or ""),
        parents=fields.inner("depends_on").texts("nodes"),
        materialized=fields.inner("config").text("materialized"),
        attached=fields.text("attached_node"),
    )


def one_line(text: str | None) -> str | None:
    """Return a text of dbt in one line, without secrets; `None` for an empty one."""
    return redacted(line(text), strict=True) if text is not None and text.strip() else None


def relation_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a relation's name in the adapter's quotes: `"lake"."shop"."orders"`."""
    return tuple(next(filter(None, result), "").replace('""', '"') for result in _PART.findall(name))
