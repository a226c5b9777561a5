"""A lone Kafka broker with many topics and consumer groups, for benchmarks.

    with broker(port_base=35000) as kafka:
        fill(kafka, topics=1_000, partitions=10, groups=200)
        … kafka.bootstrap …

It is the broker of the local stack, in a temporary folder, on two ports of its own, with more memory and room for
ten thousand partitions. It ends with the block.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from dataops_local import fetch, guard, kafka
from dataops_local.layout import Layout

READY_WITHIN = 120.0
BATCH = 100
"""Topics that are made in one request."""


@dataclass(frozen=True)
class Broker:
    """A running broker.

    Attributes:
        bootstrap: Its address.
        pid: Its process.
    """

    bootstrap: str
    pid: int

    def admin(self) -> AdminClient:
        """Return a new client for it."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})


@contextmanager
def broker(port_base: int, memory: str = "1g") -> Iterator[Broker]:
    """Start a broker, and stop it at the end.

    Args:
        port_base: What its ports are counted from, as in the local stack: +92 and +93.
        memory: Java's heap.
    """
    fetch.fetch(lambda line: print(line, file=sys.stderr))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 200_000)), hard))  # three files for each partition
    with tempfile.TemporaryDirectory(prefix="dataops-broker-") as folder:
        layout = Layout(Path(folder), port_base)
        program = kafka.kafka(layout)
        kafka.format_kafka(layout)
        argv = [f"-Xmx{memory}" if word.startswith("-Xmx") else word for word in program.argv]
        with (layout.log_dir / "kafka.log").open("w") as log:
            process = subprocess.Popen(
                guard.command(layout.state, "broker", argv), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            deadline = time.monotonic() + READY_WITHIN
            while not kafka.kafka_ready(layout):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the broker did not start:\n{(layout.log_dir / 'kafka.log').read_text()[-2000:]}")
                time.sleep(0.2)
            yield Broker(f"127.0.0.1:{layout.port('kafka')}", process.pid)
        finally:
            process.terminate()
            process.wait(60)


def fill(
    kafka: Broker, *, topics: int, partitions: int, groups: int, topics_of_a_group: int = 5, records: int = 20
) -> None:
    """Make topics with records in each partition, and groups that have committed in some of them.

    Args:
        kafka: The broker.
        topics: How many, named `topic-0000` and so on.
        partitions: Of each topic.
        groups: How many, named `group-000` and so on; group `n` reads the topics from `n` times `topics_of_a_group` on.
        topics_of_a_group: How many topics each group reads.
        records: In each partition; each group has read half of them.
    """
    admin = kafka.admin()
    names = [f"topic-{number:04}" for number in range(topics)]
    for start in range(0, topics, BATCH):
        wanted = [NewTopic(name, partitions, 1) for name in names[start : start + BATCH]]
        for made in admin.create_topics(wanted, operation_timeout=60, request_timeout=120).values():
            made.result(180)
    _produce(kafka, names, partitions, records)
    committed = [
        ConsumerGroupTopicPartitions(
            f"group-{number:03}",
            [
                TopicPartition(names[(number * topics_of_a_group + n) % topics], p, records // 2)
                for n in range(topics_of_a_group)
                for p in range(partitions)
            ],
        )
        for number in range(groups)
    ]

    def commit(group: ConsumerGroupTopicPartitions) -> None:
        consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group.group_id, "log_level": 0})
        deadline = time.monotonic() + READY_WITHIN
        try:
            while True:
                try:
                    consumer.commit(offsets=group.topic_partitions or [], asynchronous=False)
                    break
                except KafkaException:  # the broker still makes its topic of offsets
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.5)
        finally:
            consumer.close()

    commit(committed[0])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(commit, committed))


def _produce(kafka: Broker, names: list[str], partitions: int, records: int) -> None:
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "log_level": 0,
            "linger.ms": 500,
            "queue.buffering.max.messages": 1_000_000,
            "acks": 1,
        }
    )
    for name in names:
        for partition in range(partitions):
            for _ in range(records):
                producer.produce(name, b"x" * 50, partition=partition)
        producer.poll(0)
    left = producer.flush(300)
    if left:
        raise SystemExit(f"{left} records were not taken")
