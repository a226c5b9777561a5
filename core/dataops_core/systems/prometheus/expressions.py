"""Evaluate the PromQL expressions of a stage in one query; a label of each series holds its key."""

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
"""Maximum number of characters of an expression."""
_KEY = "dataops_key"
_ROUNDED = {"lag_records": math.ceil, "position": math.floor}
"""Rounding of counts; functions such as `increase` return fractions."""


def expression_problem(text: str) -> str | None:
    """Return the problem of an expression, or `None`. Prometheus checks its syntax."""
    if not text.strip():
        return "is empty"
    return f"has more than {EXPRESSION_MAX} characters" if len(text) > EXPRESSION_MAX else None


def values(stage: PrometheusQueryStage, client: PrometheusClient) -> dict[str, object]:
    """Return the values by the keys of a stage's expressions; `None` for no series, or not a number.

    Raises:
        BadAnswer: Prometheus rejects an expression, or one yields several series.
    """
    texts = expressions(stage)
    try:
        samples = client.query(_joined(texts))
    except RequestRefused:
        _find_refused(texts, client)
        raise
    by_key: dict[str, list[Sample]] = {key: [] for key in texts}
    for sample in samples:
        by_key.get(sample.labels.get(_KEY, ""), []).append(sample)
    return {key: _value(key, result, client.where) for key, result in by_key.items()}


def steps(stage: PrometheusQueryStage, client: PrometheusClient) -> Iterator[DoctorStep]:
    """Return the result of each expression, for the doctor."""
    remedy = "Run the expression of {key} in Prometheus, and check that Prometheus scrapes the exporter."
    return value_steps(values(stage, client), "the expression has no series", remedy)


def _joined(texts: Mapping[str, str]) -> str:
    """Return one expression; a line break ends each part, because it may end with a comment."""
    return "\nor ".join(f'label_replace((\n{text}\n), "{_KEY}", "{key}", "", "")' for key, text in texts.items())


def _find_refused(texts: Mapping[str, str], client: PrometheusClient) -> None:
    """Raise BadAnswer with the key of the rejected expression."""
    for key, text in texts.items():
        try:
            client.query(_joined({key: text}))
        except RequestRefused as error:
            raise BadAnswer(f"the expression of {key}: {error}") from error


def _value(key: str, results: Sequence[Sample], where: str) -> float | int | None:
    if len(results) > 1:
        raise BadAnswer(
            f"{where}: the expression of {key} has {len(results)} series",
            hint="aggregate them with min, max or sum",
        )
    number = results[0].value if results else math.nan
    if not math.isfinite(number):
        return None  # 0/0, or no series
    return _ROUNDED[key](number) if key in _ROUNDED else number
