"""Trigger of a DAG: find it, prompt for its parameters, confirm, trigger, report the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataops_core.config import Settings, StageSettings, context_of
from dataops_core.errors import NotFound
from dataops_core.health.model import PipelineHealth
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.systems.registry import registry
from dataops_tui.background import in_background
from dataops_tui.console import Console
from dataops_tui.dialogs.confirm import TriggerDialog
from dataops_tui.messages import DagChecked, DagTriggered

if TYPE_CHECKING:  # the clients bring their vendors' SDKs, which take seconds to import
    from dataops_core.systems.airflow.client import AirflowClient
    from dataops_core.systems.airflow.runs import Param


def dag_of_stage(stage: StageSettings) -> str | None:
    """Return the DAG that a stage observes; `None` if it observes none."""
    result = registry().object_of(stage)
    return result.name if result is not None and result.kind == "airflow_dag" else None


def suggested_dag(settings: Settings, pipeline: PipelineHealth, stage: str | None) -> tuple[str | None, str | None]:
    """Return the DAG of a stage, or the one that the verdict suggests, and the name of its Airflow.

    Returns:
        `None` for an unknown DAG or Airflow; see `airflow_of_stage`.
    """
    known = settings.pipelines.get(pipeline.name)
    for stage_settings in known.stages if known else ():
        if stage_settings.name == stage and (dag_id := dag_of_stage(stage_settings)) is not None:
            return dag_id, airflow_of_stage(settings, pipeline.name, stage)
    verdict = pipeline.verdict
    if verdict.remedy is None:
        return None, None
    return verdict.remedy.dag_id, airflow_of_stage(settings, pipeline.name, verdict.stage)


def airflow_of_stage(settings: Settings, pipeline: str, stage: str | None) -> str | None:
    """Return the name of the Airflow that runs a stage's DAG; `None` if the stage has no Airflow."""
    known = settings.pipelines.get(pipeline)
    result = next((each for each in known.stages if each.name == stage), None) if known is not None else None
    if known is None or result is None:
        return None
    _, context = context_of(settings, known.context)
    name = registry().component_of(result, context)
    return name if name in context.of(AirflowSettings) else None


def trigger_dag(console: Console, dag_id: str | None, on: str | None = None) -> None:
    """Trigger a DAG after confirmation.

    Args:
        console: The console.
        dag_id: The DAG; `None` if none is selected.
        on: Name of the Airflow. Default: the one that the screens show.
    """
    airflow = console.clients.airflow_named(on)
    if dag_id is None:
        past = console.shown_past is not None
        console.notify(
            "the console shows the past: actions are not available"
            if past
            else "no DAG selected: move the cursor to one",
            severity="warning",
        )
        return
    if airflow is None:
        console.notify(console.clients.why_not("Airflow"), severity="error")
        return
    word = console.policy.confirmation()
    if word is None:
        _trigger(console, airflow, dag_id, {}, None)  # the policy refuses, and audits it
        return

    def load() -> tuple[Param, ...]:
        from dataops_core.systems.airflow.runs import params  # noqa: PLC0415 - the vendor's SDK takes a second

        return params(airflow, dag_id)

    dialog = TriggerDialog(console.context_name, dag_id, airflow.api_url, word, load)

    def confirmed(typed: str | None) -> None:
        if typed is not None:
            _trigger(console, airflow, dag_id, dialog.conf, typed)

    console.push_screen(dialog, confirmed)


def trigger_typed_dag(console: Console, dag_id: str) -> None:
    """Trigger a DAG whose name was typed, after Airflow has confirmed that it exists."""
    airflow, screen = console.clients.airflow, console.screen
    if airflow is None or console.policy.confirmation() is None or console.is_listed("DAG", dag_id):
        trigger_dag(console, dag_id)
        return

    def work() -> None:
        from dataops_core.systems.airflow.runs import params  # noqa: PLC0415 - as above

        try:
            params(airflow, dag_id)
        except NotFound:
            raise NotFound(f'no such DAG: "{dag_id}"') from None
        console.post_message(DagChecked(dag_id, screen))

    in_background(console, "trigger", work)


def dag_checked(console: Console, message: DagChecked) -> None:
    """Trigger the confirmed DAG, unless another screen was opened meanwhile."""
    if console.screen is message.screen:
        trigger_dag(console, message.dag_id)
    else:
        console.notify(
            f"{message.dag_id} was not triggered: another screen was opened", severity="warning", markup=False
        )


def _trigger(
    console: Console, airflow: AirflowClient, dag_id: str, conf: dict[str, object], confirmed: str | None
) -> None:
    def work() -> None:
        console.post_message(DagTriggered(console.policy.trigger_dag(airflow, dag_id, conf, confirmed)))

    in_background(console, f"triggering {dag_id}", work)


def dag_triggered(console: Console, message: DagTriggered) -> None:
    """Report the run, and refresh the screens."""
    console.notify(f"{message.run.dag_id}: {message.run.run_id} is {message.run.state}", markup=False)
    console.reload()
