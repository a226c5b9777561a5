"""Evaluate the JMESPath expressions of a stage on a JSON document."""

from __future__ import annotations

from collections.abc import Iterator

from jmespath.exceptions import JMESPathError

from dataops_core.errors import BadAnswer
from dataops_core.reasons import line
from dataops_core.systems.base import DoctorStep
from dataops_core.systems.measured.expressions import compiled
from dataops_core.systems.measured.observe import value_steps
from dataops_core.systems.measured.settings import DocumentStage, expressions


def values(stage: DocumentStage, document: object, where: str) -> dict[str, object]:
    """Return the values of a document by the keys of a stage's expressions; `None` for no match.

    Raises:
        BadAnswer: An expression cannot be evaluated on this document.
    """
    results: dict[str, object] = {}
    for key, text in expressions(stage).items():
        try:
            results[key] = compiled(text).search(document)
        except (JMESPathError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise BadAnswer(f"{where}: the expression of {key} fails: {line(error)}") from error
    return results


def steps(stage: DocumentStage, document: object, where: str) -> Iterator[DoctorStep]:
    """Return the result of each expression, for the doctor."""
    result = values(stage, document, where)
    return value_steps(result, "the expression matches nothing", "Compare the expression of {key} with the document.")
