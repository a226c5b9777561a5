"""Descriptions of the settings for the JSON Schema and the docs, from the attribute docstrings.

Pydantic could collect them when it creates each class (`use_attribute_docstrings`). Then every command would parse the
source at its start, which took a third of the import time of the settings.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from dataops_core.config.base import Section


def describe(root: type[Section]) -> None:
    """Set the description of each field of all sections, and rebuild the tree below a root."""
    for section in _below(Section):
        for base in reversed(section.__mro__):
            for name, text in _texts_of(base.__module__).get(base.__name__, {}).items():
                if issubclass(base, Section) and name in section.model_fields:
                    section.model_fields[name].description = text
    for section in _below(Section):
        section.model_rebuild(force=True)
    root.model_rebuild(force=True)


def undescribed(section: type[Section]) -> list[str]:
    """Return the keys of a section that have no description."""
    texts = {name for base in section.__mro__ for name in _texts_of(base.__module__).get(base.__name__, {})}
    return [name for name, field in section.model_fields.items() if name not in texts and not field.description]


@cache
def _texts_of(module: str) -> dict[str, dict[str, str]]:
    if module not in sys.modules:
        return {}
    try:
        source = inspect.getsource(sys.modules[module])
    except (OSError, TypeError):
        return {}
    return {kind.name: dict(_texts(kind)) for kind in ast.parse(source).body if isinstance(kind, ast.ClassDef)}


def _texts(kind: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(kind.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)


def _below(section: type[Section]) -> Iterator[type[Section]]:
    """Yield all subclasses, each before its own subclasses."""
    for kind in section.__subclasses__():
        yield kind
        yield from _below(kind)
