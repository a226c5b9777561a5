"""Probe the newest results of a dbt project, and its models and sources."""

from __future__ import annotations

from datetime import UTC, datetime

from dataops_core.errors import BadAnswer, NotFound
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.systems.dbt.client import MANIFEST, SOURCES, DbtClient, Project, Ran, upstream_failed
from dataops_core.systems.dbt.details import DbtDetails, DbtModelDetails, DbtSourceDetails
from dataops_core.systems.dbt.responses import Node
from dataops_core.systems.dbt.settings import DbtModelStage, DbtSourceStage

SHOWN = 5
"""Maximum number of models and tests that are named."""
MODEL_KINDS = ("model", "seed", "snapshot")


def observe_dbt(client: DbtClient) -> tuple[str, Observation]:
    """Return one line about a project, and its observation."""
    now = datetime.now(UTC)
    client.ping()
    project = client.project()
    models = {node: ran for node, ran in project.ran.items() if node.startswith(("model.", "seed.", "snapshot."))}
    tests = {node: ran for node, ran in project.ran.items() if node not in models}
    failed = [node for node, ran in models.items() if ran.result.failed]
    failed_tests = [node for node, ran in tests.items() if ran.result.failed]
    checked = project.sources.freshness.values() if project.sources is not None else None
    newest = project.runs[0] if project.runs else None
    job_run = project.job_runs[0] if project.job_runs else None
    failed_run = project.failed_run()
    details = DbtDetails(
        dbt_version=newest.written.dbt_version if newest is not None else None,
        command=newest.command if newest is not None else None,
        command_ended=newest.written.at if newest is not None else None,
        models=len(models) if project.ran else None,
        models_failed=len(failed) if project.ran else None,
        models_skipped=sum(ran.result.status == "skipped" for ran in models.values()) if project.ran else None,
        tests=len(tests) if project.ran else None,
        tests_failed=len(failed_tests) if project.ran else None,
        sources_checked=len(checked) if checked is not None else None,
        sources_stale=sum(each.status == "error" for each in checked) if checked is not None else None,
        failed=_shown([_short(node) for node in (*failed, *failed_tests)]),
        unreadable="; ".join(project.unreadable.values()) or None,
        job_run=job_run.title if job_run is not None else None,
        job_run_pending_since=job_run.created_at if job_run is not None and not job_run.finished else None,
        job_run_link=job_run.link if job_run is not None else None,
        failed_run=failed_run.title if failed_run is not None else None,
        failed_run_ended=failed_run.finished_at if failed_run is not None else None,
        failed_run_cause=failed_run.message if failed_run is not None else None,
        failed_run_link=failed_run.link if failed_run is not None else None,
    )
    detail = "no results yet" if newest is None else f"newest results: dbt {newest.title}"
    if job_run is not None:
        detail += f"; newest run: {job_run.title}"
    return detail, Observation(stage=client.name, observed_at=now, details=details)


def observe_model(stage: DbtModelStage, client: DbtClient) -> Observation:
    """Return an observation of a model; its progress time is the start of its newest successful run.

    The progress time of a view is now, because it reads the current data of its inputs.
    """
    now = datetime.now(UTC)
    project = client.project()
    _require_results(project)
    node = project.node(stage.model, MODEL_KINDS)
    ran, done = project.ran.get(node.unique_id), project.succeeded.get(node.unique_id)
    progress = (now if node.materialized == "view" else done.result.started_at) if done is not None else None
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=progress,
        progress_source=ProgressSource.DERIVED if progress is not None else None,
        advanced_at=done.result.ended_at if done is not None else None,
        notes=_notes(project, ran, done),
        details=_details(project, node, ran, done),
    )


def _require_results(project: Project) -> None:
    wrong = [problem for path, problem in project.unreadable.items() if path not in (MANIFEST, SOURCES)]
    if wrong:
        raise BadAnswer(f"{project.where}: {wrong[0]}")
    if not project.runs and not project.ran:
        raise NotFound(f"{project.where}: there are no run results yet", hint="run `dbt build`, or set `run_results`")


def _details(project: Project, node: Node, ran: Ran | None, done: Ran | None) -> DbtModelDetails:
    result = project.manifest.tests_of(node.unique_id) if project.manifest is not None else ()
    tests = [test for each in result if (test := project.ran.get(each)) is not None]
    failed = [test for test in tests if test.result.failed]
    warned = [test for test in tests if test.result.status == "warn"]
    later, failed_run = project.later_command(), project.failed_run()
    if failed_run is not None and ran is not None and ran.by.at >= failed_run.created_at:
        failed_run = None  # it ran the model, whose own status is known
    took = None
    if done is not None and done.result.started_at is not None and done.result.ended_at is not None:
        took = (done.result.ended_at - done.result.started_at).total_seconds()
    return DbtModelDetails(
        relation=".".join(node.relation) or None,
        materialized=node.materialized,
        status=ran.result.status if ran is not None else None,
        cause=(ran.result.message or "no message") if ran is not None and ran.result.failed else None,
        command=ran.command if ran is not None else None,
        command_ended=ran.by.at if ran is not None else None,
        skipped_for=_skipped_for(project, ran),
        query_id=ran.result.query_id if ran is not None else None,
        run_started_at=done.result.started_at if done is not None else None,
        run_duration=took,
        tests=len(tests) if tests or not result else None,
        tests_failed=len(failed) if tests else None,
        tests_warned=len(warned) if tests else None,
        failed_tests=_shown([_test(each) for each in failed]),
        warned_tests=_shown([_test(each) for each in warned]),
        stale_source=_shown(_stale(project, node)),
        later_command=later.at if later is not None else None,
        failed_run=failed_run.title if failed_run is not None else None,
        failed_run_ended=failed_run.finished_at if failed_run is not None else None,
        failed_run_cause=failed_run.message if failed_run is not None else None,
        failed_run_link=failed_run.link if failed_run is not None else None,
    )


def _skipped_for(project: Project, ran: Ran | None) -> str | None:
    if ran is None or ran.result.status != "skipped":
        return None
    return _shown([_short(each) for each in upstream_failed(project, ran.result.node)])


def _stale(project: Project, node: Node) -> list[str]:
    known = project.sources.freshness if project.sources is not None else {}
    return [
        _short(parent)
        for parent in node.parents
        if (result := known.get(parent)) is not None and result.status == "error"
    ]


def _notes(project: Project, ran: Ran | None, done: Ran | None) -> tuple[str, ...]:
    newest = project.runs[0] if project.runs else None
    notes = []
    if ran is not None:
        notes.append(f"its newest run, by dbt {ran.command}, has the status {ran.result.status}")
    if newest is not None and (ran is None or ran.by.invocation != newest.written.invocation):
        notes.append(f"the newest results are from dbt {newest.title}, which did not run it")
    if done is None:
        notes.append("no successful run of it is known")
    return tuple(notes)


def observe_source(stage: DbtSourceStage, client: DbtClient) -> Observation:
    """Return an observation of a source; its progress time is that of its newest row at the newest freshness check."""
    now = datetime.now(UTC)
    project = client.project()
    if SOURCES in project.unreadable:
        raise BadAnswer(f"{project.where}: {project.unreadable[SOURCES]}")
    if project.sources is None:
        raise NotFound(f"{project.where}: there is no {SOURCES}", hint="run `dbt source freshness`")
    node = project.node(stage.source, ("source",))
    result = project.sources.freshness.get(node.unique_id)
    if result is None:
        raise NotFound(
            f"{project.where}: the newest `dbt source freshness` did not check {node.name}",
            hint="set `loaded_at_field` and `freshness` of the source",
        )
    checked = result.checked_at or project.sources.written.at
    current = (now - checked).total_seconds() <= stage.checked_within
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=result.newest if current else None,
        progress_source=ProgressSource.DERIVED if current and result.newest is not None else None,
        advanced_at=result.newest,
        details=DbtSourceDetails(
            relation=".".join(node.relation) or None,
            status=result.status,
            checked_at=checked,
            newest_row=result.newest,
            cause=result.error,
        ),
    )


def _short(unique_id: str) -> str:
    """Return a node's name without its kind, its package and the hash of a test."""
    parts = unique_id.split(".")
    if parts[0] == "test" and len(parts) > 3:
        return parts[2]
    return ".".join(parts[2:]) or unique_id


def _test(ran: Ran) -> str:
    name = _short(ran.result.node)
    return f"{name} ({ran.result.message})" if ran.result.message else name


def _shown(names: list[str]) -> str | None:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) + more) or None
