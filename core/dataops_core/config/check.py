"""Check the settings as a whole: names without a target, and values that contradict each other."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from string import Template
from typing import Protocol
from urllib.parse import urlsplit

from dataops_core.config.base import ComponentSettings, Secret, Section, StageSettings, TlsSettings
from dataops_core.config.model import CanaryHop, CanarySettings, ContextSettings, PipelineSettings, Settings

CANARY_FIELDS = ("id", "now")
"""Fields of a canary, used as `$id` and `$now`."""
CANARY_SENDER, CANARY_SQL = "kafka", "trino"
"""Kinds of components that send a canary, and that detect it in a relation."""
WORDS = {"iceberg": "catalog"}
"""Names of kinds of components in errors, if they differ from the kind."""


class Kinds(Protocol):
    """The systems' part of the checks; `dataops_core.systems.registry` implements it."""

    def component_problems(self, settings: ComponentSettings) -> Iterator[str]:
        """Yield the problems of a component, each beginning with the key, such as `.url: …`."""

    def stage_problems(self, stage: StageSettings) -> Iterator[str]:
        """Yield the problems of a stage, each beginning with the key."""

    def missing_components(self, stage: StageSettings, context: ContextSettings) -> Iterator[tuple[str, str, str]]:
        """Yield the stage's key, the kind and the name of each component that is missing in the context."""

    def canary_hop(self, stage: StageSettings) -> str | None:
        """Return how a stage detects a canary: by `rows` or by `offsets`; `None` if it cannot."""


def contradictions(settings: Settings, kinds: Kinds) -> Iterator[str]:
    """Yield each problem in one line, beginning with the path in the settings."""
    if settings.default_context is not None and settings.default_context not in settings.contexts:
        yield f"default_context: {no_such('context', settings.default_context, settings.contexts)}"
    for name, context in settings.contexts.items():
        for key, component in _components(context):
            yield from (f"contexts.{name}.{key}{problem}" for problem in kinds.component_problems(component))
        for repeated in set(context.model_fields_set) & set(getattr(context, "components", {})):
            yield f"contexts.{name}.components.{repeated}: [contexts.{name}.{repeated}] has the same name"
    for name, pipeline in settings.pipelines.items():
        for problem in _pipeline_problems(pipeline, settings, kinds):
            yield f"pipelines.{name}.{problem}"


def no_such(noun: str, name: str, known: Collection[str]) -> str:
    """Return the message for an unknown name, with the nearest known name."""
    near = get_close_matches(name, known, n=1)
    listed = ", ".join(known) or "none"
    return f'there is no {noun} "{name}"; ' + (f'did you mean "{near[0]}"?' if near else f"known are: {listed}")


def _components(context: ContextSettings) -> Iterator[tuple[str, ComponentSettings]]:
    """Yield the key of each component in the context, with the component."""
    for name in type(context).model_fields:
        value = getattr(context, name)
        if isinstance(value, ComponentSettings):
            yield name, value
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", each) for inner, each in value.items())


def web_problems(settings: Section, url: str, tls: TlsSettings | None, prefix: str = "") -> Iterator[str]:
    """Yield the problems of a service with an HTTP API: its address, TLS and authentication.

    Args:
        settings: The service's table, with `token`, `username` and `password`.
        url: The service's address.
        tls: The service's TLS settings.
        prefix: Key of the table, if it is not a component's table.
    """
    yield from url_problems(f"{prefix}.url", url)
    yield from tls_problems(prefix, url, tls)
    token, username, password = (getattr(settings, key, None) for key in ("token", "username", "password"))
    yield from _sign_in_problems(prefix, token, username, password)


def _sign_in_problems(
    prefix: str, token: Secret | None, username: str | None, password: Secret | None
) -> Iterator[str]:
    if token is not None and (username is not None or password is not None):
        yield f"{prefix}: has a token and a user name or password; keep one of the two"
    elif (username is None) != (password is None):
        yield f"{prefix}: username and password must both be set"


def url_problems(key: str, url: str) -> Iterator[str]:
    """Yield the problems of an address, each beginning with its key."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port, an unclosed bracket
        valid = False
    if not valid:
        yield f"{key}: must be a URL such as https://host:8443"
    elif parts.username is not None or parts.password is not None:
        yield f"{key}: contains a user name or password; move them to their own keys"


def tls_problems(prefix: str, url: str, tls: TlsSettings | None) -> Iterator[str]:
    """Yield a problem if TLS is configured for an address without TLS."""
    if tls is not None and not url.startswith("https://"):
        yield f"{prefix}.tls: the address does not begin with https://, so no certificate is used"


def _pipeline_problems(pipeline: PipelineSettings, settings: Settings, kinds: Kinds) -> Iterator[str]:
    context = settings.contexts.get(pipeline.context)
    if context is None:
        yield f"context: {no_such('context', pipeline.context, settings.contexts)}"
    if pipeline.canary is not None:
        yield from (f"canary{problem}" for problem in _canary_problems(pipeline.canary, pipeline, context, kinds))
    names = [stage.name for stage in pipeline.stages]
    for index, stage in enumerate(pipeline.stages):
        at = f'stages[{index}] "{stage.name}"'
        for problem in (
            *_name_problems(stage, names[:index]),
            *_reads_problems(stage, names[:index], names),
            *kinds.stage_problems(stage),
        ):
            yield f"{at}{problem}"
        if context is not None:
            yield from (f"{at}{problem}" for problem in _not_configured(stage, context, pipeline.context, kinds))


def _name_problems(stage: StageSettings, earlier: Collection[str]) -> Iterator[str]:
    if stage.name in earlier:
        yield ": an earlier stage has the same name"
    if not stage.name.strip() or "/" in stage.name:
        yield '.name: must not be empty or contain "/", because it is half of a check id'


def _reads_problems(stage: StageSettings, earlier: Collection[str], all_names: Collection[str]) -> Iterator[str]:
    for read in stage.reads:
        if read == stage.name:
            yield ".reads: a stage cannot read itself"
        elif read in all_names and read not in earlier:
            yield f'.reads: "{read}" is a later stage; move it before this stage'
        elif read not in earlier:
            yield f".reads: {no_such('stage', read, earlier)}"


def has_parts(name: str, *, at_least: int) -> bool:
    """Return whether a dotted name has a minimum number of parts, none of them empty."""
    parts = name.split(".")
    return len(parts) >= at_least and all(parts)


def _not_configured(stage: StageSettings, context: ContextSettings, name: str, kinds: Kinds) -> Iterator[str]:
    """Yield a problem for each component that the stage needs and that is missing in its context."""
    for key, kind, wanted in kinds.missing_components(stage, context):
        none = f": a stage of kind {stage.kind} needs [contexts.{name}.{kind}], which is missing"
        yield _missing(f".{key}", kind, wanted, context, name) or none


def _missing(key: str, kind: str, wanted: str | None, context: ContextSettings, name: str) -> str | None:
    """Return the problem of a component that is missing or not named; `None` if the context has none of its kind."""
    same = [each for each, settings in context.configured().items() if settings.component == kind]
    if wanted:
        return f"{key}: {no_such(WORDS.get(kind, kind), wanted, same)} (in contexts.{name})"
    return f"{key}: missing: contexts.{name} has several ({', '.join(same)}); name one" if same else None


def _canary_problems(
    canary: CanarySettings, pipeline: PipelineSettings, context: ContextSettings | None, kinds: Kinds
) -> Iterator[str]:
    for key in ("key", "value"):
        yield from (f".{key}{problem}" for problem in _template_problems(getattr(canary, key)))
    if "id" not in Template(canary.key + canary.value).get_identifiers():
        yield '.value: has no "$id", so its records cannot be identified'
    if not re.fullmatch(r"[\w.-]+", canary.mark):
        yield ".mark: may only contain letters, digits, and . _ -"
    if context is not None and context.named(CANARY_SENDER, canary.on) is None:
        none = f": it needs [contexts.{pipeline.context}.{CANARY_SENDER}], which is missing"
        yield _missing(".on", CANARY_SENDER, canary.on, context, pipeline.context) or none
    for index, hop in enumerate(canary.hops):
        yield from (f".hops[{index}]{problem}" for problem in _hop_problems(hop, pipeline, context, kinds))


def _hop_problems(
    hop: CanaryHop, pipeline: PipelineSettings, context: ContextSettings | None, kinds: Kinds
) -> Iterator[str]:
    if (hop.stage is None) == (hop.relation is None):
        yield ": needs exactly one of `stage` and `relation`"
        return
    stages = {stage.name: stage for stage in pipeline.stages}
    stage = stages.get(hop.stage or "")
    if hop.stage is not None and stage is None:
        yield f".stage: {no_such('stage', hop.stage, stages)}"
        return
    detected_by = "rows" if stage is None else kinds.canary_hop(stage)
    if stage is not None and detected_by is None:
        yield f".stage: a canary cannot be detected in a stage of kind {stage.kind}"
    if hop.relation is not None and not has_parts(hop.relation, at_least=3):
        yield ".relation: must be catalog.schema.name"
    if hop.on is not None and hop.relation is None:
        yield ".on: a hop with a stage uses the component of the stage"
    if hop.relation is not None and context is not None and context.named(CANARY_SQL, hop.on) is None:
        none = f".relation: it needs [contexts.{pipeline.context}.{CANARY_SQL}], which is missing"
        yield _missing(".on", CANARY_SQL, hop.on, context, pipeline.context) or none
    has_rows = detected_by == "rows"
    if has_rows and (hop.where is None or "id" not in Template(hop.where).get_identifiers()):
        yield '.where: must match only the canary\'s row: it needs "$id"'
    if not has_rows and hop.where is not None:
        yield f".where: {hop.name} has offsets, not rows, so `where` does not apply"
    yield from (f".where{problem}" for problem in _template_problems(hop.where or ""))


def _template_problems(text: str) -> Iterator[str]:
    template = Template(text)
    if not template.is_valid():
        yield ': has a "$" without a field name; write "$$" for a literal "$"'
    for name in template.get_identifiers():
        if name not in CANARY_FIELDS:
            yield f': "${name}" is unknown; known are {", ".join(f"${known}" for known in CANARY_FIELDS)}'
