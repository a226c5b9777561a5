"""Values of a stage, found by PromQL expressions: all of them in one query, each series marked with its key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from dataops_core.errors import BadAnswer, RequestRefused
from dataops_core.systems.base import DoctorStep
from dataops_core.systems.measured.observe import value_steps
from dataops_core.systems.measured.settings import expressions
from dataops_core.systems.prometheus.client import PrometheusClient
from dataops_core.systems.prometheus.responses import Sample
from dataops_core.systems.prometheus.settings import PrometheusQueryStage

EXPRESSION_MAX = 2000
"""Characters of an expression."""
_KEY = "dataops_key"
_ROUNDED = {"lag_records": math.ceil, "position": math.floor}
"""Counts; what functions such as `increase` estimate has fractions."""


def expression_problem(text: str) -> str | None:
    """Return what is wrong with an expression; Prometheus itself finds the rest."""
    if not text.strip():
        return "is empty"
    return f"has more than {EXPRESSION_MAX} characters" if len(text) > EXPRESSION_MAX else None


def values(stage: PrometheusQueryStage, client: PrometheusClient) -> dict[str, object]:
    """Return the values by the keys of a stage's expressions; `None` if one has no series, or is not a number.

    Raises:
        BadAnswer: An expression is refused, or yields several series.
    """
    asked = expressions(stage)
    try:
        samples = client.query(_joined(asked))
    except RequestRefused:
        _find_refused(asked, client)
        raise
    by_key: dict[str, list[Sample]] = {key: [] for key in asked}
    for sample in samples:
        by_key.get(sample.labels.get(_KEY, ""), []).append(sample)
    return {key: _value(key, found, client.where) for key, found in by_key.items()}


def steps(stage: PrometheusQueryStage, client: PrometheusClient) -> Iterator[DoctorStep]:
    """Return what each expression finds, for the doctor."""
    remedy = "Run the expression of {key} in Prometheus, and check that the exporter is scraped."
    return value_steps(values(stage, client), "the expression has no series", remedy)


def _joined(asked: Mapping[str, str]) -> str:
    """Return one expression; each of its parts ends with a line break, since it may end with a comment."""
    return "\nor ".join(f'label_replace((\n{text}\n), "{_KEY}", "{key}", "", "")' for key, text in asked.items())


def _find_refused(asked: Mapping[str, str], client: PrometheusClient) -> None:
    """Raise BadAnswer that names the expression which is refused."""
    for key, text in asked.items():
        try:
            client.query(_joined({key: text}))
        except RequestRefused as error:
            raise BadAnswer(f"the expression of {key}: {error}") from error


def _value(key: str, found: Sequence[Sample], where: str) -> float | int | None:
    if len(found) > 1:
        raise BadAnswer(
            f"{where}: the expression of {key} has {len(found)} series",
            hint="aggregate them with min, max or sum",
        )
    number = found[0].value if found else math.nan
    if not math.isfinite(number):
        return None  # 0/0, or no value at all
    return _ROUNDED[key](number) if key in _ROUNDED else number
