"""The site of the docs: `make site`. Pages stay plain Markdown, whose links work in a clone as well."""

from __future__ import annotations

from dataops_core import version as package

project = "DataOps TUI"
release = package.version()
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/**.md",
    "dashboards/runbooks/*.md",
    "deploy/helm/*/README.md",
]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_copyright = False

CONTENTS = {
    "Get started": ["docs/index", "docs/tutorial"],
    "How-to guides": [
        "docs/own-pipeline",
        "docs/troubleshooting",
        "docs/openshift",
        "docs/prometheus",
        "docs/canary",
        "docs/recorder",
        "docs/extending",
    ],
    "Concepts": ["docs/model", "docs/glossary", "docs/security", "docs/architecture", "docs/decisions/README"],
    "Reference": [
        "docs/console",
        "docs/cli",
        "docs/configuration",
        "docs/exporter",
        "docs/metrics",
        "docs/alerts",
        "deploy/helm/dataops-exporter/README",
        "docs/performance",
        "docs/systems/index",
    ],
    "Boreal Bridge": ["docs/boreal-bridge", "docs/pipeline", "docs/scaling", "docs/sql", "docs/local-stack"],
    "Project": [
        "CONTRIBUTING",
        "CODE_OF_CONDUCT",
        "docs/releasing",
        "SECURITY",
        "CHANGELOG",
    ],
    "Exercise": ["docs/exercise/README"],
}
"""The site's table of contents: the pages themselves need none."""
BELOW = {
    "docs/alerts": ["/dashboards/runbooks/*"],
    "docs/decisions/README": ["/docs/decisions/0*"],
    "docs/exercise/README": [
        "/docs/exercise/scenario",
        "/docs/exercise/qa",
        "/docs/exercise/presentation/README",
        "/docs/exercise/team/**",
    ],
    "docs/systems/index": ["/docs/systems/*"],
}
"""Pages that are folded away below another one."""


def setup(app: object) -> None:
    """Have the table of contents appended to the first page, and what is below a page to that page."""
    app.connect("source-read", _with_contents)  # type: ignore[attr-defined]


def _with_contents(_: object, page: str, text: list[str]) -> None:
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            text[0] += _toctree(f":caption: {caption}", "", *pages)
    elif page in BELOW:
        text[0] += _toctree("", *BELOW[page])


def _toctree(*lines: str) -> str:
    return "\n".join(("\n```{toctree}", ":hidden:", ":glob:", *lines, "```\n"))
