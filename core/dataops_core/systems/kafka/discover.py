"""Propose topics and consumer groups for `config init`, and link each group to its topics."""

from __future__ import annotations

from dataops_core.systems.base import Clients
from dataops_core.systems.draft import Draft, ProposedStage
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.cluster import scan
from dataops_core.systems.kafka.model import ClusterSnapshot


def discover(draft: Draft, clients: Clients) -> None:
    """Add the topics and groups of all clusters."""
    result = clients.all("kafka")
    for name, client in result.items():
        _cluster(draft, client, name if len(result) > 1 else None)


def topic_stage(draft: Draft, name: str, on: str | None = None) -> ProposedStage:
    """Return the stage of a topic; add it if it is missing.

    Args:
        draft: The draft.
        name: The topic's name.
        on: Name of the cluster, if there are several.
    """
    key = name if on is None else f"{on}/{name}"
    known = draft.stage("topic", key)
    return known or draft.add(key, {"name": name, "kind": "topic", "topic": name, **_on(on)})


def _on(name: str | None) -> dict[str, str]:
    return {} if name is None else {"on": name}


def _cluster(draft: Draft, client: KafkaClient, on: str | None) -> None:
    result: ClusterSnapshot | None = draft.ask(
        lambda: scan(client, lambda name: not name.startswith("__"), lambda _: True)
    )
    for failure in result.failures if result else ():
        draft.note(f"kafka {client.target}: {failure}")
    for name in result.topics if result else ():
        topic_stage(draft, name, on)
    for group, about in result.groups.items() if result else ():
        topics = sorted({topic for topic, _ in about.committed or () if not topic.startswith("__")})
        for topic in topics:
            name = group if len(topics) == 1 else f"{group} of {topic}"
            settings = {"name": name, "kind": "consumer_group", "group": group, "topic": topic, **_on(on)}
            draft.add(f"{on or ''}/{group}/{topic}", settings).reads.append(topic_stage(draft, topic, on).name)
