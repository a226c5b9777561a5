"""The design of the deck: colours of the console's dark theme, one typeface, and the shapes of the slides.

All lengths are inches from the top left corner of a slide of 13.333 by 7.5; text sizes are points. Text may contain
`**bold**`, a word in backquotes for the monospaced typeface, `<red>…</>` and similar for a colour, and `{name}` for a
value of `figures.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from lxml import etree
from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_TICK_LABEL_POSITION, XL_TICK_MARK
from pptx.enum.dml import MSO_LINE
from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.presentation import Presentation
from pptx.shapes.autoshape import Shape
from pptx.slide import Slide as PptxSlide
from pptx.util import Emu, Inches, Pt
from textual.color import Color

from dataops_tui.themes import ANSI_DARK, THEMES

WIDTH, HEIGHT, MARGIN = 13.333, 7.5, 0.6
INNER = WIDTH - 2 * MARGIN
FACE, MONO = "Arial", "Courier New"
"""Typefaces of Windows and macOS; Liberation on Linux has the same widths."""

_DARK = next(theme for theme in THEMES if theme.name == "dark")


def _mixed(first: str, second: str, part: float) -> str:
    return Color.parse(first).blend(Color.parse(second), part).hex


_WRITTEN = {
    name: "#{:02x}{:02x}{:02x}".format(*ANSI_DARK.ansi_colors[at])
    for at, name in enumerate(("red", "green", "amber"), 1)
}
COLOURS: Mapping[str, str] = {
    "background": str(_DARK.background),
    "surface": str(_DARK.surface),
    "panel": str(_DARK.panel),
    "line": _mixed(str(_DARK.panel), str(_DARK.secondary), 0.4),
    "text": str(_DARK.foreground),
    "bright": "#ffffff",
    "muted": _mixed(str(_DARK.secondary), str(_DARK.foreground), 0.4),
    "blue": str(_DARK.accent),
    **_WRITTEN,
    **{f"{name}-tint": _mixed(str(_DARK.surface), colour, 0.16) for name, colour in _WRITTEN.items()},
}
"""The console's colours by role; red, green and amber are its text colours."""

RATINGS = {"yes": "green", "part": "amber", "no": "red"}
"""Ratings of an option by a criterion, and their colours."""
GLYPHS = {"●": "green", "◐": "amber", "○": "muted", "■": "red", "✖": "red", "▲": "amber"}
"""The console's glyphs of states, and their colours."""

_MARKUP = re.compile(r"\*\*(?P<bold>.+?)\*\*|`(?P<mono>.+?)`|<(?P<colour>[a-z]+)>(?P<coloured>.+?)</>")
_PLACE = re.compile(r"\{([a-z0-9_]+)\}")


@dataclass(frozen=True)
class Figure:
    """A quote from a document of the project.

    Attributes:
        document: Path from the root of the repository.
        quote: Text of the document, without regard to line breaks.
        value: The part of the quote that a slide shows; empty if the slide only relies on the quote.
    """

    document: str
    quote: str
    value: str = ""

    @property
    def number(self) -> float:
        """The value as a number.

        Raises:
            SystemExit: The value is not a number.
        """
        found = re.search(r"\d[\d,]*(\.\d+)?", self.value)
        if not found:
            raise SystemExit(f"`figures.toml`: {self.value!r} of {self.document} is not a number")
        return float(found[0].replace(",", ""))


def rgb(role: str) -> RGBColor:
    """Return a colour by its role."""
    return RGBColor.from_string(COLOURS[role].lstrip("#").upper())


class Slide:
    """One slide, with methods that add shapes to it."""

    def __init__(self, slide: PptxSlide, figures: Mapping[str, Figure]) -> None:
        self.slide = slide
        self._shapes: Any = slide.shapes
        self._figures = figures
        self.used: set[str] = set()

    def filled(self, text: str) -> str:
        """Replace `{name}` by the values."""

        def value(found: re.Match[str]) -> str:
            return re.sub(r" (?=\S{1,2}$)", "\u00a0", self._figure(found[1]).value)  # its unit stays with it

        return _PLACE.sub(value, text).replace("{{", "{")

    def number(self, name: str) -> float:
        """Return a value as a number to plot."""
        return self._figure(name).number

    def _figure(self, name: str) -> Figure:
        if name not in self._figures:
            raise SystemExit(f"slides.py: `figures.toml` has no {name!r}")
        self.used.add(name)
        return self._figures[name]

    def holds(self, statement: str, true: bool) -> None:
        """Check that a statement still follows from the numbers.

        Raises:
            SystemExit: The statement is not true.
        """
        if not true:
            title = self._shapes.title.text_frame.text
            raise SystemExit(f"slides.py: on the slide {title!r} it is no longer true that {statement}")

    def relies_on(self, *names: str) -> None:
        """Declare the other quotes that the slide relies on."""
        for name in names:
            self._figure(name)

    def title(self, text: str, place: tuple[float, float, float, float] | None = None, size: float = 28) -> None:
        """Set the title, which outlines and screen readers use; `place` and `size` override the default."""
        title = self._shapes.title
        title.text_frame.text = self.filled(text)
        if place:
            title.left, title.top, title.width, title.height = map(Inches, place)
            for paragraph in title.text_frame.paragraphs:
                paragraph.font.size = Pt(size)

    def notes(self, minutes: float, text: str) -> None:
        """Set the speaker's notes; the first line has the minutes of the slide."""
        paragraphs = [" ".join(part.split()) for part in self.filled(text).strip().split("\n\n")]
        frame: Any = self.slide.notes_slide.notes_text_frame
        frame.text = "\n".join([f"Minutes: {minutes:g}", *paragraphs])

    def text(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        text: str | Sequence[str],
        *,
        size: float = 16,
        colour: str = "text",
        bold: bool = False,
        align: str = "left",
        anchor: str = "top",
        gap: float = 6,
        name: str = "text",
    ) -> Shape:
        """Write text; each item of a sequence is a paragraph."""
        shape: Shape = self._shapes.add_textbox(Inches(x), Inches(y), Inches(w), Inches(h))
        shape.name = name
        self._write(shape.text_frame, text, size, colour, bold, align, anchor, gap)
        _insets(shape.text_frame, 0, 0)
        return shape

    def box(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        text: str | Sequence[str] = "",
        *,
        fill: str = "surface",
        edge: str | None = None,
        size: float = 14,
        colour: str = "text",
        bold: bool = False,
        align: str = "left",
        anchor: str = "top",
        gap: float = 4,
        inset: float = 0.15,
        round_: float = 0.08,
        dashed: bool = False,
        shape: MSO_SHAPE = MSO_SHAPE.ROUNDED_RECTANGLE,
        name: str = "box",
    ) -> Shape:
        """Draw a shape with text; `round_` is the radius of its corners."""
        made: Shape = self._shapes.add_shape(shape, Inches(x), Inches(y), Inches(w), Inches(h))
        made.name = name
        made.shadow.inherit = False
        if shape == MSO_SHAPE.ROUNDED_RECTANGLE:
            made.adjustments[0] = min(0.5, round_ / min(w, h))
        made.fill.solid()
        made.fill.fore_color.rgb = rgb(fill)
        if edge is None:
            made.line.fill.background()
        else:
            made.line.color.rgb = rgb(edge)
            made.line.width = Pt(1.5)
            if dashed:
                made.line.dash_style = MSO_LINE.DASH
        _insets(made.text_frame, inset, min(inset, 0.08))
        self._write(made.text_frame, text, size, colour, bold, align, anchor, gap)
        return made

    def card(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        heading: str,
        body: str | Sequence[str],
        *,
        accent: str = "blue",
        size: float = 14,
        heading_size: float = 16,
    ) -> None:
        """Draw a panel with a coloured edge, a heading and a text."""
        self.box(x, y, w, h, round_=0.05, name="card")
        self.bar(x, y, 0.07, h, accent)
        self.text(x + 0.25, y + 0.13, w - 0.4, 0.35, heading, size=heading_size, colour=accent, bold=True)
        self.text(x + 0.25, y + 0.55, w - 0.4, h - 0.65, body, size=size, gap=5)

    def bar(self, x: float, y: float, w: float, h: float, colour: str) -> None:
        """Draw a plain rectangle."""
        self.box(x, y, w, h, fill=colour, shape=MSO_SHAPE.RECTANGLE, name="bar")

    def dot(self, x: float, y: float, diameter: float, colour: str, edge: str | None = None) -> None:
        """Draw a disc around a point."""
        half = diameter / 2
        self.box(x - half, y - half, diameter, diameter, fill=colour, edge=edge, shape=MSO_SHAPE.OVAL, name="dot")

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = "line", width: float = 1.5) -> None:
        """Draw a straight line."""
        made = self._shapes.add_connector(MSO_CONNECTOR.STRAIGHT, *map(Inches, (x1, y1, x2, y2)))
        made.line.color.rgb = rgb(colour)
        made.line.width = Pt(width)

    def curve(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """Draw a thick line through points."""
        (x, y), *others = points
        builder = self._shapes.build_freeform(Inches(x), Inches(y))
        builder.add_line_segments([(Inches(x), Inches(y)) for x, y in others], close=False)
        made = builder.convert_to_shape()
        made.name = "curve"
        made.shadow.inherit = False
        made.fill.background()
        made.line.color.rgb = rgb(colour)
        made.line.width = Pt(3.5)

    def arrow(
        self,
        begin: Shape,
        end: Shape,
        *,
        sides: tuple[str, str] = ("right", "left"),
        colour: str = "muted",
        elbow: bool = False,
    ) -> None:
        """Connect two shapes with an arrow that follows when one of them is moved."""
        kind = MSO_CONNECTOR.ELBOW if elbow else MSO_CONNECTOR.STRAIGHT
        made = self._shapes.add_connector(kind, 0, 0, 0, 0)
        places = {"top": 0, "left": 1, "bottom": 2, "right": 3}
        made.begin_connect(begin, places[sides[0]])
        made.end_connect(end, places[sides[1]])
        made.line.color.rgb = rgb(colour)
        made.line.width = Pt(2)
        line = made.line._get_or_add_ln()  # noqa: SLF001 - python-pptx has no heads of arrows
        etree.SubElement(line, qn("a:tailEnd")).set("type", "triangle")

    def connect(self, shapes: Sequence[Shape], sides: tuple[str, str] = ("right", "left")) -> None:
        """Connect each shape to the next one."""
        for before, after in pairwise(shapes):
            self.arrow(before, after, sides=sides)

    def table(
        self,
        x: float,
        y: float,
        widths: Sequence[float],
        rows: Sequence[Sequence[str]],
        *,
        size: float = 14,
        row_height: float = 0.5,
        header_height: float = 0.42,
        centred: Iterable[int] = (),
        marked: Iterable[int] = (),
    ) -> None:
        """Draw a table; the first row is its header, `marked` rows are highlighted."""
        height = header_height + row_height * (len(rows) - 1)
        frame = self._shapes.add_table(len(rows), len(widths), *map(Inches, (x, y, sum(widths), height)))
        frame.name = "table"
        properties = frame.table._tbl.tblPr  # noqa: SLF001 - python-pptx cannot choose the style of a table
        properties.find(qn("a:tableStyleId")).text = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"  # no style, no grid
        properties.set("bandRow", "0")
        for column, width in zip(frame.table.columns, widths, strict=True):
            column.width = Inches(width)
        centred, marked = set(centred), set(marked)
        for number, row in enumerate(rows):
            frame.table.rows[number].height = Inches(row_height if number else header_height)
            for at, text in enumerate(row):
                cell = frame.table.cell(number, at)
                ground = "panel" if not number or number in marked else "surface"
                cell.fill.solid()
                cell.fill.fore_color.rgb = rgb(f"{RATINGS[text]}-tint" if text in RATINGS else ground)
                cell.margin_left = cell.margin_right = Inches(0.1)
                cell.margin_top = cell.margin_bottom = Inches(0.04)
                cell.vertical_anchor = MSO_ANCHOR.MIDDLE
                align = "center" if at in centred else "left"
                colour = RATINGS.get(text, "text") if number else "blue"
                self._write(cell.text_frame, text, size, colour, not number or text in RATINGS, align, None, 0)
                _rule_below(cell, "line")

    def bars(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        values: Mapping[str, float],
        *,
        colours: Sequence[str],
        form: str = "#,##0",
        alt: str,
        size: float = 14,
    ) -> None:
        """Draw a chart of horizontal bars with their values, the first one on top."""
        data = CategoryChartData(number_format=form)
        data.categories = list(values)
        data.add_series("figure", list(values.values()))
        place = map(Inches, (x, y, w, h))
        frame = self._shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *place, data)
        frame.name = "chart"
        describe(frame, alt)
        chart = frame.chart
        chart.has_legend = chart.has_title = False
        chart.font.size, chart.font.name = Pt(size), FACE
        chart.font.color.rgb = rgb("text")
        categories, amounts = chart.category_axis, chart.value_axis
        categories.reverse_order = True
        categories.format.line.color.rgb = rgb("line")
        categories.major_tick_mark = XL_TICK_MARK.NONE
        categories.has_major_gridlines = amounts.has_major_gridlines = False
        amounts.visible = False
        amounts.tick_label_position = XL_TICK_LABEL_POSITION.NONE
        amounts.minimum_scale, amounts.maximum_scale = (
            0,
            max(values.values()) * 1.2,
        )  # room for the values beside the bars
        plot = chart.plots[0]
        plot.gap_width = 45
        plot.has_data_labels = True
        labels = plot.data_labels
        labels.number_format, labels.number_format_is_linked = form, False
        labels.position = XL_LABEL_POSITION.OUTSIDE_END
        labels.font.size, labels.font.bold = Pt(size), True
        labels.font.color.rgb = rgb("bright")
        labels._element.find(f"{qn('c:txPr')}/{qn('a:bodyPr')}").set("wrap", "none")  # noqa: SLF001 - nor has it this
        for number, colour in enumerate(colours):
            point = plot.series[0].points[number].format.fill
            point.solid()
            point.fore_color.rgb = rgb(colour)

    def picture(self, path: Path, x: float, y: float, w: float, alt: str, crop: tuple[float, float] = (0, 0)) -> None:
        """Show a picture with a width; `crop` is the share of its height to cut off at the top and at the bottom."""
        made = self._shapes.add_picture(str(path), Inches(x), Inches(y), width=Inches(w))
        made.crop_top, made.crop_bottom = crop
        made.height = Emu(round(made.height * (1 - sum(crop))))
        made.line.color.rgb = rgb("line")
        made.name = "picture"
        describe(made, alt)

    def _write(
        self,
        frame: Any,  # noqa: ANN401 - python-pptx has one for shapes and one for cells
        text: str | Sequence[str],
        size: float,
        colour: str,
        bold: bool,
        align: str,
        anchor: str | None,
        gap: float,
    ) -> None:
        frame.word_wrap = True
        if anchor:
            frame.vertical_anchor = getattr(MSO_ANCHOR, anchor.upper())
        for number, line in enumerate([text] if isinstance(text, str) else text):
            paragraph = frame.paragraphs[0] if not number else frame.add_paragraph()
            paragraph.alignment = getattr(PP_ALIGN, align.upper())
            if number:
                paragraph.space_before = Pt(gap)
            for part, style in _runs(self.filled(line)):
                run = paragraph.add_run()
                run.text = part
                run.font.size = Pt(size)
                run.font.bold = bold or style == "bold" or None
                run.font.color.rgb = rgb(style if style in COLOURS else "bright" if style == "bold" else colour)
                if style == "mono":
                    run.font.name, run.font.bold = MONO, True


def _runs(text: str) -> Iterable[tuple[str, str]]:
    """Split a text into parts of one style each; glyphs of states get their colours."""
    at = 0
    for found in _MARKUP.finditer(text):
        yield from _plain(text[at : found.start()])
        if found["colour"]:
            yield found["coloured"], found["colour"]
        else:
            yield (found["bold"], "bold") if found["bold"] else (found["mono"], "mono")
        at = found.end()
    yield from _plain(text[at:])


def _plain(text: str) -> Iterable[tuple[str, str]]:
    for part in re.split(f"([{''.join(GLYPHS)}])", text):
        if part:
            yield part, GLYPHS.get(part, "")


def _insets(frame: Any, across: float, down: float) -> None:  # noqa: ANN401 - as above
    frame.margin_left = frame.margin_right = Inches(across)
    frame.margin_top = frame.margin_bottom = Inches(down)


def _rule_below(cell: Any, colour: str) -> None:  # noqa: ANN401 - python-pptx has no type for it
    """Draw a thin line below a cell."""
    properties = cell._tc.get_or_add_tcPr()  # noqa: SLF001 - python-pptx has no borders of cells
    line = etree.Element(qn("a:lnB"), w="9525")
    etree.SubElement(etree.SubElement(line, qn("a:solidFill")), qn("a:srgbClr"), val=str(rgb(colour)))
    properties.insert(0, line)


def page_number(shape: Shape, number: int, total: int) -> None:
    """Write the slide's number as a field, which PowerPoint updates when slides are moved."""
    paragraph: Any = shape.text_frame.paragraphs[0]._p  # noqa: SLF001 - python-pptx has no fields
    field = etree.SubElement(paragraph, qn("a:fld"), id="{00000000-0000-4000-9000-000000000001}", type="slidenum")
    look = etree.SubElement(field, qn("a:rPr"), lang="en-GB", sz="1100")
    etree.SubElement(etree.SubElement(look, qn("a:solidFill")), qn("a:srgbClr"), val=str(rgb("muted")))
    etree.SubElement(field, qn("a:t")).text = str(number)
    run = shape.text_frame.paragraphs[0].add_run()
    run.text = f" / {total}"
    run.font.size = Pt(11)
    run.font.color.rgb = rgb("muted")


def describe(shape: Any, alt: str) -> None:  # noqa: ANN401 - pictures and frames
    """Set the alternative text of a picture or a chart."""
    shape._element.xpath("./*/p:cNvPr")[0].set("descr", alt)  # noqa: SLF001 - python-pptx has no alternative texts


def dress(presentation: Presentation) -> None:
    """Set the format of the presentation, and the background, typeface and title position of its master."""
    presentation.slide_width, presentation.slide_height = Inches(WIDTH), Inches(HEIGHT)
    master: Any = presentation.slide_master
    for layout in list(presentation.slide_layouts):
        if layout.name != "Title Only":
            presentation.slide_layouts.remove(layout)
    for holder in (master, presentation.slide_layouts[0]):
        for shape in list(holder.placeholders):
            if shape.placeholder_format.type is not None and shape.placeholder_format.idx != 0:
                shape._element.getparent().remove(shape._element)  # noqa: SLF001 - python-pptx removes no shapes
        title: Any = holder.placeholders[0]
        title.left, title.top, title.width, title.height = map(Inches, (MARGIN, 0.72, INNER, 0.62))
        title.text_frame.vertical_anchor = MSO_ANCHOR.TOP
        _insets(title.text_frame, 0, 0)
    colours = master._element.find(qn("p:clrMap"))  # noqa: SLF001 - nor what is dark and what is light
    for role, slot in {"bg1": "dk1", "tx1": "lt1", "bg2": "dk2", "tx2": "lt2"}.items():
        colours.set(role, slot)
    background = etree.Element(qn("p:bg"))
    fill = etree.SubElement(etree.SubElement(background, qn("p:bgPr")), qn("a:solidFill"))
    etree.SubElement(fill, qn("a:schemeClr"), val="bg1")
    etree.SubElement(background[0], qn("a:effectLst"))
    content = master._element.cSld  # noqa: SLF001 - python-pptx sets the background of slides only
    for old in content.findall(qn("p:bg")):
        content.remove(old)
    content.insert(0, background)
    style = master._element.find(f".//{qn('p:titleStyle')}/{qn('a:lvl1pPr')}")  # noqa: SLF001 - nor its styles
    style.set("algn", "l")
    style.find(qn("a:defRPr")).set("sz", "2800")
    style.find(qn("a:defRPr")).set("b", "1")
    _theme(master)


def _theme(master: Any) -> None:  # noqa: ANN401 - python-pptx's own class
    """Set the theme's colours and typeface, which PowerPoint's pickers show."""
    (part,) = (r.target_part for r in master.part.rels.values() if r.reltype.endswith("/theme"))
    theme = etree.fromstring(part.blob)
    a = theme.nsmap["a"]
    slots = (
        "background",
        "text",
        "surface",
        "bright",
        "blue",
        "muted",
        "green",
        "amber",
        "red",
        "line",
        "blue",
        "muted",
    )
    for slot, role in zip(theme.find(f".//{{{a}}}clrScheme"), slots, strict=True):
        slot[:] = [etree.Element(f"{{{a}}}srgbClr", val=str(rgb(role)))]
    theme.find(f".//{{{a}}}clrScheme").set("name", "DataOps TUI")
    for latin in theme.iter(f"{{{a}}}latin"):
        latin.set("typeface", FACE)
    part._blob = etree.tostring(theme, xml_declaration=True, encoding="UTF-8", standalone=True)  # noqa: SLF001
