"""A query plan of Trino as a tree, with the most expensive steps marked."""

from __future__ import annotations

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from dataops_core.plain import visible
from dataops_core.sql.plan import Plan, PlanNode
from dataops_core.units import count

_LONGEST = 60
_BAR = 10


class PlanTree(Tree[PlanNode]):
    """The steps of a plan, the result first; Enter shows the details of a step."""

    BINDINGS = [
        Binding("j", "cursor_down", "Down", id="plan.down", show=False, tooltip="Next step"),
        Binding("k", "cursor_up", "Up", id="plan.up", show=False, tooltip="Previous step"),
        Binding("n", "costly", "Costly", id="plan.costly", tooltip="Next step with a high share of CPU time"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__("", id=id)
        self.show_root = False
        self.auto_expand = False
        self.guide_depth = 3

    def show(self, plan: Plan) -> None:
        """Show a plan."""
        self.clear()
        self._put(self.root, plan.root)
        self.root.expand_all()
        self.call_after_refresh(self.move_cursor_to_line, 0)

    def _put(self, above: TreeNode[PlanNode], node: PlanNode) -> None:
        label = _label(node)
        if not node.children:
            above.add_leaf(label, node)
            return
        here = above.add(label, node)
        for child in node.children:
            self._put(here, child)

    def action_costly(self) -> None:
        """Go to the next costly step; after the last one, to the first."""
        nodes = [node for node in self._in_order(self.root) if node.data is not None and node.data.costly]
        if not nodes:
            self.notify("no costly step", timeout=2)
            return
        following = [node for node in nodes if node.line > self.cursor_line]
        self.move_cursor((following or nodes)[0])

    def _in_order(self, above: TreeNode[PlanNode]) -> list[TreeNode[PlanNode]]:
        return [result for child in above.children for result in (child, *self._in_order(child))]


def _label(node: PlanNode) -> Text:
    label = Text()
    if node.share is not None:
        filled = round(node.share * _BAR)
        style = "red bold" if node.costly else "dim"
        label.append("█" * filled + "░" * (_BAR - filled), style)
        label.append(f" {node.share:4.0%} ", style)
        label.append("▲ costly " if node.costly else "", style)
    label.append(node.name, "bold")
    if node.rows is not None:
        label.append(f"  {count(node.rows)} rows")
    if node.cpu:
        label.append(f"  {node.cpu}")
    if node.about:
        about = visible(node.about)
        label.append("  " + (about if len(about) <= _LONGEST else about[: _LONGEST - 1] + "…"), "dim")
    return label


def described(node: PlanNode) -> str:
    """Return the details of a step."""
    lines = [node.about, f"fragment {node.fragment}" if node.fragment else "", *node.notes]
    return "\n".join(line for line in lines if line)
