"""Draw a picture of the console from Textual's SVG, because PowerPoint does not render the text of such an SVG."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

_SVG = "{http://www.w3.org/2000/svg}"
_SCALE = 1.5
_CELL, _LINE, _ASCENT = 12.2, 24.4, 18.0
"""Width of a character, height of a line, and its baseline, as Rich draws them."""


def current(svg: Path, png: Path) -> bool:
    """Return whether a picture was drawn from the current SVG."""
    if not png.exists():
        return False
    with Image.open(png) as image:
        return image.info.get("Source") == _digest(svg)


def draw(svg: Path, png: Path) -> None:
    """Draw the SVG's text and backgrounds with DejaVu Sans Mono, which matplotlib ships and which has all glyphs."""
    root = ET.fromstring(svg.read_text())  # noqa: S314 - a file of this repository
    styles = dict(re.findall(r"\.(terminal-\d+-r\d+) \{ ([^}]*)\}", svg.read_text()))
    screen = next(g for g in root.iter(f"{_SVG}g") if "clip-terminal" in g.get("clip-path", ""))
    lines = [rect for rect in root.iter(f"{_SVG}rect") if rect.get("height") == "24.65"]
    width = max(float(rect.get("x", 0)) + float(rect.get("width", 0)) for rect in lines)
    height = max(float(text.get("y", 0)) for text in screen.iter(f"{_SVG}text")) + _LINE - _ASCENT
    image = Image.new("RGB", (round(width * _SCALE), round(height * _SCALE)), "#121212")
    canvas = ImageDraw.Draw(image)
    for rect in screen.iter(f"{_SVG}rect"):
        x, y, w, h = (float(rect.get(name, 0)) * _SCALE for name in ("x", "y", "width", "height"))
        canvas.rectangle((round(x), round(y), round(x + w) - 1, round(y + h) - 1), fill=rect.get("fill"))
    fonts = {weight: _font(weight) for weight in ("", "-Bold")}
    for text in screen.iter(f"{_SVG}text"):
        style = styles[text.get("class", "")]
        found = re.search(r"fill: (#\w+)", style)
        font = fonts["-Bold" if "bold" in style else ""]
        x, y = float(text.get("x", 0)), float(text.get("y", 0))
        for number, letter in enumerate(text.text or ""):
            place = ((x + number * _CELL) * _SCALE, y * _SCALE)
            canvas.text(place, letter, fill=found[1] if found else None, font=font, anchor="ls")
    about = PngImagePlugin.PngInfo()
    about.add_text("Source", _digest(svg))
    image.quantize(64).save(png, optimize=True, pnginfo=about)


def _font(weight: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/DejaVuSansMono{weight}.ttf", round(20 * _SCALE))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
