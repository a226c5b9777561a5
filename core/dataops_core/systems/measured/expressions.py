"""JMESPath expressions, compiled once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from dataops_core.reasons import line

EXPRESSION_MAX = 2000
"""Characters of an expression."""


@lru_cache(maxsize=256)
def compiled(text: str) -> Any:  # noqa: ANN401 - jmespath has no types
    """Return an expression as it is searched with; raises JMESPathError, RecursionError or ValueError."""
    return jmespath.compile(text)


def expression_problem(text: str) -> str | None:
    """Return what is wrong with an expression; `None` for nothing."""
    if len(text) > EXPRESSION_MAX:
        return f"has more than {EXPRESSION_MAX} characters"
    try:
        compiled(text)
    except (JMESPathError, RecursionError, ValueError) as error:
        return f"is not a JMESPath expression: {line(str(error) or type(error).__name__)}"
    return None
