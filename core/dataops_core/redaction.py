"""Mask secrets in URLs and in free text, for errors, logs and the audit file."""

from __future__ import annotations

import re

MASK = "***"
_NAME = (
    r"(?:[\w.-]*[_.-])?(?:password|passwd|passphrase|passcode|pwd|pass|secret|secrets|token|tokens|credential|credentials"
    r"|api[_-]?key|access[_-]?key|secret[_-]?key|account[_-]?key|private[_-]?key|shared[_-]?key|signature|sig|jwt|sas)"
    r"|[\w.-]*(?:password|secret|token|passphrase|accesskey|secretkey|apikey|accountkey|privatekey)"
)
_VALUE = r"""'(?:[^']|'')*'?|"(?:[^"\\]|\\.)*"?|[^\s,;&'"(){}\[\]]+"""
_ADDRESS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,30}://)(?P<rest>[^\s\"'<>]+)", re.IGNORECASE)
_JDBC = re.compile(r"(?<![\w:.-])(jdbc:[a-z0-9]{1,30}:(?:[a-z]{1,30}:)?)(?!//)[^\s\"']{1,500}@", re.IGNORECASE)
_PAIR = re.compile(rf"(?<![\w.-])(?P<name>[\"']?(?:{_NAME})[\"']?\s*(?:=>|=))\s*(?:{_VALUE})", re.IGNORECASE)
_MEMBER = re.compile(rf"(?P<name>[\"'](?:{_NAME})[\"']\s*:)\s*(?:{_VALUE})", re.IGNORECASE)
_SPOKEN = re.compile(rf"(?<![\w.-])(?P<name>(?:{_NAME})\s*:)\s*(?:{_VALUE})", re.IGNORECASE)
_HEADER = re.compile(r"\b(?P<kind>Bearer|Basic|Negotiate)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_TOKEN = re.compile(r"(?<![\w.-])eyJ[\w-]{8,2000}\.[\w-]{1,4000}\.[\w-]*")
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|\Z)", re.DOTALL)


def redacted(text: str, *, strict: bool = False) -> str:
    """Return a text with every recognizable secret masked.

    Args:
        text: The text.
        strict: Also mask the word after `password:` outside of quotes, as in a comment. Errors may say
            `token: missing`, so the default does not.
    """
    # A search for a required character is faster than the pattern by orders of magnitude.
    if "-----" in text:
        text = _PEM.sub(MASK, text)
    if ":" in text:
        text = _ADDRESS.sub(lambda match: match["scheme"] + _rest(match["rest"]), text)
        text = _JDBC.sub(rf"\1{MASK}@", text)
    if "=" in text:
        text = _PAIR.sub(_masked, text)
    if ":" in text:
        text = _MEMBER.sub(_masked, text)
        text = _SPOKEN.sub(_masked, text) if strict else text
    lowered = text.casefold()
    if any(scheme in lowered for scheme in ("bearer", "basic", "negotiate")):
        text = _HEADER.sub(lambda match: f"{match['kind']} {MASK}", text)
    return _TOKEN.sub(MASK, text) if "eyJ" in text else text


def _masked(match: re.Match[str]) -> str:
    return f"{match['name']}{MASK}"


def _rest(rest: str) -> str:
    """Return a URL after its scheme without user and password, even if they contain `/`, `@`, `?` or `#`."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        end = re.split(r"[?#]", rest, maxsplit=1)[0].rfind("@") if ":" in authority else authority.rfind("@")
        return f"{MASK}{rest[end:]}"
    host, colon, port = authority.rpartition(":")
    if colon and "@" in rest and not host.endswith("]"):
        before_query = re.split(r"[?#]", rest, maxsplit=1)[0]
        if "@" in before_query:
            return f"{MASK}{rest[before_query.rfind('@') :]}"
        if not port.isdecimal():
            return f"{MASK}{rest[rest.rfind('@') :]}"
    return rest
