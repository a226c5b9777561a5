"""Remove secrets from statements for the audit file and the history."""

from __future__ import annotations

import re

from dataops_core.sql.syntax import MAX_CHARACTERS
from dataops_core.sql.tokens import STRING, UNKNOWN, tokenize

_LITERALS = frozenset((STRING, "unicode", "binary", "dollar"))
_SECRET_WORD = re.compile(r"passw|secret|token|credential|key|auth", re.IGNORECASE)


def without_secrets(statement: str) -> str:
    """Return a statement for storage, without its string literals if it mentions secrets."""
    if not _SECRET_WORD.search(statement):
        return statement
    if len(statement) > MAX_CHARACTERS:
        return "(not shown: it is too long to be scanned for secrets)"
    shown, end = [], 0
    for token in tokenize(statement):
        if token.kind in _LITERALS or (token.kind == UNKNOWN and token.end - token.start > 1):
            shown += [statement[end : token.start], "'***'"]
            end = token.end
    return "".join((*shown, statement[end:]))
