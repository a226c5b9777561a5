"""All key bindings of the console by id, and the check of the settings that change them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

import dataops_tui
from dataops_core.errors import ConfigError

if TYPE_CHECKING:
    from textual.binding import Binding
    from textual.widget import Widget

ACTING = frozenset(
    (
        "alerts.trigger",
        "app.quit",
        "connect.pause",
        "connect.restart",
        "dags.backfill",
        "dags.pause",
        "dags.trigger",
        "home.trigger",
        "queries.kill",
        "runs.backfill",
        "runs.clear",
        "runs.trigger",
        "sql.analyze",
        "stage.trigger",
        "tasks.clear",
    )
)
"""Bindings that change data, run something or quit the console; see `dataops_tui.ordered_input.CALM`."""


def is_typed(focused: Widget | None, key: str, character: str) -> bool:
    """Return whether a key is text input for the focused widget, and not a command."""
    return focused is not None and focused.check_consume_key(key, character)


def bindings() -> Iterator[tuple[type, Binding]]:
    """Yield each binding with the class that declares it."""
    for module in sorted(pkgutil.walk_packages(dataops_tui.__path__, "dataops_tui."), key=lambda m: m.name):
        if module.name.endswith("__main__"):
            continue
        for owner in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(owner) and owner.__module__ == module.name and "BINDINGS" in vars(owner):
                yield from ((owner, binding) for binding in vars(owner)["BINDINGS"])


def check_keys(keys: Mapping[str, str]) -> None:
    """Check the keys of the settings; raises ConfigError for an unknown binding."""
    if not keys:
        return
    known = {binding.id for _, binding in bindings() if binding.id}
    for name, key in keys.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else "docs/console.md lists them"
            raise ConfigError(f'console.keys: there is no binding "{name}"', hint=hint)
        if not key.strip(" ,"):
            raise ConfigError(f"console.keys.{name}: there is no key", hint='name one, e.g. "f5" or "ctrl+t"')
