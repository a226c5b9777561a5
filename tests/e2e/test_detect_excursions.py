"""A box gets warm: one event when that has lasted, one when it is over, and nothing else, in topic and table."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from tests.e2e.conftest import Stack, until

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(900)]

BOXES = ("BL-1220-0003", "BL-1220-0004")
"""Loggers that the reference data know and of which no other test sends readings."""
T0 = datetime(2013, 12, 20, 8, tzinfo=UTC)
STEP = timedelta(minutes=5)
PRODUCTS = "SELECT count(*) FROM lake.bronze.products JOIN lake.bronze.shipments USING (product_id)"
"""What the first run of `load_reference_data` makes."""
ALERT_SECONDS = 60.0
"""The objective: an excursion is detected in under a minute."""
RUNS = re.compile(r" query \S+ runs$", re.MULTILINE)
"""What the detector logs once Spark runs its query."""


@pytest.fixture(scope="module")
def limits(stack: Stack) -> dict[str, dict[str, Any]]:
    """Return the products' limits by logger, once the reference data has been loaded."""
    until(
        "the reference data is loaded", lambda: stack.dataops("sql", PRODUCTS).returncode, lambda code: code == 0, 300
    )
    rows = stack.sql(
        "SELECT logger_id, shipment_id, max_c, tolerance_c, (min_c + max_c) / 2 AS good_c, excursion_minutes"
        " FROM lake.bronze.shipments JOIN lake.bronze.products USING (product_id)"
        f" WHERE logger_id IN ({', '.join(map(repr, BOXES))})"
    )
    assert len(rows) == len(BOXES)
    return {row["logger_id"]: row for row in rows}


@pytest.fixture(scope="module", autouse=True)
def detector(stack: Stack, limits: dict[str, dict[str, Any]]) -> Iterator[None]:
    """Run the detector, with the reference data, for these tests only: it would have to read what the others send."""
    log = stack.layout.log_dir / "detect_excursions.log"
    stack.start("detect_excursions")
    until("the query runs", lambda: log.exists() and log.read_text(), lambda text: bool(RUNS.search(text or "")), 300)
    yield
    stack.stop("detect_excursions")


class Box:
    """One logger, whose readings are sent by hand."""

    def __init__(self, stack: Stack, known: dict[str, Any]) -> None:
        self._producer = Producer({"bootstrap.servers": stack.env["BOREAL_KAFKA"]})
        self._known = known
        self.lasts = known["excursion_minutes"] // 5
        """How many steps a run goes on before it is an excursion."""

    def send(self, *sequences: int, out: bool) -> None:
        celsius = self._known["max_c"] + self._known["tolerance_c"] + 0.1 if out else self._known["good_c"]
        for sequence in sequences:
            at = T0 + sequence * STEP
            value = {
                "logger_id": self._known["logger_id"],
                "sequence": sequence,
                "measured_at": at.isoformat(),
                "temperature_c": celsius,
                "gateway_id": "JFK-apron",
                "received_at": (at + timedelta(seconds=30)).isoformat(),
            }
            self._producer.produce("logger-readings", key=self._known["logger_id"], value=json.dumps(value))
        assert self._producer.flush(10) == 0


class Alerts:
    """What the topic `excursions` has of some loggers, and how long each event took."""

    def __init__(self, stack: Stack) -> None:
        self._consumer = Consumer({"bootstrap.servers": stack.env["BOREAL_KAFKA"], "group.id": "tests"})
        self._consumer.assign([TopicPartition("excursions", 0, 0)])
        self.events: list[dict[str, Any]] = []
        self.seconds: list[float] = []

    def read(self) -> list[str]:
        """Read on; return the ids of all events so far."""
        while (message := self._consumer.poll(1.0)) is not None:
            assert message.error() is None
            event = json.loads(message.value())
            if event["logger_id"] in BOXES:
                assert message.key().decode() == event["logger_id"]
                self.events.append(event)
                entered = datetime.fromisoformat(event["kafka_timestamp"])
                self.seconds.append(message.timestamp()[1] / 1000 - entered.timestamp())
        return [event["event_id"] for event in self.events]

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def alerts(stack: Stack) -> Iterator[Alerts]:
    alerts = Alerts(stack)
    yield alerts
    alerts.close()


def test_an_excursion_opens_once_and_closes_once(
    stack: Stack, limits: dict[str, dict[str, Any]], alerts: Alerts
) -> None:
    name, last = BOXES
    box, marker = Box(stack, limits[name]), Box(stack, limits[last])
    opens = 1 + box.lasts
    opened, closed = f"{name}/1/opened", f"{name}/1/closed"
    box.send(0, out=False)
    box.send(*range(1, opens), out=True)
    time.sleep(12)  # a batch, and what it writes
    assert alerts.read() == [], "too short"
    box.send(opens, opens + 2, out=True)
    until("it opens", alerts.read, lambda told: told == [opened], within=120)
    box.send(opens + 4, out=False)
    until("it closes", alerts.read, lambda told: told == [opened, closed], within=60)

    box.send(*range(1, opens + 1), out=True)
    box.send(opens + 4, out=False)  # repeats
    box.send(opens + 3, out=True)
    box.send(opens + 1, out=False)  # late: ends the run earlier and splits it
    marker.send(*range(marker.lasts + 1), out=True)
    told = until("all of it is done", alerts.read, lambda told: told[-1] == f"{last}/0/opened", within=60)
    assert told[:-1] == [opened, closed]
    assert max(alerts.seconds) < ALERT_SECONDS, alerts.seconds

    rows = stack.sql(
        "SELECT event_id, event, excursion_id, shipment_id, sequence, since, detected_at FROM lake.silver.excursions"
        f" WHERE logger_id = '{name}' ORDER BY sequence"
    )
    assert [row["event_id"] for row in rows] == [opened, closed]
    assert [row["event"] for row in rows] == ["opened", "closed"]
    assert [row["sequence"] for row in rows] == [event["sequence"] for event in alerts.events[:2]]
    assert {row["excursion_id"] for row in rows} == {f"{name}/1"}
    assert {row["shipment_id"] for row in rows} == {limits[name]["shipment_id"]}
