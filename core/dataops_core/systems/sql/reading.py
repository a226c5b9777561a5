"""Check the words of a statement for changes, in addition to the read-only transaction that most databases have."""

from __future__ import annotations

import re

QUERY_MAX = 20_000
"""Maximum number of characters of a query."""
_HIDDEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_FIRST = ("select", "with", "values", "table")
_CHANGES = frozenset(
    (
        *("insert", "update", "delete", "merge", "upsert", "truncate", "drop", "alter", "create", "rename", "grant"),
        *("revoke", "call", "execute", "exec", "copy", "into", "attach", "detach", "pragma", "set", "reset", "lock"),
        *("vacuum", "install", "load", "export", "import", "commit", "rollback", "begin", "do", "nextval", "setval"),
        *("outfile", "dumpfile", "load_extension", "pg_sleep", "dblink", "lo_import", "lo_export"),
    )
)


def query_problem(query: str) -> str | None:
    """Return why a query is rejected, or `None` for one read-only statement."""
    if len(query) > QUERY_MAX:
        return f"has more than {QUERY_MAX:,} characters"
    text = _HIDDEN.sub(" '' ", query).strip().removesuffix(";").rstrip()
    if ";" in text:
        return "has more than one statement"
    words = re.findall(r"[a-z_][a-z0-9_$]*", text.lower())
    if not words or words[0] not in _FIRST:
        return f"must begin with {', '.join(word.upper() for word in _FIRST[:-1])} or {_FIRST[-1].upper()}"
    changes = next((word for word in words if word in _CHANGES), None)
    if changes is not None:
        return f'must be read-only, but has the word "{changes}"; quote it if it is a name'
    return None
