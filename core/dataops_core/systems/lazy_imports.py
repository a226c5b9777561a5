"""Import modules of the vendors' SDKs, and our modules that need them, at their first use.

This is the only module that changes how packages are imported; decision record 17 has the reasons. CPU time of an
import, minimum of five runs on two busy cores (apache-airflow-client 3.3.2, pydantic 2.14.3, PyIceberg 0.12.0):

- Airflow's SDK: 2.0 s, 1.8 s with only the modules that we use, 1.2 s if argument checks are also built at the first
  call;
- PyIceberg and Arrow: 2.8 s, 1.5 s without the modules below.

The modules below are empty at first; the first attribute access runs the module's code. `importlib.util.LazyLoader`
is not used, because with Python 3.11 a second thread misses names that do not exist yet
(https://github.com/python/cpython/issues/114763); here it waits for them. The code for Airflow can go when
its client is generated with `lazyImports` (https://github.com/OpenAPITools/openapi-generator/issues/19635).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

from dataops_core.gc_tuning import exclude_modules

MODULES = frozenset(
    {
        "dataops_core.systems.airflow.sdk",  # imported before the first request of a component
        "dataops_core.systems.iceberg.files",
        "dataops_core.systems.iceberg.sdk",
        "dataops_core.systems.iceberg.table",
        "pyarrow.dataset",  # for scans; imports pandas where that is installed
        "pyiceberg.expressions.parser",  # for filters that are text
        "strictyaml",  # for a settings file of PyIceberg in the home directory
    }
)
PACKAGES = frozenset({"airflow_client.client", "airflow_client.client.api", "airflow_client.client.models"})
"""Packages that re-export the names of 200 modules; one name requires only its own module."""


class HollowFinder(MetaPathFinder):
    """Finds the modules above as Python does, and delays their loading."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the spec of a module above, or `None` for any other module."""
        if fullname not in MODULES | PACKAGES:
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
        self._loaded = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__getattr__"] = partial(self._missed, module)

    def _missed(self, module: ModuleType, name: str) -> Any:  # noqa: ANN401 - any attribute of a module
        if name.startswith("__"):
            raise AttributeError(name)
        if module.__name__ in PACKAGES and (result := _in_modules_of(module.__name__, name)) is not None:
            return result
        with self._lock:
            if self._running:
                raise AttributeError(name)  # the module's own code asks before the name exists
            self.load(module)
        return getattr(module, name)

    def load(self, module: ModuleType) -> bool:
        with self._lock:
            if self._loaded:
                return False
            missed = vars(module)["__getattr__"]
            self._running = True
            try:
                self._loader.exec_module(module)
            except BaseException:
                vars(module)["__getattr__"] = missed
                raise
            finally:
                self._running = False
            self._loaded = True
            if vars(module).get("__getattr__") is missed:  # the module may define its own
                del vars(module)["__getattr__"]
            return True


def _in_modules_of(package: str, name: str) -> Any:  # noqa: ANN401 - as above
    """Return a submodule, or an attribute of an imported submodule; `None` if there is none of this name."""
    if find_spec(f"{package}.{name}") is not None:
        return import_module(f"{package}.{name}")
    parts = [part for key, part in list(sys.modules.items()) if key.startswith(f"{package}.")]
    return next((vars(part)[name] for part in parts if name in vars(part)), None)


def load(*modules: ModuleType) -> None:
    """Load modules that are still hollow."""
    loaders = [(loader, module) for module in modules if isinstance(loader := module.__loader__, _HollowLoader)]
    loaded = [loader.load(module) for loader, module in loaders]
    if any(loaded):
        exclude_modules()


def install() -> None:
    """Install the finder that delays the loading of the modules above."""
    if not any(isinstance(finder, HollowFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, HollowFinder())


@contextmanager
def argument_checks_at_first_call() -> Iterator[None]:
    """Build the checks of functions wrapped by `pydantic.validate_call` in this block at their first call.

    Airflow's SDK wraps 400 functions, and a probe calls a few of them.
    """
    import pydantic  # noqa: PLC0415 - only where a system needs it

    validate_call = pydantic.validate_call
    pydantic.validate_call = partial(validate_call, config=pydantic.ConfigDict(defer_build=True))  # type: ignore[assignment]
    try:
        yield
    finally:
        pydantic.validate_call = validate_call
