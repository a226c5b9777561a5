"""The team's pages as Confluence takes them, and the decision records among them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from dataops_team.__main__ import app
from dataops_team.pages import Page, digest_in, read_pages
from dataops_team.storage import BadPage, anchors, links, storage, title_of

ROOT = Path(__file__).parents[2]
PAGES = read_pages(ROOT)
TITLES = {page.source: page.title for page in PAGES}


def xml(body: str) -> ET.Element:
    return ET.fromstring(f'<page xmlns:ac="ac" xmlns:ri="ri">{body}</page>')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.source)
def test_each_page_is_well_formed_and_links_to_pages_that_are_there(page: Page) -> None:
    tree = xml(page.body)
    assert {link.get("{ri}content-title") for link in tree.iter("{ri}page")} <= set(TITLES.values())
    assert not list(tree.iter("h1"))
    texts = {source: (ROOT / source).read_text() for source in TITLES}
    for source, anchor in links(texts[page.source], page.source):
        if anchor and source in texts:
            assert anchor in anchors(texts[source]), f"{source}#{anchor}"


def test_the_pages_are_those_that_were_asked_for() -> None:
    sources = [page.source for page in PAGES]
    assert len(set(TITLES.values())) == len(sources)  # a title is unique in a space
    assert all(len(title) <= 255 for title in TITLES.values())
    for wanted in ("press-release", "faq", "epic", "stories", "tasks", "definitions", "sprints"):
        assert f"docs/exercise/team/{wanted}.md" in sources
    assert sum(source.startswith("docs/decisions/0") for source in sources) >= 10
    assert sum(source.startswith("dashboards/runbooks/") for source in sources) > 10
    for place, page in enumerate(PAGES):
        assert page.parent in (sources[:place] or [None])


def test_a_page_in_storage_format() -> None:
    markdown = """\
# The title

## One & two
Text with `<code>`, a [page](model.md#states), [itself](#one--two), [a file](../README.md), [the web](https://example.com/?a&b).

```sql
SELECT ']]>'
```

```toml
a = 1
```

| a | b |
|---|---|
| 1 | **2** |

<!-- a comment -->
![A picture](images/a.svg)
"""
    body = storage(markdown, "docs/page.md", {"docs/page.md": "The title", "docs/model.md": 'The "model"'})
    tree = xml(body)
    assert "The title" not in body
    assert [e.text for e in tree.iterfind(".//h2//{ac}parameter")] == ["one--two"]
    page, itself = tree.iter("{ac}link")
    assert page.get("{ac}anchor") == "states"
    assert page.find("{ri}page").get("{ri}content-title") == 'The "model"'
    assert (itself.get("{ac}anchor"), itself.find("{ri}page")) == ("one--two", None)
    assert "a file (<code>README.md</code>)" in body
    assert tree.find(".//a").get("href") == "https://example.com/?a&b"
    sql, toml = (m for m in tree.iter("{ac}structured-macro") if m.get("{ac}name") == "code")
    assert sql.find("{ac}plain-text-body").text == "SELECT ']]>'"
    assert sql.find("{ac}parameter").text == "sql"
    assert toml.find("{ac}parameter") is None  # the macro does not know it
    assert [e.text for e in tree.iter("td")] == ["1", None]
    assert "comment" not in body
    assert "A picture (<code>docs/images/a.svg</code>)" in body


@pytest.mark.parametrize("html", ["<div>x</div>", "a <br> b"])
def test_html_is_refused_with_its_place(html: str) -> None:
    with pytest.raises(BadPage, match=r"^docs/a\.md: HTML cannot be published"):
        storage(f"# A\n\n{html}\n", "docs/a.md", {})


def test_a_page_needs_one_title() -> None:
    with pytest.raises(BadPage, match=r"docs/a\.md: .* has 2"):
        title_of("# A\n\n# B\n", "docs/a.md")


@pytest.mark.programs
def test_the_command_writes_each_page(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["pages", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.xhtml")} == {
        str(Path(page.source).with_suffix(".xhtml")) for page in PAGES
    }
    assert (tmp_path / "docs/exercise/team/faq.xhtml").read_text() == next(
        p.body for p in PAGES if p.title.endswith(": FAQ")
    )


def test_the_digest_changes_with_the_page() -> None:
    digests = [digest_in(page.body) for page in PAGES]
    assert None not in digests
    assert len(set(digests)) == len(PAGES)
    assert digest_in("<p>somebody else's page</p>") is None


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/decisions/[0-9]*.md")), ids=lambda path: path.stem)
def test_a_decision_has_its_options_and_names_the_chosen_one(path: Path) -> None:
    text = path.read_text()
    assert re.match(
        r"---\nstatus: (proposed|accepted|rejected|deprecated|superseded by .+)\ndate: \d{4}-\d\d-\d\d\n---\n# ", text
    )
    parts = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", text, re.MULTILINE))
    options = re.findall(r"^- (.+)", parts["Considered Options"], re.MULTILINE)
    assert len(options) >= 3
    outcome = " ".join(parts["Decision Outcome"].split())
    chosen = re.findall(r'"(.+?)"', outcome.partition("because")[0])
    assert chosen
    for option in chosen:
        assert any(option in considered for considered in options), option
    assert "- Good, because" in parts["Decision Outcome"]
    assert "- Bad, because" in parts["Decision Outcome"]
    assert path.name in (path.parent / "README.md").read_text()
