"""Convert Markdown to Confluence's storage format, which is XHTML with elements of Confluence."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from markdown_it.utils import EnvType, OptionsDict
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from dataops_core.errors import DataopsError

# The languages of our pages that Confluence's code macro highlights.
_LANGUAGES = {"bash", "python", "sql", "yaml"}


class BadPage(DataopsError):
    """A page has content that Confluence cannot show; the text says what and where."""


class _Renderer(RendererHTML):
    """Renders tokens; `env` has the page's `source` and the `titles` of all pages by their sources."""

    def front_matter(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Render the front matter of a decision record as a line."""
        return f"<p><em>{escape(', '.join(tokens[idx].content.splitlines()))}</em></p>\n"

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Give a heading the anchor that links in Markdown use."""
        anchor = f'<ac:parameter ac:name="">{escape(str(tokens[idx].attrs["id"]))}</ac:parameter>'
        return f'<{tokens[idx].tag}><ac:structured-macro ac:name="anchor">{anchor}</ac:structured-macro>'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Render a block of code with the code macro."""
        language = tokens[idx].info.split(maxsplit=1)[0] if tokens[idx].info else ""
        parameter = f'<ac:parameter ac:name="language">{language}</ac:parameter>' if language in _LANGUAGES else ""
        code = tokens[idx].content.rstrip("\n").replace("]]>", "]]]]><![CDATA[>")
        body = f"<ac:plain-text-body><![CDATA[{code}]]></ac:plain-text-body>"
        return f'<ac:structured-macro ac:name="code">{parameter}{body}</ac:structured-macro>\n'

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Begin a link: to a published page, to the web, or to a file that is only in the repository."""
        target = str(tokens[idx].attrs["href"])
        if "://" in target:
            return f"<a href={quoteattr(target)}>"
        source, anchor = _resolve(env["source"], target)
        if source not in env["titles"]:
            return ""
        page = "" if source == env["source"] else f"<ri:page ri:content-title={quoteattr(env['titles'][source])} />"
        return f"<ac:link{f' ac:anchor={quoteattr(anchor)}' if anchor else ''}>{page}<ac:link-body>"

    def link_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """End a link."""
        target = str(next(t for t in reversed(tokens[:idx]) if t.type == "link_open").attrs["href"])
        if "://" in target:
            return "</a>"
        source, _ = _resolve(env["source"], target)
        return "</ac:link-body></ac:link>" if source in env["titles"] else f" (<code>{escape(source)}</code>)"

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Render the text and path of a picture, which is in the repository and not attached."""
        source, _ = _resolve(env["source"], str(tokens[idx].attrs["src"]))
        return f"{escape(tokens[idx].content)} (<code>{escape(source)}</code>)"

    def html_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Skip comments; refuse other HTML."""
        html = tokens[idx].content.strip()
        if html.startswith("<!--") and html.endswith("-->"):
            return ""
        raise BadPage(f"{env['source']}: HTML cannot be published to Confluence: {html.splitlines()[0][:60]}")

    html_inline = html_block


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"xhtmlOut": True}, renderer_cls=_Renderer).enable("table")
    return parser.use(front_matter_plugin).use(anchors_plugin, max_level=6)


def title_of(markdown: str, source: str) -> str:
    """Return the text of a page's first heading, which must be the only one of the first level; raises BadPage."""
    found = [n for n in SyntaxTreeNode(_parser().parse(markdown)).children if n.type == "heading" and n.tag == "h1"]
    if len(found) != 1:
        raise BadPage(f"{source}: a page must have one heading of the first level, this one has {len(found)}")
    return "".join(node.content for node in found[0].children[0].children)


def storage(markdown: str, source: str, titles: Mapping[str, str]) -> str:
    """Return a page in Confluence's storage format, without its title, which Confluence stores separately.

    Args:
        markdown: The page; raises BadPage if it has HTML.
        source: The page's path in the repository; links are relative to it.
        titles: The titles of all pages, by their paths in the repository.
    """
    parser = _parser()
    tokens = parser.parse(markdown)
    start = next(i for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h1")
    body: str = parser.renderer.render(
        tokens[:start] + tokens[start + 3 :], parser.options, {"source": source, "titles": titles}
    )
    return body


def links(markdown: str, source: str) -> set[tuple[str, str]]:
    """Return the targets of a page's links within the repository: paths and anchors."""
    tokens = (child for token in _parser().parse(markdown) for child in token.children or ())
    targets = (str(token.attrs["href"]) for token in tokens if token.type == "link_open")
    return {_resolve(source, target) for target in targets if "://" not in target}


def anchors(markdown: str) -> set[str]:
    """Return the anchors of a page's headings."""
    return {str(token.attrs["id"]) for token in _parser().parse(markdown) if token.type == "heading_open"}


def _resolve(source: str, target: str) -> tuple[str, str]:
    path, _, anchor = target.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path)) if path else source, anchor
