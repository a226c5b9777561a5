"""Compile JMESPath expressions, cached."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from dataops_core.reasons import line

EXPRESSION_MAX = 2000
"""Maximum number of characters of an expression."""


@lru_cache(maxsize=256)
def compiled(text: str) -> Any:  # noqa: ANN401 - jmespath has no types
    """Return a compiled expression; raise JMESPathError, RecursionError or ValueError."""
    return jmespath.compile(text)


def expression_problem(text: str) -> str | None:
    """Return the problem of an expression, or `None`."""
    if len(text) > EXPRESSION_MAX:
        return f"has more than {EXPRESSION_MAX} characters"
    try:
        compiled(text)
    except (JMESPathError, RecursionError, ValueError) as error:
        return f"is not a JMESPath expression: {line(str(error) or type(error).__name__)}"
    return None
