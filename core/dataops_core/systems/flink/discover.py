"""Propose Flink jobs for `config init`, with the topics that their sources read."""

from __future__ import annotations

from dataops_core.systems.base import Clients
from dataops_core.systems.draft import Draft
from dataops_core.systems.flink.client import FlinkClient
from dataops_core.systems.flink.responses import Job

ENDED = ("CANCELED", "FINISHED")


def discover(draft: Draft, clients: Clients) -> None:
    """Add the newest job of each name of all clusters, except those that were cancelled or have finished."""
    result = clients.all("flink")
    for name, client in result.items():
        jobs = {job.name: job for job in reversed(draft.ask(client.jobs) or ())}
        for job in jobs.values():
            if job.state not in ENDED:
                _job(draft, client, job, name if len(result) > 1 else None)


def _job(draft: Draft, client: FlinkClient, job: Job, on: str | None) -> None:
    own = {} if on is None else {"on": on}
    settings = {"name": job.name, "kind": "flink_job", "job": job.name, **own}
    stage = draft.add(f"{on or ''}/{job.name}", settings)
    topics = draft.ask(lambda: client.topics(job)) or ()
    for topic in draft.stages("topic"):
        if topic.settings["topic"] in topics:
            stage.reads.append(topic.name)
    if job.state != "RUNNING":
        stage.remarks.append(f"It is {job.state}.")
    if job.state == "RUNNING" and not topics:
        stage.remarks.append("Flink has not reported the topics of its sources yet. Run `config init` again in 10s.")
    elif topics:
        stage.remarks.append("If its source commits in a consumer group, set `group`: the lag is then exact.")
    stage.remarks.append("Flink does not report its outputs: add this stage to `reads` of the next stage.")
