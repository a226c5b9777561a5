"""The Kafka broker of the stack: start, topics, and readiness."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from dataops_local import fetch
from dataops_local.errors import LocalError
from dataops_local.java import cached_classes
from dataops_local.layout import Layout
from dataops_local.run import SMALL_JVM, run_to_end
from dataops_local.supervisor import Program

TOPIC = "logger-readings"
EXCURSIONS = "excursions"
"""Topic of the events of `detect_excursions`."""
PARTITIONS = {TOPIC: 4, EXCURSIONS: 1}


def kafka(layout: Layout) -> Program:
    """Return the broker, and write its configuration files."""
    folder = layout.dir("kafka")
    broker, controller = layout.port("kafka"), layout.port("kafka controller")
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": folder / "data",
        "auto.create.topics.enable": "false",
        # A single broker cannot replicate.
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "log.cleaner.dedupe.buffer.size": 16 << 20,
        # After a kill, the new broker waits for the end of the old one's session: 3 s instead of 9.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
    }
    (folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    (folder / "log4j2.properties").write_text(
        "status=warn\nappender.c.type=Console\nappender.c.name=C\nappender.c.layout.type=PatternLayout\n"
        "appender.c.layout.pattern=[%d] %p %m (%c)%n\nrootLogger.level=info\nrootLogger.appenderRef.c.ref=C\n"
    )
    return Program("kafka", (*_kafka_java(layout), "kafka.Kafka", str(folder / "server.properties")), {}, port="kafka")


def _kafka_java(layout: Layout) -> tuple[str, ...]:
    log4j = layout.dir("kafka") / "log4j2.properties"
    options = ("-Xmx512m", *SMALL_JVM, *cached_classes("kafka"))
    return (layout.java, *options, "-cp", f"{fetch.home('kafka')}/*", f"-Dlog4j2.configurationFile=file:{log4j}")


def format_kafka(layout: Layout) -> None:
    """Format Kafka's storage unless it exists."""
    folder = layout.dir("kafka")
    if (folder / "data" / "meta.properties").exists():
        return
    # With `=`, because an id may start with `-`.
    identity = f"--cluster-id={layout.secret('kafka-cluster-id')}"
    tool = ("kafka.tools.StorageTool", "format", "--standalone", identity)
    run_to_end(
        (*_kafka_java(layout), *tool, "-c", str(folder / "server.properties")), {}, layout.log_dir / "kafka-format.log"
    )


def kafka_ready(layout: Layout) -> bool:
    """Return whether the broker responds; raises LocalError if another cluster's broker uses its port."""
    admin = _admin(layout)
    try:
        cluster = admin.describe_cluster(request_timeout=3).result()
    except KafkaException:
        return False
    if cluster.cluster_id != layout.secret("kafka-cluster-id"):
        port = layout.port("kafka")
        raise LocalError(f"port {port} is used by another Kafka (cluster {cluster.cluster_id}): use another base")
    return bool(cluster.nodes)


def create_topics(layout: Layout) -> None:
    """Create missing topics; their records get the broker's time, which is the time of entry."""
    admin = _admin(layout)
    known = admin.list_topics(timeout=10).topics
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(7 * 24 * 3600 * 1000)}
    missing = [NewTopic(name, count, 1, config=config) for name, count in PARTITIONS.items() if name not in known]
    if missing:
        for created in admin.create_topics(missing).values():
            created.result(timeout=10)


def _admin(layout: Layout) -> AdminClient:
    return AdminClient({"bootstrap.servers": f"127.0.0.1:{layout.port('kafka')}", "log_level": 0})
