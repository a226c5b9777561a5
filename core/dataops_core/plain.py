"""Text from outside as a terminal may show it: control characters are visible, and none of them takes effect.

Unprintable characters are all of Unicode's control, format (bidirectional controls among them), surrogate, private-use
and unassigned characters, and the separators of lines and paragraphs. Spaces of other scripts, and joiners within words
and emoji, are text.
"""

from __future__ import annotations

import json
import re
import unicodedata

_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20)} | {"\x7f": "\u2421"}
"""Unicode's one-cell symbols of the C0 controls: ␛ for ESC, ␊ for a line end."""
_LAYOUT = "\n\t"
_JOINERS = "\u200c\u200d"
"""They join letters of Persian and Indic words, and emoji, and are nothing elsewhere."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text in one line: each unprintable character as its symbol (␛) or its escape (U+202E)."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or _is_text(text, at, c) else _shown(c) for at, c in enumerate(text)])


def visible_lines(text: str) -> str:
    """Return a text of several lines: as `visible`, but line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        [c if c.isprintable() or c in _LAYOUT or _is_text(text, at, c) else _shown(c) for at, c in enumerate(text)]
    )


def lines_of(text: str) -> list[str]:
    """Return the lines of a text; unlike with `splitlines`, no other character than a line end parts them."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def escaped(text: str) -> str:
    """Return JSON, or another machine format, with JSON's escapes for unprintable characters; line ends and tabs stay.

    In JSON this is the same value.
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")  # of CSV
    return "".join(
        [c if c.isprintable() or c in _LAYOUT or _is_text(text, at, c) else _escaped(c) for at, c in enumerate(text)]
    )


def encodable(text: str, encoding: str | None) -> str:
    """Return a text that an output of this encoding takes: characters that it has not are JSON's escapes."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return "".join([c if _has(encoding, c) else _escaped(c) for c in text])
    return text


def json_line(value: object) -> str:
    """Return a value as JSON in one line of printable characters, which every reader of JSON takes.

    Half of a surrogate pair, as in an argument that is not UTF-8, is no character in JSON: its escape stands as text.
    """
    text = json.dumps(value, ensure_ascii=False)
    return escaped(_SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text))


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
