"""Convert Markdown for Jira: Atlassian Document Format (REST API), wiki markup (CSV import), plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

_BLOCKS = {
    "paragraph": "paragraph",
    "bullet_list": "bulletList",
    "ordered_list": "orderedList",
    "list_item": "listItem",
}
_MARKS = {"strong": "strong", "em": "em"}
_WIKI_MARKS = {"code": "{{%s}}", "strong": "*%s*", "em": "_%s_"}


def adf(markdown: str) -> dict[str, Any]:
    """Return Markdown as a document of the Atlassian Document Format, version 1."""
    return {"version": 1, "type": "doc", "content": [_adf_block(node) for node in _parse(markdown)]}


def wiki(markdown: str) -> str:
    """Return Markdown as Jira's wiki markup."""
    return "\n\n".join(_wiki_block(node) for node in _parse(markdown))


def plain(markdown: str) -> str:
    """Return the text of one line of Markdown without its markup."""
    return "".join(text for text, _ in _runs(_parse(markdown)))


def _parse(markdown: str) -> list[SyntaxTreeNode]:
    return SyntaxTreeNode(MarkdownIt().parse(markdown)).children


def _adf_block(node: SyntaxTreeNode) -> dict[str, Any]:
    if node.type == "paragraph":
        content = [
            {"type": "text", "text": text, **({"marks": [{"type": mark} for mark in marks]} if marks else {})}
            for text, marks in _runs(node.children)
        ]
    else:
        content = [_adf_block(child) for child in node.children]
    return {"type": _BLOCKS[node.type], "content": content}


def _wiki_block(node: SyntaxTreeNode) -> str:
    if node.type == "paragraph":
        return "".join(_marked(text, marks) for text, marks in _runs(node.children))
    bullet = "*" if node.type == "bullet_list" else "#"
    return "\n".join(f"{bullet} " + " ".join(map(_wiki_block, item.children)) for item in node.children)


def _marked(text: str, marks: tuple[str, ...]) -> str:
    for mark in marks:
        text = _WIKI_MARKS[mark] % text
    return text


def _runs(nodes: list[SyntaxTreeNode], marks: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the text of nodes in runs, each with its marks."""
    for node in nodes:
        if node.type == "text" and node.content:
            yield node.content, marks
        elif node.type == "code_inline":
            yield node.content, (*marks, "code")
        elif node.type == "softbreak":
            yield " ", marks
        else:
            yield from _runs(node.children, (*marks, _MARKS[node.type]) if node.type in _MARKS else marks)
