"""Propose Flink jobs for `config init`, with the topics that their sources read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dataops_core.systems.base import Clients
from dataops_core.systems.draft import Draft, ProposedStage
from dataops_core.systems.flink.client import FlinkClient
from dataops_core.systems.flink.responses import Job
from dataops_core.systems.kafka.client import KafkaClient

ENDED = ("CANCELED", "FINISHED")


def discover(draft: Draft, clients: Clients) -> None:
    """Add the newest job of each name of all clusters, except those that were cancelled or have finished."""
    result = clients.all("flink")
    for name, client in result.items():
        jobs = {job.name: job for job in reversed(draft.ask(client.jobs) or ())}
        for job in jobs.values():
            if job.state not in ENDED:
                _job(draft, client, job, name if len(result) > 1 else None, clients.all("kafka"))


def _job(draft: Draft, client: FlinkClient, job: Job, on: str | None, clusters: Mapping[str, KafkaClient]) -> None:
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
    elif topics and not _set_group(draft, stage, draft.ask(lambda: client.committed(job)) or {}, clusters):
        stage.remarks.append("If its source commits in a consumer group, set `group`: the lag is then exact.")
    stage.remarks.append("Flink does not report its outputs: add this stage to `reads` of the next stage.")


def _set_group(
    draft: Draft, stage: ProposedStage, committed: Mapping[tuple[str, int], int], clusters: Mapping[str, KafkaClient]
) -> bool:
    """Set the group of a job in place of the group's own stages; return whether it is the only one that fits."""
    groups = tuple(_groups(draft, committed, clusters))
    if len(groups) != 1:
        return False
    ((cluster, group),) = groups
    stage.settings |= {"group": group, **({"kafka": cluster} if len(clusters) > 1 else {})}
    stage.remarks.append(f"The group {group} has no member, and the offsets that this job committed. Check `group`.")
    for each in list(draft.stages("consumer_group")):
        if each.settings["group"] == group and each.settings.get("on", cluster) == cluster:
            draft.remove(each)
    return True


def _groups(
    draft: Draft, committed: Mapping[tuple[str, int], int], clusters: Mapping[str, KafkaClient]
) -> Iterator[tuple[str, str]]:
    """Yield cluster and name of the groups that may be a job's: Flink's groups never have members."""
    if not committed:
        return
    proposed = {(each.settings.get("on"), each.settings["group"]) for each in draft.stages("consumer_group")}
    for name, client in clusters.items():
        for group in sorted(group for on, group in proposed if on in (None, name)):
            known = draft.ask(lambda: client.group(group))  # noqa: B023 - called at once
            if known is None or known.members != () or known.committed is None:
                continue
            if all(known.committed.get(partition, -1) >= offset for partition, offset in committed.items()):
                yield name, group
