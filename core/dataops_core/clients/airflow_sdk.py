"""Airflow's SDK, and of it only what we use.

Its packages import each of their 200 modules, which took 1.1 s of CPU on a busy machine, where what we use takes 0.7.
Here they are hollow: a module of theirs is imported when it is named, and all of them only if somebody asks a package
for a name that is in none of the modules that are there.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any


def _hollow(name: str) -> None:
    """Put a package in place whose own code does not run before a name of it is missed."""
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def missed(attribute: str) -> Any:  # noqa: ANN401 - whatever a package has
        if attribute.startswith("__") or importlib.util.find_spec(f"{name}.{attribute}") is not None:
            raise AttributeError(attribute)  # of a module of the package, which is imported then
        for module in [module for key, module in sys.modules.items() if key.startswith(f"{name}.")]:
            if attribute in vars(module):
                return vars(module)[attribute]
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, attribute)

    package.__dict__["__getattr__"] = missed
    sys.modules[name] = package
    parent, _, own = name.rpartition(".")
    setattr(sys.modules[parent], own, package)  # as an import does


for _name in ("airflow_client.client", "airflow_client.client.api", "airflow_client.client.models"):
    _hollow(_name)

from airflow_client.client.api.asset_api import AssetApi  # noqa: E402 - the packages are hollow before
from airflow_client.client.api.backfill_api import BackfillApi  # noqa: E402
from airflow_client.client.api.dag_api import DAGApi  # noqa: E402
from airflow_client.client.api.dag_run_api import DagRunApi  # noqa: E402
from airflow_client.client.api.import_error_api import ImportErrorApi  # noqa: E402
from airflow_client.client.api.monitor_api import MonitorApi  # noqa: E402
from airflow_client.client.api.pool_api import PoolApi  # noqa: E402
from airflow_client.client.api.task_instance_api import TaskInstanceApi  # noqa: E402
from airflow_client.client.api_client import ApiClient  # noqa: E402
from airflow_client.client.configuration import Configuration  # noqa: E402
from airflow_client.client.exceptions import ApiException  # noqa: E402
from airflow_client.client.models.asset_collection_response import AssetCollectionResponse  # noqa: E402
from airflow_client.client.models.asset_response import AssetResponse  # noqa: E402
from airflow_client.client.models.backfill_post_body import BackfillPostBody  # noqa: E402
from airflow_client.client.models.clear_task_instances_body import ClearTaskInstancesBody  # noqa: E402
from airflow_client.client.models.clear_task_instances_body_task_ids_inner import (  # noqa: E402
    ClearTaskInstancesBodyTaskIdsInner,
)
from airflow_client.client.models.dag_collection_response import DAGCollectionResponse  # noqa: E402
from airflow_client.client.models.dag_patch_body import DAGPatchBody  # noqa: E402
from airflow_client.client.models.dag_run_response import DAGRunResponse  # noqa: E402
from airflow_client.client.models.task_instance_collection_response import (  # noqa: E402
    TaskInstanceCollectionResponse,
)
from airflow_client.client.models.trigger_dag_run_post_body import TriggerDAGRunPostBody  # noqa: E402
from airflow_client.client.rest import RESTResponse  # noqa: E402

__all__ = [
    "ApiClient",
    "ApiException",
    "AssetApi",
    "AssetCollectionResponse",
    "AssetResponse",
    "BackfillApi",
    "BackfillPostBody",
    "ClearTaskInstancesBody",
    "ClearTaskInstancesBodyTaskIdsInner",
    "Configuration",
    "DAGApi",
    "DAGCollectionResponse",
    "DAGPatchBody",
    "DAGRunResponse",
    "DagRunApi",
    "ImportErrorApi",
    "MonitorApi",
    "PoolApi",
    "RESTResponse",
    "TaskInstanceApi",
    "TaskInstanceCollectionResponse",
    "TriggerDAGRunPostBody",
]
