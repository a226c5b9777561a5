"""What no single value of the settings shows to be wrong: names without a target, what cannot go together."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from string import Template
from urllib.parse import urlsplit

from dataops_core.config.model import (
    AirflowSettings,
    CanaryHop,
    CanarySettings,
    ContextSettings,
    IcebergTableStage,
    KafkaSettings,
    PipelineSettings,
    Settings,
    SparkQueryStage,
    Stage,
    TlsSettings,
    TrinoSettings,
    TrinoViewStage,
    WebSettings,
)

CANARY_FIELDS = ("id", "now")
"""What can stand for something in a canary."""


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield one line for each, that begins with its place in the settings."""
    if settings.default_context is not None and settings.default_context not in settings.contexts:
        yield f"default_context: {no_such('context', settings.default_context, settings.contexts)}"
    for name, context in settings.contexts.items():
        for problem in _context_problems(context):
            yield f"contexts.{name}.{problem}"
    for name, pipeline in settings.pipelines.items():
        for problem in _pipeline_problems(pipeline, settings):
            yield f"pipelines.{name}.{problem}"


def no_such(what: str, name: str, known: Collection[str]) -> str:
    """Say that there is nothing of that name, and which known name is nearest."""
    near = get_close_matches(name, known, n=1)
    listed = ", ".join(known) or "none"
    return f'there is no {what} "{name}"; ' + (f'did you mean "{near[0]}"?' if near else f"known are: {listed}")


def _context_problems(context: ContextSettings) -> Iterator[str]:
    if context.kafka is not None:
        yield from _kafka_problems(context.kafka)
    for name in ("airflow", "prometheus", "alertmanager", "schema_registry"):
        service: AirflowSettings | WebSettings | None = getattr(context, name)
        if service is not None:
            yield from _service_problems(name, service)
    if context.trino is not None:
        yield from _trino_problems(context.trino)
    for name, catalog in context.catalogs.items():
        uri = catalog.properties.get("uri")
        if isinstance(uri, str) and "${" not in uri:
            yield from _tls_problems(f"catalogs.{name}", uri, catalog.tls)


def _kafka_problems(kafka: KafkaSettings) -> Iterator[str]:
    for server in kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal():
            yield "kafka.bootstrap_servers: must be host:port, several separated by commas"
            return


def _service_problems(name: str, service: AirflowSettings | WebSettings) -> Iterator[str]:
    yield from _url_problems(f"{name}.url", service.url)
    yield from _tls_problems(name, service.url, service.tls)
    if service.token is not None and (service.username is not None or service.password is not None):
        yield f"{name}: has a token and a user name or password; keep one of the two ways"
    elif (service.username is None) != (service.password is None):
        yield f"{name}: username and password come together"


def _trino_problems(trino: TrinoSettings) -> Iterator[str]:
    yield from _url_problems("trino.url", trino.url)
    yield from _tls_problems("trino", trino.url, trino.tls)
    for key in ("password", "token"):
        if getattr(trino, key) is not None and not trino.url.startswith("https://"):
            yield f"trino.{key}: Trino takes a {key} over https:// only; change trino.url, or drop the {key}"
    if trino.password is not None and trino.token is not None:
        yield "trino: has a token and a password; keep one of the two ways"


def _url_problems(place: str, url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        valid = False
    if not valid:
        yield f"{place}: must be a URL such as https://host:8443"
    elif parts.username is not None or parts.password is not None:
        yield f"{place}: has a user name or password in it; give them in keys of their own"


def _tls_problems(place: str, url: str, tls: TlsSettings | None) -> Iterator[str]:
    if tls is not None and not url.startswith("https://"):
        yield f"{place}.tls: the address does not begin with https://, so no certificate is used"


def _pipeline_problems(pipeline: PipelineSettings, settings: Settings) -> Iterator[str]:
    context = settings.contexts.get(pipeline.context)
    if context is None:
        yield f"context: {no_such('context', pipeline.context, settings.contexts)}"
    if pipeline.canary is not None:
        yield from (f"canary{problem}" for problem in _canary_problems(pipeline.canary, pipeline, context))
    names = [stage.name for stage in pipeline.stages]
    for index, stage in enumerate(pipeline.stages):
        at = f'stages[{index}] "{stage.name}"'
        for problem in (
            *_name_problems(stage, names[:index]),
            *_reads_problems(stage, names[:index], names),
            *_target_problems(stage),
        ):
            yield f"{at}{problem}"
        if context is not None:
            yield from (f"{at}{problem}" for problem in _not_configured(stage, context, pipeline.context))


def _name_problems(stage: Stage, earlier: Collection[str]) -> Iterator[str]:
    if stage.name in earlier:
        yield ": an earlier stage has the same name"
    if not stage.name.strip() or "/" in stage.name:
        yield '.name: must not be empty or hold a "/": it is half of a check id'


def _reads_problems(stage: Stage, earlier: Collection[str], all_names: Collection[str]) -> Iterator[str]:
    for read in stage.reads:
        if read == stage.name:
            yield ".reads: a stage cannot read itself"
        elif read in all_names and read not in earlier:
            yield f'.reads: "{read}" stands further down; put it before this stage'
        elif read not in earlier:
            yield f".reads: {no_such('stage', read, earlier)}"


def _target_problems(stage: Stage) -> Iterator[str]:
    if isinstance(stage, IcebergTableStage):
        for key, table in (("table", stage.table), ("rejects", stage.rejects)):
            if table is not None and not _has_parts(table, at_least=2):
                yield f".{key}: must be namespace.table"
    if isinstance(stage, SparkQueryStage) and stage.ui is not None:
        yield from (f".{problem}" for problem in _service_problems("ui", stage.ui))
    if isinstance(stage, TrinoViewStage) and not _has_parts(stage.relation, at_least=3):
        yield ".relation: must be catalog.schema.name"


def _has_parts(name: str, *, at_least: int) -> bool:
    parts = name.split(".")
    return len(parts) >= at_least and all(parts)


def _not_configured(stage: Stage, context: ContextSettings, name: str) -> Iterator[str]:
    """Say which component the stage needs that its context lacks; a Spark query's lag is measured in Kafka."""
    match stage.kind:
        case "topic" | "spark_query" | "consumer_group" if context.kafka is None:
            missing = "kafka"
        case "dag" if context.airflow is None:
            missing = "airflow"
        case "trino_view" if context.trino is None:
            missing = "trino"
        case "spark_query" if stage.store is not None and stage.store not in context.catalogs:
            yield f".store: {no_such('catalog', stage.store, context.catalogs)} (in contexts.{name}.catalogs)"
            return
        case "spark_query" if stage.store is None and "://" in stage.checkpoint.removeprefix("file://"):
            yield ".store: missing: name the catalog whose properties open the object store"
            return
        case "iceberg_table" if stage.catalog not in context.catalogs:
            yield f".catalog: {no_such('catalog', stage.catalog, context.catalogs)} (in contexts.{name}.catalogs)"
            return
        case _:
            return
    yield f": a stage of kind {stage.kind} needs [contexts.{name}.{missing}], which is missing"


def _canary_problems(
    canary: CanarySettings, pipeline: PipelineSettings, context: ContextSettings | None
) -> Iterator[str]:
    for key in ("key", "value"):
        yield from (f".{key}{problem}" for problem in _template_problems(getattr(canary, key)))
    if "id" not in Template(canary.key + canary.value).get_identifiers():
        yield '.value: has no "$id", so nobody can know it again'
    if not re.fullmatch(r"[\w.-]+", canary.mark):
        yield ".mark: may hold letters, digits, and the signs . _ - only"
    if context is not None and context.kafka is None:
        yield f": it needs [contexts.{pipeline.context}.kafka], which is missing"
    for index, hop in enumerate(canary.hops):
        yield from (f".hops[{index}]{problem}" for problem in _hop_problems(hop, pipeline, context))


def _hop_problems(hop: CanaryHop, pipeline: PipelineSettings, context: ContextSettings | None) -> Iterator[str]:
    if (hop.stage is None) == (hop.relation is None):
        yield ": needs exactly one of `stage` and `relation`"
        return
    stages = {stage.name: stage for stage in pipeline.stages}
    stage = stages.get(hop.stage or "")
    if hop.stage is not None and stage is None:
        yield f".stage: {no_such('stage', hop.stage, stages)}"
        return
    if stage is not None and stage.kind in ("topic", "dag"):
        yield f".stage: a canary cannot be seen in a stage of kind {stage.kind}"
    if hop.relation is not None and not _has_parts(hop.relation, at_least=3):
        yield ".relation: must be catalog.schema.name"
    if hop.relation is not None and context is not None and context.trino is None:
        yield f".relation: it needs [contexts.{pipeline.context}.trino], which is missing"
    has_rows = stage is None or stage.kind in ("iceberg_table", "trino_view")
    if has_rows and (hop.where is None or "id" not in Template(hop.where).get_identifiers()):
        yield '.where: must hold for the canary\'s row alone: it needs "$id"'
    if not has_rows and hop.where is not None:
        yield f".where: {hop.name} has offsets, and no rows to choose from"
    yield from (f".where{problem}" for problem in _template_problems(hop.where or ""))


def _template_problems(text: str) -> Iterator[str]:
    template = Template(text)
    if not template.is_valid():
        yield ': has a "$" that stands for nothing; write "$$" for a "$"'
    for name in template.get_identifiers():
        if name not in CANARY_FIELDS:
            yield f': "${name}" is unknown; known are {", ".join(f"${known}" for known in CANARY_FIELDS)}'
