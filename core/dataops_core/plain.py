"""Text from outside as a terminal may show it: control characters are visible, and none of them takes effect.

Unprintable characters are all of Unicode's control, format (bidirectional controls among them), surrogate, private-use
and unassigned characters, and all separators but the space.
"""

from __future__ import annotations

import json
import re

_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20)} | {"\x7f": "\u2421"}
"""Unicode's one-cell symbols of the C0 controls: ␛ for ESC, ␊ for a line end."""
_LAYOUT = "\n\t"
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text in one line: each unprintable character as its symbol (␛) or its escape (U+202E)."""
    if text.isprintable():
        return text
    return "".join([character if character.isprintable() else _shown(character) for character in text])


def visible_lines(text: str) -> str:
    """Return a text of several lines: as `visible`, but line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or c in _LAYOUT else _shown(c) for c in text])


def escaped(text: str) -> str:
    """Return JSON, or another machine format, with JSON's escapes for unprintable characters; line ends and tabs stay.

    In JSON this is the same value.
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")  # of CSV
    return "".join([c if c.isprintable() or c in _LAYOUT else _escaped(c) for c in text])


def json_line(value: object) -> str:
    """Return a value as JSON in one line of printable characters, which every reader of JSON takes.

    Half of a surrogate pair, as in an argument that is not UTF-8, is no character in JSON: its escape stands as text.
    """
    text = json.dumps(value, ensure_ascii=False)
    return escaped(_SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text))


def _shown(character: str) -> str:
    return _PICTURES.get(character) or character.encode("unicode_escape").decode()


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
