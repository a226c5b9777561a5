"""Modules of the vendors' SDKs that are imported once they are used, and not as soon as another module names them.

A look at a pipeline took longer to import what it does not use than to ask its components. The modules below are there
and hollow; the first name that is looked up in one runs its code. In a package, a module of it is imported when it is
named, and the package's own code runs only where no module that was imported has the name.
`importlib.util.LazyLoader` does not let several threads look at once before Python 3.12.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

HOLLOW = frozenset(
    {
        # each imports all of the two hundred modules of Airflow's SDK
        "airflow_client.client",
        "airflow_client.client.api",
        "airflow_client.client.models",
        "pyarrow.dataset",  # for scans; imports pandas where that is installed
        "pyiceberg.expressions.parser",  # for filters that are text
        "strictyaml",  # for a file of settings that PyIceberg finds at home
    }
)


class HollowFinder(MetaPathFinder):
    """Finds the modules in `HOLLOW` where Python does, and has them loaded later."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the spec of a module that is imported later; `None` for all others."""
        if fullname not in HOLLOW:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _HollowLoader(spec.loader)
        return spec


class _HollowLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = RLock()
        self._running = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        def missed(name: str) -> Any:  # noqa: ANN401 - whatever a module has
            return self._missed(module, name)

        module.__dict__["__getattr__"] = missed

    def _missed(self, module: ModuleType, name: str) -> Any:  # noqa: ANN401 - as above
        if name.startswith("__"):
            raise AttributeError(name)
        if "__path__" in vars(module):
            if find_spec(f"{module.__name__}.{name}") is not None:
                raise AttributeError(name)  # a module of the package, which Python imports then
            parts = [part for key, part in list(sys.modules.items()) if key.startswith(f"{module.__name__}.")]
            for part in parts:
                if name in vars(part):
                    return vars(part)[name]
        with self._lock:
            if self._running:
                raise AttributeError(name)  # its own code asks, before the name is there
            if "__getattr__" in vars(module):
                self._running = True
                try:
                    self._loader.exec_module(module)
                finally:
                    self._running = False
                del module.__dict__["__getattr__"]
        return getattr(module, name)


def install() -> None:
    """Have what is hollow imported later, from here on."""
    if not any(isinstance(finder, HollowFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, HollowFinder())
