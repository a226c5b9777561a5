"""Make the control characters of untrusted text visible, so that none takes effect in a terminal.

Unprintable characters are Unicode's control, format (including bidirectional controls), surrogate, private-use and
unassigned characters, and line and paragraph separators. Spaces of other scripts, and joiners within words and emoji,
count as text.
"""

from __future__ import annotations

import json
import re
import unicodedata

_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20)} | {"\x7f": "\u2421"}
"""Unicode's one-cell symbols of the C0 controls: ␛ for ESC, ␊ for a line end."""
_LAYOUT = "\n\t"
_JOINERS = "\u200c\u200d"
"""Characters that join letters of Persian and Indic words, and emoji; elsewhere they are unprintable."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text in one line: each unprintable character as its symbol (␛) or its escape (U+202E)."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or _is_text(text, at, c) else _shown(c) for at, c in enumerate(text)])


def visible_lines(text: str) -> str:
    """Return a text of several lines like `visible`, but with line ends and tabs unchanged."""
    if text.isprintable():
        return text
    return "".join(
        [c if c.isprintable() or c in _LAYOUT or _is_text(text, at, c) else _shown(c) for at, c in enumerate(text)]
    )


def lines_of(text: str) -> list[str]:
    """Return the lines of a text; unlike `splitlines`, split only at line ends."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def escaped(text: str) -> str:
    """Return JSON or another machine format with unprintable characters, except line ends and tabs, as JSON's escapes.

    The value of a JSON document stays the same.
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")  # of CSV
    return "".join(
        [c if c.isprintable() or c in _LAYOUT or _is_text(text, at, c) else _escaped(c) for at, c in enumerate(text)]
    )


def encodable(text: str, encoding: str | None) -> str:
    """Return a text with characters that an encoding does not have replaced by JSON's escapes."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return "".join([c if _has(encoding, c) else _escaped(c) for c in text])
    return text


def json_line(value: object) -> str:
    """Return a value as valid JSON in one line of printable characters.

    A lone surrogate, as in an argument that is not UTF-8, has no JSON form and becomes the text of its escape.
    """
    text = json.dumps(value, ensure_ascii=False)
    return escaped(_SURROGATE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text))


def _has(encoding: str | None, character: str) -> bool:
    try:
        character.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_text(text: str, at: int, character: str) -> bool:
    """Return whether an unprintable character is part of a text: a space, or a joiner between two letters or emoji."""
    if character in _JOINERS:
        around = text[at - 1 : at] + text[at + 1 : at + 2] if at else ""
        return len(around) == 2 and around.isprintable() and not any(map(str.isascii, around))
    return unicodedata.category(character) == "Zs"


def _shown(character: str) -> str:
    return _PICTURES.get(character) or character.encode("unicode_escape").decode()


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
