"""Texts that steer a terminal, or mislead its reader, where they are written to it as they are."""

from __future__ import annotations

import unicodedata

ESCAPES = (
    "\x1b[31mred",
    "\x1b[2J\x1b[H",
    "\x1b[?1049h",
    "\x1b[8m hidden \x1b[0m",
    "\x1b[1A\x1b[2K",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[21t",
    "\x1b]0;title\x07",
    "\x1b]0;title\x1b\\",
    "\x1b]2;title\x07",
    "\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]10;?\x07",
    "\x1b]1337;File=name=eA==;inline=1:eA==\x07",
    "\x1b]777;notify;a;b\x07",
    '\x1bP$q"p\x1b\\',
    "\x1bP+q544e\x1b\\",
    "\x1b_Gf=100;AAAA\x1b\\",
    "\x1b^private\x1b\\",
    "\x1bXstart\x1b\\",
    "\x1bc",
    "\x1b#8",
    "\x1b(0lqqk\x1b(B",
    "\x1b%G",
    "\x1bN\x1bO",
    "\x1b7\x1b8",
    "\x1b[200~rm -rf ~\x1b[201~",
    "\x9b31mred",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "\x9f\x9e\x98",
    "\x85next line",
    "\r overwritten",
    "line\nforged line",
    "\r\n",
    "\x07\x07",
    "back\x08\x08\x08\x08",
    "\x0b\x0c",
    "\x0e shifted \x0f",
    "nul\x00nul",
    "\x7f",
    "tab\ttab",
    "\u202egpj.exe",
    "\u202a\u202b\u202c\u202d",
    "\u2066\u2067\u2068\u2069",
    "\u200e\u200f\u061c",
    "\u200b\u200c\u200d\u2060\ufeff",
    "soft\xadhyphen",
    "\u2028\u2029",
    "\ufff9a\ufffab\ufffb",
    "\U000e0001\U000e0041",
    "\ue000\uf8ff",
    "\ud800 alone",
    "\udc9b31m",
    "\x1b",
    "[red]markup[/]",
    "[link=http://evil.example]x[/link]",
    "[@click=app.quit]x[/]",
    "\\[31m",
)
"""Each is tried in every place where a text from outside can stand."""


def takes_effect(text: str, allowed: str = "") -> set[str]:
    """Return the characters of a text that a terminal does not simply show.

    Args:
        text: What was written.
        allowed: Characters that may be in it, such as line ends.
    """
    kinds = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return {character for character in text if unicodedata.category(character) in kinds} - set(allowed)
