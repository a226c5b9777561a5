"""Kafka alone, on ports of its own: the local stack's broker, and a second one beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from dataops_local import guard
from dataops_local.components import programs
from dataops_local.kafka import format_kafka, kafka_ready
from dataops_local.layout import Layout

SECOND = 1
"""How much further the second broker's port lies than the controller's."""


class Brokers:
    """One or two brokers; the first one is the controller too.

    Args:
        state: Folder for all that they keep.
        port_base: What their ports are counted from.
    """

    def __init__(self, state: Path, port_base: int) -> None:
        self.layout = Layout(state, port_base)
        self.servers = f"127.0.0.1:{self.layout.port('kafka')}"
        (self._program,) = (p for p in programs(self.layout) if p.name == "kafka")
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, node: int = 1) -> None:
        """Start a broker, and return when the cluster has it."""
        *java, kafka, properties = self._program.argv
        if node == 1:
            format_kafka(self.layout)
        else:
            properties = str(self._second(node, Path(properties)))
            identity = f"--cluster-id={self.layout.secret('kafka-cluster-id')}"
            subprocess.run(
                [*java, "kafka.tools.StorageTool", "format", identity, "-c", properties],
                check=True,
                capture_output=True,
            )
        log = self.layout.log_dir / f"kafka-{node}.log"
        with log.open("wb") as out:
            command = guard.command(self.layout.state, f"kafka-{node}", [*java, kafka, properties])
            self._running[node] = subprocess.Popen(command, stdout=out, stderr=out)
        self._wait(lambda: kafka_ready(self.layout) and len(self.nodes()) == len(self._running), log)

    def nodes(self) -> set[int]:
        """Return the brokers that the cluster has."""
        return set(self.admin.list_topics(timeout=5).brokers)

    @contextmanager
    def hangs(self, node: int) -> Iterator[None]:
        """Have a broker take connections and answer nothing."""
        self._running[node].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running[node].send_signal(signal.SIGCONT)

    def kill(self, node: int) -> None:
        """Kill a broker, and return when the cluster has missed it."""
        process = self._running.pop(node)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if self._running:
            self._wait(lambda: node not in self.nodes(), self.layout.log_dir / "kafka-1.log")

    def stop(self) -> None:
        """Kill all of them; what they keep is thrown away anyway."""
        for node in sorted(self._running, reverse=True):
            process = self._running.pop(node)
            process.kill()
            process.wait()

    @cached_property
    def admin(self) -> AdminClient:
        """A client; it has to live as long as its futures."""
        return AdminClient({"bootstrap.servers": self.servers, "log_level": 0})

    def topic(self, name: str, partitions: int = 1, replicas: list[list[int]] | None = None, **config: str) -> None:
        """Make a topic; names of its settings have `_` for `.`."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        new = (
            NewTopic(name, partitions, 1, config=settings)
            if replicas is None
            else NewTopic(name, len(replicas), replica_assignment=replicas, config=settings)
        )
        self.admin.create_topics([new])[name].result(20)
        self._wait(lambda: self.brokers_with(name) == set(self._running), self.layout.log_dir / "kafka-1.log")

    def brokers_with(self, topic: str) -> set[int]:
        """Return the brokers whose metadata has a topic. A client that knows one address asks that broker."""
        addresses = {node: f"127.0.0.1:{self._port(node)}" for node in self._running}
        clients = {node: AdminClient({"bootstrap.servers": at, "log_level": 0}) for node, at in addresses.items()}
        return {node for node, client in clients.items() if topic in client.list_topics(timeout=5).topics}

    def _port(self, node: int) -> int:
        return self.layout.port("kafka") if node == 1 else self.layout.port("kafka controller") + SECOND

    def produce(self, topic: str, number: int, partition: int = 0, at: float | None = None) -> None:
        """Write records, with this time since the epoch where given."""
        producer = Producer({"bootstrap.servers": self.servers, "log_level": 0})
        for n in range(number):
            producer.produce(topic, f"{n}".encode(), partition=partition, timestamp=int(1000 * at) if at else 0)
        assert producer.flush(60) == 0

    def commit(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Commit the offsets of a group by partition; the first coordinator may still load its groups."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "log_level": 0})
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        self._wait(
            lambda: bool(consumer.commit(offsets=places, asynchronous=False)), self.layout.log_dir / "kafka-1.log"
        )
        consumer.close()

    def _second(self, node: int, first: Path) -> Path:
        port = self._port(node)
        changed = {
            "process.roles": "broker",
            "node.id": str(node),
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "log.dirs": str(self.layout.dir("kafka") / f"data-{node}"),
        }
        kept = [line for line in first.read_text().splitlines() if line.partition("=")[0] not in changed]
        path = first.with_name(f"server-{node}.properties")
        path.write_text("\n".join([*kept, *(f"{key}={value}" for key, value in changed.items()), ""]))
        return path

    @staticmethod
    def _wait(good: Callable[[], bool], log: Path) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                if good():
                    return
            except KafkaException:  # a broker that has just started, or died, does not answer yet
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(log.read_text()[-2000:] if log.exists() else os.fspath(log))
            time.sleep(0.2)
