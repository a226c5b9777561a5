"""Checkpoints of Spark with any source, and files of them that are incomplete or of another format."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_clients import checkpoint

from dataops_core.errors import BadAnswer
from dataops_core.systems.clients import Clients
from dataops_core.systems.registry import registry
from dataops_core.systems.spark.checkpoint import read_checkpoint
from dataops_core.systems.spark.offset_log import (
    NEVER_WRITTEN,
    NEWER,
    NOT_SPARK,
    ONCE_WRITTEN,
    RESTORE,
    Source,
    read_plan,
    read_query_id,
    words,
)
from dataops_core.systems.spark.probe import observe_query
from dataops_core.systems.spark.settings import SparkQueryStage

FORMS: dict[str, tuple[str, Source]] = {
    "Kafka": ('{"orders":{"0":23,"1":-2}}', Source("kafka")),
    "Kafka without partitions": ("{}", Source("kafka")),
    "files": ('{"logOffset":12}', Source("file", 12)),
    "Delta": (
        '{"sourceVersion":1,"reservoirId":"a","reservoirVersion":7,"index":-1,"isStartingVersion":true}',
        Source("delta", 7),
    ),
    "Iceberg": ('{"version":1,"snapshot_id":5089,"position":0,"scan_all_files":false}', Source("iceberg")),
    "rate and socket": ("51", Source("number", 51)),
    "rate per micro-batch": ('{"offset":10,"timestamp":1000}', Source("rate", 10)),
    "continuous rate": ('{"0":{"value":5,"runTimeMs":1}}', Source("unknown")),
    "Kinesis": (
        '{"shardId-000000000000":{"iteratorType":"AFTER_SEQUENCE_NUMBER","iteratorPosition":"495"}}',
        Source("kinesis"),
    ),
    "none yet": ("-", Source("none")),
    "text": ("a position of its own", Source("unknown")),
    "a list": ("[1, 2]", Source("unknown")),
    "true": ("true", Source("unknown")),
    "a number beyond 64 bits": ("9" * 40, Source("number")),
    "offsets that are texts": ('{"orders":{"0":"23"}}', Source("unknown")),
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_an_offset_is_read(name: str, version: int) -> None:
    text, source = FORMS[name]
    prefix = "0:" if version == 2 else ""
    plan = read_plan(f"v{version}\n{{}}\n{prefix}{text}", "offsets/0")
    assert plan.sources == (source,)
    assert plan.offsets == ({"orders": {0: 23, 1: -2}} if name == "Kafka" else {})
    assert plan.watermark is None


def test_several_sources_are_read_beside_each_other() -> None:
    lines = [text for text, _ in FORMS.values()]
    plan = read_plan("\n".join(["v1", "", *lines, '{"paid":{"0":1}}']), "offsets/0")
    assert plan.offsets == {"orders": {0: 23, 1: -2}, "paid": {0: 1}}
    assert len(plan.sources) == len(lines) + 1
    assert words((Source("file", 1200), Source("unknown"), Source("unknown"), Source("none"))) == (
        "file (offset 1,200), 2 of an unknown format, 1 without data yet"
    )


@pytest.mark.parametrize("millis", [0, 1, 2**63 - 1, 2**63, -1, 10**30, "x", None, 1.5])
def test_any_watermark_is_a_time_or_unknown(millis: Any) -> None:
    metadata = json.dumps({"batchWatermarkMs": millis})
    watermark = read_plan(f"v1\n{metadata}\n-", "offsets/0").watermark
    assert watermark == (datetime.fromtimestamp(0.001, UTC) if millis == 1 else None)


INCOMPLETE = "the last write of the checkpoint is incomplete: offsets/3: "


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", f"{INCOMPLETE}it is empty", NEVER_WRITTEN),
        ("\n", f"{INCOMPLETE}it is empty", NEVER_WRITTEN),
        ("v1", f"{INCOMPLETE}it ends after line 1, before the offsets", NEVER_WRITTEN),
        ("v1\n{}", f"{INCOMPLETE}it ends after line 2, before the offsets", NEVER_WRITTEN),
        ('v1\n{"batchWater\n-', f"{INCOMPLETE}its metadata is not JSON", NEVER_WRITTEN),
        ('v1\n{}\n{"orders":{"0":2', f"{INCOMPLETE}it ends in the middle of an offset", NEVER_WRITTEN),
        ("v3\n{}\n-", "offsets/3 has the format version v3, but Spark writes v1 and v2", NEWER),
        ("v0\n{}\n-", "offsets/3 has the format version v0, but Spark writes v1 and v2", NEWER),
        ("<html>\n{}\n-", "offsets/3 is not a Spark log: its first line is '<html>'", NOT_SPARK),
    ],
)
def test_a_file_that_cannot_be_read_names_its_cause_and_a_remedy_that_fits(text: str, said: str, hint: str) -> None:
    with pytest.raises(BadAnswer) as raised:
        read_plan(text, "offsets/3")
    assert raised.value.message.startswith(said)
    assert raised.value.remedy == hint
    assert "proxy" not in str(raised.value)


def test_a_file_of_a_committed_batch_is_restored_and_not_removed(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, planned=2, committed=2)
    (folder / "offsets" / "2").write_text("")
    with pytest.raises(BadAnswer) as raised:
        read_checkpoint(str(folder))
    assert raised.value.remedy == ONCE_WRITTEN
    (folder / "commits" / "2").unlink()
    with pytest.raises(BadAnswer) as raised:
        read_checkpoint(str(folder))
    assert raised.value.remedy == NEVER_WRITTEN


@pytest.mark.parametrize(
    ("text", "hint"), [("", RESTORE), ("{}", NOT_SPARK), ('{"id": 7}', NOT_SPARK), ("[", NOT_SPARK)]
)
def test_metadata_without_an_id_is_named(text: str, hint: str) -> None:
    with pytest.raises(BadAnswer) as raised:
        read_query_id(text, "metadata")
    assert raised.value.remedy == hint


def files_checkpoint(folder: Path) -> Path:
    checkpoint(folder, planned=1, committed=1)
    for number in (0, 1):
        plan = folder / "offsets" / str(number)
        plan.write_text("\n".join(["v1", "{}", json.dumps({"logOffset": number})]))
        os.utime(plan, (1000 + number, 1000 + number))
    return folder


def test_a_query_on_files_has_the_progress_of_its_batches_and_needs_no_kafka(tmp_path: Path) -> None:
    folder = files_checkpoint(tmp_path)
    stage = SparkQueryStage(name="land", kind="spark_query", checkpoint=str(folder), reads_kafka=False)
    kind = registry().stage_kind("spark_query")
    assert kind is not None
    assert [need.kind for need in kind.needs(stage)] == []
    seen = Clients(None).observe(stage)
    assert seen.progress_time == datetime.fromtimestamp(1001, UTC)
    assert seen.advanced_at is not None
    assert (seen.lag_records, seen.position) == (None, None)
    assert seen.attribute("sources") == "file (offset 1)"
    assert seen.measurement("batch_committed") == 1
    assert seen.notes == ("it reads file (offset 1): its progress is that of its batches, and its lag is unknown",)


def test_a_source_without_data_beside_kafka_changes_nothing(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, planned=0, committed=-1)
    (folder / "offsets" / "0").write_text("v1\n{}\n-")

    def kafka() -> Any:
        return None

    stage = SparkQueryStage(name="land", kind="spark_query", checkpoint=str(folder))
    seen = observe_query(stage, kafka, None)
    assert seen.progress_time is None
    assert seen.attribute("sources") == "1 without data yet"
