"""Trino's plans as one tree: from EXPLAIN (FORMAT JSON), and from EXPLAIN ANALYZE, which gives text only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dataops_core.bounded import DEPTH, loads
from dataops_core.errors import BadAnswer

COSTLY = 0.2
"""Share of the plan's CPU from which a node counts as costly."""


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One step of a plan.

    Attributes:
        name: Trino's name of the step, e.g. `TableScan`.
        about: Trino's description of its input.
        rows: Number of output rows, measured or estimated; `None` if unknown.
        share: Share of the plan's CPU, 0 to 1, measured or estimated; `None` if unknown.
        cpu: CPU time in Trino's format; measured only.
        fragment: Number of the stage that runs it.
        notes: Trino's further details.
        children: The steps that it reads from.
    """

    name: str
    about: str
    rows: float | None
    share: float | None
    cpu: str | None
    fragment: str
    notes: tuple[str, ...] = ()
    children: tuple[PlanNode, ...] = ()

    @property
    def costly(self) -> bool:
        """Whether it takes a large part of the CPU."""
        return self.share is not None and self.share >= COSTLY

    def walk(self) -> Iterator[PlanNode]:
        """Yield the node and all its descendants."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan; `measured`: values are of a run (EXPLAIN ANALYZE), not estimates; `summary`: the run's line."""

    root: PlanNode
    measured: bool
    summary: str = ""


def explain(statement: str, *, analyze: bool = False) -> str:
    """Return the EXPLAIN statement for a statement."""
    return f"EXPLAIN {'ANALYZE' if analyze else '(TYPE DISTRIBUTED, FORMAT JSON)'} {statement}"


def read_plan(text: str) -> Plan:
    """Return the plan from the output of EXPLAIN; raises BadAnswer."""
    try:
        if text.lstrip().startswith("{"):
            return _estimated(loads(text))
        return _measured(text)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise BadAnswer("this version cannot read the plan") from error


def _estimated(results: Mapping[str, Any]) -> Plan:
    fragments = {"": results} if "name" in results else dict(results)
    nodes = {number: _from_json(root, number) for number, root in fragments.items()}
    root = _joined(nodes)
    costs = {id(node): node.share for node in root.walk()}
    total = sum(cost for cost in costs.values() if cost is not None)
    return Plan(_shared(root, total), measured=False)


def _from_json(results: Mapping[str, Any], fragment: str) -> PlanNode:
    estimates = results.get("estimates") or [{}]
    about = ", ".join(f"{name} = {value}" for name, value in (results.get("descriptor") or {}).items() if value)
    return PlanNode(
        name=str(results["name"]),
        about=about,
        rows=_number(estimates[0].get("outputRowCount")),
        share=_number(estimates[0].get("cpuCost")),  # a cost, until the sum is known
        cpu=None,
        fragment=fragment,
        notes=tuple(str(line) for line in results.get("details") or ()),
        children=tuple(_from_json(child, fragment) for child in results.get("children") or ()),
    )


def _number(value: object) -> float | None:
    """Return a number; `None` for NaN as a number or a text, which is Trino's unknown."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _shared(node: PlanNode, total: float) -> PlanNode:
    share = node.share / total if node.share is not None and total > 0 else None
    return replace(node, share=share, children=tuple(_shared(child, total) for child in node.children))


def _joined(fragments: Mapping[str, PlanNode]) -> PlanNode:
    """Put each fragment under the exchange that reads it; the first one is the root."""
    used: set[str] = set()

    def fill(node: PlanNode, level: int) -> PlanNode:
        if level > DEPTH:
            raise ValueError("it is nested too deep")
        children = list(node.children)
        for number in _SOURCES.findall(node.about.partition("ourceFragmentIds")[2].partition("]")[0]):
            if number in fragments and number not in used:
                used.add(number)
                children.append(fragments[number])
        return replace(node, children=tuple(fill(child, level + 1) for child in children))

    first, *_ = fragments
    used.add(first)
    return fill(fragments[first], 1)


_SOURCES = re.compile(r"\d+")
_FRAGMENT = re.compile(r"Fragment (\d+) ")
_NODE = re.compile(r"(?P<lead>[│ ]*(?:[├└]─ )?)(?P<name>[A-Z]\w*)(?:\[(?P<about>.*)\])?$")
_CPU = re.compile(r"CPU: (?P<time>[\d.]+\w+) \((?P<share>[\d.]+|NaN)%\)")
_OUTPUT = re.compile(r"Output: (?P<rows>[\d,]+) rows?")


class _Lines:
    """A step of a plan in text, while its lines are read."""

    def __init__(self, name: str, about: str, column: int) -> None:
        self.name = name
        self.about = about
        self.column = column
        self.notes: list[str] = []
        self.children: list[_Lines] = []

    def node(self, fragment: str) -> PlanNode:
        text = "\n".join(self.notes)
        cpu, output = _CPU.search(text), _OUTPUT.search(text)
        share = _number(cpu["share"]) if cpu else None
        return PlanNode(
            self.name,
            self.about,
            rows=float(output["rows"].replace(",", "")) if output else None,
            share=None if share is None else share / 100,
            cpu=cpu["time"] if cpu else None,
            fragment=fragment,
            notes=tuple(self.notes),
            children=tuple(child.node(fragment) for child in self.children),
        )


def _measured(text: str) -> Plan:
    summary = ""
    number = ""
    roots: dict[str, _Lines] = {}
    path: list[_Lines] = []
    for line in text.splitlines():
        if match := _FRAGMENT.match(line):
            number, path = match[1], []
        elif line.startswith("Queued:"):
            summary = line
        elif number and (node := _NODE.match(line)):
            step = _Lines(node["name"], node["about"] or "", len(node["lead"]))
            while path and path[-1].column >= step.column:
                path.pop()
            if len(path) > DEPTH:
                raise ValueError("it is nested too deep")
            if path:
                path[-1].children.append(step)
            else:
                roots.setdefault(number, step)
            path.append(step)
        elif path:
            path[-1].notes.append(line.strip("│ "))
    return Plan(_joined({number: root.node(number) for number, root in roots.items()}), measured=True, summary=summary)
