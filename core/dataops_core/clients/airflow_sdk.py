"""Airflow's SDK, and of it only what we use.

Its packages import each of their 200 modules; `lazy_imports` leaves out what is not used. Each of its 400 functions
makes the schema of its arguments as it is imported; here it does so at the first call.
"""

from __future__ import annotations

from functools import partial

import pydantic

_validate_call = pydantic.validate_call
pydantic.validate_call = partial(_validate_call, config=pydantic.ConfigDict(defer_build=True))  # type: ignore[assignment]

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

pydantic.validate_call = _validate_call

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
