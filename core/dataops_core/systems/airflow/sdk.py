"""Airflow's SDK, and of it only what we use.

Its packages import each of their 200 modules; `lazy_imports` leaves out what is not used. Each of its 400 functions
makes the schema of its arguments as it is imported; here it does so at the first call. What no look at Airflow needs is
imported later still.
"""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from dataops_core.bounded import loads
from dataops_core.systems.lazy_imports import argument_checks_at_first_call

if TYPE_CHECKING:
    from airflow_client.client.api.asset_api import AssetApi
    from airflow_client.client.api.backfill_api import BackfillApi
    from airflow_client.client.models.asset_collection_response import AssetCollectionResponse
    from airflow_client.client.models.asset_response import AssetResponse
    from airflow_client.client.models.backfill_post_body import BackfillPostBody

_LATER = {
    "AssetApi": "airflow_client.client.api.asset_api",
    "AssetCollectionResponse": "airflow_client.client.models.asset_collection_response",
    "AssetResponse": "airflow_client.client.models.asset_response",
    "BackfillApi": "airflow_client.client.api.backfill_api",
    "BackfillPostBody": "airflow_client.client.models.backfill_post_body",
}

_lock = Lock()


with argument_checks_at_first_call():
    from airflow_client.client.api.dag_api import DAGApi
    from airflow_client.client.api.dag_run_api import DagRunApi
    from airflow_client.client.api.import_error_api import ImportErrorApi
    from airflow_client.client.api.monitor_api import MonitorApi
    from airflow_client.client.api.pool_api import PoolApi
    from airflow_client.client.api.task_instance_api import TaskInstanceApi
    from airflow_client.client.api_client import ApiClient as _ApiClient
    from airflow_client.client.configuration import Configuration
    from airflow_client.client.exceptions import ApiException
    from airflow_client.client.models.clear_task_instances_body import ClearTaskInstancesBody
    from airflow_client.client.models.clear_task_instances_body_task_ids_inner import (
        ClearTaskInstancesBodyTaskIdsInner,
    )
    from airflow_client.client.models.dag_collection_response import DAGCollectionResponse
    from airflow_client.client.models.dag_patch_body import DAGPatchBody
    from airflow_client.client.models.dag_run_response import DAGRunResponse
    from airflow_client.client.models.trigger_dag_run_post_body import TriggerDAGRunPostBody
    from airflow_client.client.rest import RESTResponse


class ApiClient(_ApiClient):
    """The SDK's client, which reads no answer that is too large or too deep."""

    def deserialize(self, response_text: str, response_type: str, content_type: str | None) -> Any:  # noqa: ANN401
        """Return what an answer is; raises Malformed, or as the SDK does."""
        if response_text and (content_type is None or "json" in content_type.lower()):
            loads(response_text)  # the SDK reads it again, with the reader of Python that has no bounds
        return super().deserialize(response_text, response_type, content_type)


def json_of(response: Any) -> Any:  # noqa: ANN401 - an answer of `pool.SessionPool`, and JSON
    """Return the JSON of an answer that the SDK has not read; raises ApiException, or Malformed."""
    if response.status >= 300:
        body = response.data.decode(errors="replace")
        raise ApiException.from_response(http_resp=RESTResponse(response), body=body, data=None)
    return response.read(response.data)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class of the SDK
    if name not in _LATER:
        raise AttributeError(name)
    with _lock:
        if name not in globals():
            with argument_checks_at_first_call():
                globals()[name] = getattr(import_module(_LATER[name]), name)
        return globals()[name]


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
    "TriggerDAGRunPostBody",
]
