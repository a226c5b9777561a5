"""The deck: told in order and in time, readable, true to the documents, and made by its source."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pptx
import pytest
from PIL import Image
from pptx.enum.dml import MSO_FILL
from pptx.enum.shapes import MSO_SHAPE_TYPE
from pptx.oxml.ns import qn
from pptx.util import Emu, Length

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/exercise/presentation"
DECK = pptx.Presentation(str(FOLDER / "dataops-tui.pptx"))
SLIDES = list(enumerate(DECK.slides, start=1))
FOR_EACH = pytest.mark.parametrize("slide", [slide for _, slide in SLIDES], ids=[str(number) for number, _ in SLIDES])
FIGURES = {
    name: {"document": table["document"], **entry}
    for table in tomllib.loads((FOLDER / "figures.toml").read_text()).values()
    for name, entry in table.items()
    if name != "document"
}
SECTION_NAMES = "http://schemas.microsoft.com/office/powerpoint/2010/main"
SECTIONS = [
    "Introduction",
    "Storyline and scenario",
    "Problem statement",
    "Solutions overview",
    "Chosen data pipeline architecture",
    "Pros and cons",
    "Improvement and future work",
    "The DataOps team",
    "Live demo script",
    "Appendix: Q&A",
]


##### The story


def test_the_sections_are_in_order_and_hold_all_slides() -> None:
    sections = DECK.part._element.findall(f".//{{{SECTION_NAMES}}}section")
    assert [section.get("name") for section in sections] == SECTIONS
    listed = [slide.get("id") for section in sections for slide in section.iter() if slide.tag.endswith("}sldId")]
    assert listed == [str(slide.slide_id) for _, slide in SLIDES]


@FOR_EACH
def test_each_slide_has_a_title_and_notes(slide: Any) -> None:
    assert slide.shapes.title.text_frame.text
    assert slide.has_notes_slide
    minutes, *words = slide.notes_slide.notes_text_frame.text.split("\n")
    assert re.fullmatch(r"Minutes: \d+(\.\d+)?", minutes)
    spoken = len(" ".join(words).split())
    assert spoken > 20
    assert not _minutes(slide) or spoken / _minutes(slide) < 165, "more words than one can say in that time"


def test_the_talk_takes_25_minutes() -> None:
    assert sum(_minutes(slide) for _, slide in SLIDES) == 25


def test_the_readme_tells_the_minutes_of_each_section() -> None:
    rows = dict(
        re.findall(r"^\| ([^|:]+)[^|]* \| ([\d.]+|for questions) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    )
    slides = iter(SLIDES)
    for section, count in zip(SECTIONS, _counts(), strict=True):
        minutes = sum(_minutes(slide) for _, (_, slide) in zip(range(count), slides, strict=False))
        assert rows[section.split(":")[0]] == (f"{minutes:g}" if minutes else "for questions")


def _counts() -> list[int]:
    sections = DECK.part._element.findall(f".//{{{SECTION_NAMES}}}section")
    return [len(section.findall(f".//{{{SECTION_NAMES}}}sldId")) for section in sections]


def _minutes(slide: Any) -> float:
    return float(slide.notes_slide.notes_text_frame.text.split("\n")[0].removeprefix("Minutes: "))


##### The figures


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_stands_in_its_document(name: str) -> None:
    figure = FIGURES[name]
    text = " ".join((ROOT / figure["document"]).read_text().split())
    assert figure["quote"] in text, f"{name} is stale: {figure['document']} no longer says {figure['quote']!r}"
    assert figure.get("value", "") in figure["quote"]


@FOR_EACH
def test_no_slide_has_a_number_that_is_no_figure(slide: Any) -> None:
    known = {number for figure in FIGURES.values() for number in _numbers(figure.get("value", ""))}
    told = [run.text for paragraph in _paragraphs(slide) for run in paragraph.runs if run.font.name != "Courier New"]
    told += [slide.notes_slide.notes_text_frame.text.split("\n", 1)[1]]
    for text in told:
        assert set(_numbers(text)) <= known, text


def _paragraphs(slide: Any) -> Iterator[Any]:
    for shape in slide.shapes:
        if shape.name == "caption" and "/" in shape.text_frame.text:
            continue  # the slide's own number, and where figures come from
        for frame in _frames(shape):
            yield from frame.paragraphs


def _numbers(text: str) -> list[str]:
    """Return the numbers in a text, but for those of names."""
    return re.findall(r"(?<![\w.])\d[\d,.:]*\d|(?<![\w.,:])\d", text.replace("S3", ""))


@pytest.mark.programs
def test_the_build_tells_which_figure_is_stale_and_where_it_is_used(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    document = tmp_path / "docs/pipeline.md"
    text, number = re.subn(r"(landed into bronze.*) [\d,]+ records \|", r"\1 1,234 records |", document.read_text())
    assert number == 1
    document.write_text(text)
    done = _build(tmp_path / "docs/exercise/presentation/build.py", tmp_path / "deck.pptx")
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("landed_rate"))
    assert line.startswith("landed_rate (slides 15, 16): docs/pipeline.md no longer says '| landed into bronze")
    assert "1,234 records" in line, "what the document says now"
    assert not (tmp_path / "deck.pptx").exists()


@pytest.mark.programs
def test_the_deck_is_what_its_source_makes(tmp_path: Path) -> None:
    done = _build(FOLDER / "build.py", tmp_path / "deck.pptx")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "deck.pptx") as made, zipfile.ZipFile(FOLDER / "dataops-tui.pptx") as kept:
        assert made.namelist() == kept.namelist()
        other = [name for name in made.namelist() if made.read(name) != kept.read(name)]
        assert not other, "run `make deck`"
        assert {info.date_time for info in made.infolist()} == {(2026, 11, 24, 0, 0, 0)}


def test_the_console_s_picture_is_of_the_console_as_it_is() -> None:
    with Image.open(FOLDER / "console.png") as picture:
        screen = (ROOT / "docs/images/console/pipelines.svg").read_bytes()
        assert picture.info["Source"] == sha256(screen).hexdigest(), "run `make deck`"


def _build(program: Path, deck: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(program), str(deck)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


##### The looks


@FOR_EACH
def test_nothing_is_outside_of_the_slide(slide: Any) -> None:
    for shape in slide.shapes:
        assert shape.left >= 0, shape.name
        assert shape.top >= 0, shape.name
        assert shape.left + shape.width <= DECK.slide_width, shape.name
        assert shape.top + shape.height <= DECK.slide_height, shape.name


@FOR_EACH
def test_text_is_large_enough(slide: Any) -> None:
    for shape in slide.shapes:
        least = 11 if shape.name == "caption" or shape.has_table else 14
        for frame in _frames(shape):
            for paragraph in frame.paragraphs:
                for run in paragraph.runs:
                    assert _size(run, paragraph) >= least, run.text


@FOR_EACH
def test_text_fits_its_box(slide: Any) -> None:
    for shape in slide.shapes:
        if shape.has_table:
            assert _table_height(shape.table) <= shape.height.inches + 0.01, [c.text for c in shape.table.iter_cells()]
        elif shape.has_text_frame and shape.text_frame.text:
            frame = shape.text_frame
            room = shape.height - frame.margin_top - frame.margin_bottom
            height = _height(frame, Emu(shape.width - frame.margin_left - frame.margin_right))
            assert height <= Emu(room).inches + 0.02, (shape.name, frame.text)


@FOR_EACH
def test_text_stands_out_from_its_ground(slide: Any) -> None:
    for shape in slide.shapes:
        for ground, frame in _grounds(shape, slide):
            for paragraph in frame.paragraphs:
                for run in paragraph.runs:
                    colour = run.font.color.rgb if run.font.color.type else _theme("lt1")
                    assert _contrast(str(colour), ground) >= 4.5, (run.text, colour, ground)


@FOR_EACH
def test_pictures_and_charts_are_told_in_words(slide: Any) -> None:
    for shape in slide.shapes:
        if shape.has_chart or shape.shape_type == MSO_SHAPE_TYPE.PICTURE:
            assert len(shape._element.xpath("./*/p:cNvPr")[0].get("descr", "")) > 40, shape.name


def test_there_are_native_charts_and_connected_diagrams() -> None:
    assert sum(shape.has_chart for _, slide in SLIDES for shape in slide.shapes) >= 4
    ends = [slide.shapes._spTree.findall(f".//{qn('a:tailEnd')}") for _, slide in SLIDES]
    arrows = [
        shape
        for _, slide in SLIDES
        for shape in slide.shapes
        if shape._element.find(f".//{qn('a:tailEnd')}") is not None
    ]
    assert len(arrows) == sum(map(len, ends)) > 30
    for arrow in arrows:
        assert arrow._element.find(f".//{qn('a:stCxn')}") is not None
        assert arrow._element.find(f".//{qn('a:endCxn')}") is not None


def _frames(shape: Any) -> Iterator[Any]:
    if shape.has_table:
        yield from (cell.text_frame for cell in shape.table.iter_cells())
    elif shape.has_text_frame:
        yield shape.text_frame


def _size(run: Any, paragraph: Any) -> float:
    if run.font.size or paragraph.font.size:
        return (run.font.size or paragraph.font.size).pt
    style = DECK.slide_master._element.find(f".//{qn('p:titleStyle')}/{qn('a:lvl1pPr')}/{qn('a:defRPr')}")
    return int(style.get("sz")) / 100


@cache
def _widths(bold: bool) -> dict[str, int]:
    """Return how wide the letters of Helvetica are, as which Arial is drawn, in thousandths of the size."""
    path = Path(mpl.get_data_path(), "fonts/afm", "phvb8a.afm" if bold else "phvr8a.afm")
    found = re.findall(r"^C (\d+) ; WX (\d+)", path.read_text(), re.MULTILINE)
    return {chr(int(code)): int(width) for code, width in found if int(code) < 127}


def _width(text: str, run: Any, size: float) -> float:
    """Estimate the width of a text in inches; what Helvetica's metrics do not list is taken to be wide."""
    if run.font.name == "Courier New":
        return len(text) * 0.6 * size / 72
    widths = _widths(bool(run.font.bold))
    return sum(widths.get(" " if letter == "\u00a0" else letter, 700) for letter in text) / 1000 * size / 72


def _height(frame: Any, width: Length) -> float:
    """Estimate the height of a text in inches, wrapped at spaces."""
    total = 0.0
    for number, paragraph in enumerate(frame.paragraphs):
        line, lines, size = 0.0, 1, 0.0
        for run in paragraph.runs:
            size = max(size, _size(run, paragraph))
            for word in re.findall(r"[^ ]+ ?| ", run.text):
                length = _width(word.rstrip(" "), run, _size(run, paragraph))
                assert length <= width.inches + 0.01, f"{word!r} is wider than its box"
                if line + length > width.inches:
                    line, lines = 0.0, lines + 1
                line += _width(word, run, _size(run, paragraph))
        total += lines * size * 1.17 / 72
        total += paragraph.space_before.inches if number and paragraph.space_before else 0
    return total


def _table_height(table: Any) -> float:
    total = 0.0
    for row in table.rows:
        least = row.height.inches
        for cell, column in zip(row.cells, table.columns, strict=True):
            room = Emu(column.width - cell.margin_left - cell.margin_right)
            margins = Emu(cell.margin_top + cell.margin_bottom).inches
            least = max(least, _height(cell.text_frame, room) + margins)
        total += least
    return total


def _grounds(shape: Any, slide: Any) -> Iterator[tuple[str, Any]]:
    """Yield each text of a shape with the colour that it stands on."""
    if shape.has_table:
        yield from ((str(cell.fill.fore_color.rgb), cell.text_frame) for cell in shape.table.iter_cells())
    elif shape.has_text_frame and shape.text_frame.text:
        x, y = shape.left + shape.width // 2, shape.top + min(shape.height // 2, Emu(200000))
        ground = _theme("dk1")
        for below in slide.shapes:
            filled = hasattr(below, "fill") and below.fill.type == MSO_FILL.SOLID
            inside = below.left <= x <= below.left + below.width and below.top <= y <= below.top + below.height
            if filled and inside:
                ground = str(below.fill.fore_color.rgb)
            if below.shape_id == shape.shape_id:
                break
        yield ground, shape.text_frame


@cache
def _theme(slot: str) -> str:
    (theme,) = (r.target_part.blob for r in DECK.slide_master.part.rels.values() if r.reltype.endswith("/theme"))
    found = re.search(rf'<a:{slot}><a:srgbClr val="(\w+)"/>'.encode(), theme)
    assert found
    return found[1].decode()


def _contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG counts it."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
