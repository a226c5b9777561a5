"""Write the deck, `dataops-tui.pptx`, from `slides.py`. `make deck` runs it.

All files in it have the same date, so its bytes change only when its source does.
"""

from __future__ import annotations

import difflib
import io
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import picture
import pptx
from layout import Figure, Slide, dress
from lxml import etree
from pptx.opc.package import Part
from pptx.oxml.ns import qn
from slides import SECTIONS, furnish

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
DECK = HERE / "dataops-tui.pptx"
SCREEN, PICTURE = ROOT / "docs/images/console/pipelines.svg", HERE / "console.png"
DATED = datetime(2026, 11, 24)  # noqa: DTZ001 - python-pptx takes no time zones, and zip files have none
_SECTIONS = "http://schemas.microsoft.com/office/powerpoint/2010/main"


def load_figures(path: Path = HERE / "figures.toml") -> dict[str, Figure]:
    """Return the quotes of `figures.toml` by name."""
    found: dict[str, Figure] = {}
    for table in tomllib.loads(path.read_text()).values():
        document = table.pop("document")
        for name, entry in table.items():
            if name in found:
                raise SystemExit(f"{path.name}: {name} is defined twice")
            found[name] = Figure(document, **entry)
    return found


def stale(figures: Mapping[str, Figure], slides: Mapping[str, list[int]], root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each quote that its document no longer contains, with the slides that use it."""
    for name, figure in figures.items():
        where = f"{name} (slides {', '.join(map(str, slides.get(name, ['none'])))})"
        if figure.value not in figure.quote:
            yield f"{where}: the value {figure.value!r} is not a part of its quote {figure.quote!r}"
        text = (root / figure.document).read_text()
        if _flat(figure.quote) not in _flat(text):
            near = difflib.get_close_matches(figure.quote, text.splitlines(), 1, 0.4)
            now = f"; the closest line is {near[0]!r}" if near else ""
            yield f"{where}: {figure.document} no longer says {figure.quote!r}{now}"


def _flat(text: str) -> str:
    return " ".join(text.split())


def build(path: Path) -> None:
    """Write the deck.

    Raises:
        SystemExit: A quote is stale or unused, a statement does not follow from its numbers, or the picture of the
            console is out of date.
    """
    figures = load_figures()
    if not picture.current(SCREEN, PICTURE):
        raise SystemExit(f"{PICTURE.name} does not match {SCREEN.name}: run `make deck`")
    presentation = pptx.Presentation()
    dress(presentation)
    total = sum(len(made) for made in SECTIONS.values())
    used: dict[str, list[int]] = {}
    for at, (section, made) in enumerate(SECTIONS.items()):
        for make in made:
            slide = Slide(presentation.slides.add_slide(presentation.slide_layouts[0]), figures)
            make(slide)
            documents = list(dict.fromkeys(f.document for name, f in figures.items() if name in slide.used))
            furnish(slide, at, section, len(presentation.slides), total, documents)
            for name in slide.used:
                used.setdefault(name, []).append(len(presentation.slides))
    if lines := list(stale(figures, used)):
        raise SystemExit("\n".join(["`figures.toml` is stale; fix it, and read the slides that use it:", *lines]))
    if unused := sorted(figures.keys() - used):
        raise SystemExit(f"`figures.toml`: no slide uses {', '.join(unused)}")
    _name_sections(presentation)
    _tidy(presentation)
    properties = presentation.core_properties
    properties.title, properties.author = (
        "DataOps TUI: where is the data stuck, and since when?",
        "The DataOps TUI team",
    )
    properties.created = properties.modified = DATED
    properties.last_modified_by, properties.revision = properties.author, 1
    parts = presentation.part.package.iter_parts()
    for part in (part for part in parts if part.partname.ext == "xlsx"):
        _settle(part)
    written = io.BytesIO()
    presentation.save(written)
    path.write_bytes(_zipped(written.getvalue(), zipfile.ZIP_DEFLATED))


def _name_sections(presentation: Any) -> None:  # noqa: ANN401 - python-pptx's own class
    """Add the sections that PowerPoint lists beside the slides."""
    ids = iter(presentation.slides._sldIdLst)  # noqa: SLF001 - python-pptx has no sections
    root = presentation.part._element  # noqa: SLF001
    extension = etree.SubElement(etree.SubElement(root, qn("p:extLst")), qn("p:ext"))
    extension.set("uri", "{521415D9-36F7-43E2-AB2F-B90AF26B5E84}")
    sections = etree.SubElement(extension, f"{{{_SECTIONS}}}sectionLst", nsmap={"p14": _SECTIONS})
    for number, (name, made) in enumerate(SECTIONS.items(), start=1):
        section = etree.SubElement(sections, f"{{{_SECTIONS}}}section", name=name)
        section.set("id", f"{{00000000-0000-4000-8000-{number:012d}}}")
        members = etree.SubElement(section, f"{{{_SECTIONS}}}sldIdLst")
        for _ in made:
            etree.SubElement(members, f"{{{_SECTIONS}}}sldId", id=next(ids).get("id"))


def _tidy(presentation: Any) -> None:  # noqa: ANN401 - as above
    """Remove the parts of python-pptx's template that the deck does not use, and list the master of the notes."""
    for part in (presentation.part, presentation.part.package):
        relations = part._rels  # noqa: SLF001 - python-pptx drops only what its own shapes refer to
        for name, relation in list(relations.items()):
            if relation.reltype.endswith(("/printerSettings", "/thumbnail", "/extended-properties")):
                relations.pop(name)
    root = presentation.part._element  # noqa: SLF001 - python-pptx writes no list of them
    root.find(qn("p:sldSz")).attrib.pop("type", None)
    (notes,) = (name for name, r in presentation.part.rels.items() if r.reltype.endswith("/notesMaster"))
    masters = etree.Element(qn("p:notesMasterIdLst"))
    etree.SubElement(masters, qn("p:notesMasterId")).set(qn("r:id"), notes)
    root.find(qn("p:sldMasterIdLst")).addnext(masters)


def _settle(part: Part) -> None:
    """Set the dates of a chart's workbook; it is not compressed, because the deck compresses it again."""
    blob = _zipped(part.blob, zipfile.ZIP_STORED)
    part._blob = blob  # noqa: SLF001 - python-pptx replaces a workbook only with a new one


def _zipped(archive: bytes, compression: int) -> bytes:
    """Return a zip file with the same date for all its files."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(written, "w", compression) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", DATED.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), content)
            info = zipfile.ZipInfo(name, DATED.timetuple()[:6])
            info.compress_type = compression
            new.writestr(info, content)
    return written.getvalue()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        build(Path(sys.argv[1]))
    else:
        if not picture.current(SCREEN, PICTURE):
            picture.draw(SCREEN, PICTURE)
        build(DECK)
