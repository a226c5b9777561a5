"""What each setting is, as its JSON Schema and the docs say it: the text that stands below it in `model.py`.

Pydantic takes these in as it makes each class (`use_attribute_docstrings`), and reads and parses the source for that: a
third of the time that the settings took to import, at each start of a command.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise

from dataops_core.config import model
from dataops_core.config.model import Section, Settings


def described() -> type[Settings]:
    """Return the settings, where each field of each section has its description."""
    texts = {
        kind.name: dict(_texts(kind))
        for kind in ast.parse(inspect.getsource(model)).body
        if isinstance(kind, ast.ClassDef)
    }
    for section in _below(Section):
        for base in reversed(section.__mro__):
            for name, text in texts.get(base.__name__, {}).items():
                section.model_fields[name].description = text
        section.model_rebuild(force=True)
    return Settings


def _texts(kind: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(kind.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)


def _below(section: type[Section]) -> Iterator[type[Section]]:
    """Yield all classes below this one, each before those that are derived from it."""
    for kind in section.__subclasses__():
        yield kind
        yield from _below(kind)
