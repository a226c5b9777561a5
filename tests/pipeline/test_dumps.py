"""Dumps of loggers: each maker's export is read whole, and what is in doubt is refused with its reason."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import fs
from typer.testing import CliRunner

from dataops_local.layout import ROOT
from dataops_pipeline.jobs.reconcile_logger_dumps import max_files
from dataops_pipeline.settings import JobError
from dataops_pipeline.simulator import dumps, records
from dataops_pipeline.simulator.__main__ import app
from dataops_pipeline.simulator.boxes import Settings, shipments
from dataops_pipeline.simulator.dump_writer import DumpWriter
from dataops_pipeline.simulator.dumps import DumpFile
from dataops_pipeline.transforms.dump_formats import MAKERS
from dataops_pipeline.transforms.dumps import DumpError, checksum, parse_dump

DAY = pd.Timestamp("2013-07-01")
SMALL = Settings(boxes_per_day=40, clock_ahead=0.2, broken_dumps=0)

TEMPSURE = """\
TempSure T2 data export
Logger ID,BL-1
Device clock,2013-07-01T18:20:11
PC clock,2013-07-01T18:20:10
UTC offset,-04:00
Unit,°C

No.,Time,Temperature (°C)
0,2013-07-01T08:00:00,4.83
1,2013-07-01T08:05:00,-0.50
2,2013-07-01T08:10:00,--.-
End of data,3
"""
KUEHLWACHT = """\
Kühlwacht Datenlogger KW-7
Seriennummer;BL-1
Gerätezeit;02.07.2013 18:20:10
Rechnerzeit;01.07.2013 12:20:10
Zeitzone;UTC+05:30
Einheit;°C
Bemerkung;Fühler außen; ±0,1 °C
Nr.;Datum;Uhrzeit;Temperatur [°C]
0;02.07.2013;08:00:00;4,8
2;02.07.2013;08:10:00;-0,5
Statistik
Anzahl;2
Minimum;-0,5
Maximum;4,8
"""
POLARTRACE = """\
"PolarTrace PT-100 Report"
"Serial Number","BL-1"
"Model","PT-100, single use"
"Date Format","MM/DD/YYYY"
"Device Date/Time","07/01/2013 12:01:00 AM"
"Host Date/Time","07/01/2013 12:00:30 AM"
"Time Zone","GMT-04:00"
"Units","Fahrenheit"
"Reading","Date","Time","Temp (°F)"
"0","06/30/2013","11:55:00 PM","40.7"
"1","07/01/2013","12:00:00 AM","---"
"Checksum (CRC-32)","F146D4F6"
"""
FRIGOLOG = """\
# Frigolog FL2
# logger;BL-1
# tz;Z
# unit;C
# device time;2013-07-01 18:20:11
# host time;2013-07-01 18:25:11
logger;seq;timestamp;temp_C
BL-1;7;2013-07-01 08:00:00;-75.25
# end
# rows;1
# crc32;CRC
""".replace("CRC", f"{checksum(['BL-1;7;2013-07-01 08:00:00;-75.25']):08X}")


def utc(hour: int, minute: int = 0, day: int = 1, second: int = 0) -> datetime:
    return datetime(2013, 7, day, hour, minute, second, tzinfo=UTC)


def rows(content: bytes) -> list[tuple[int, datetime, datetime, float | None]]:
    dump = parse_dump(content, "raw/dumps/2013-07-01/BL-1.csv")
    return [(row.sequence, row.reported_at, row.measured_at, row.celsius) for row in dump.rows]


def test_points_commas_and_iso_times() -> None:
    dump = parse_dump(TEMPSURE.encode(), "BL-1.csv")
    assert (dump.logger_id, dump.maker, dump.unit) == ("BL-1", "tempsure", "C")
    assert dump.skew == timedelta(seconds=1)
    assert dump.downloaded_at == utc(22, 20, second=10)
    assert rows(TEMPSURE.encode()) == [
        (0, utc(12), utc(12), 4.83),
        (1, utc(12, 5), utc(12, 5), -0.5),
        (2, utc(12, 10), utc(12, 10), None),
    ]


def test_semicolons_decimal_commas_german_dates_and_a_clock_that_is_ahead() -> None:
    content = KUEHLWACHT.replace("\n", "\r\n").encode("cp1252")
    assert parse_dump(content, "BL-1").skew == timedelta(hours=30)
    assert rows(content) == [
        (0, utc(2, 30, day=2), datetime(2013, 6, 30, 20, 30, tzinfo=UTC), 4.8),
        (2, utc(2, 40, day=2), datetime(2013, 6, 30, 20, 40, tzinfo=UTC), -0.5),
    ]
    assert rows(KUEHLWACHT.encode()) == rows(content), "the same in UTF-8"


def test_fahrenheit_am_and_pm_quotes_and_a_byte_order_mark() -> None:
    content = POLARTRACE.replace("\n", "\r\n").encode("utf-8-sig")
    assert parse_dump(content, "BL-1").unit == "F"
    assert rows(content) == [(0, utc(3, 55), utc(3, 55), 4.83), (1, utc(4), utc(4), None)]


def test_a_clock_that_is_behind_is_corrected_too() -> None:
    assert rows(FRIGOLOG.encode()) == [(7, utc(8), utc(8, 5), -75.25)]


@pytest.mark.parametrize(("stated", "offset"), [("-04:00", -4), ("UTC+01:00", 1), ("GMT-11:00", -11), ("+0500", 5)])
def test_offsets(stated: str, offset: int) -> None:
    found = rows(TEMPSURE.replace("-04:00", stated).encode())
    assert found[0][1] == utc(8) - timedelta(hours=offset)


def test_a_footer_that_states_nothing_is_no_fault() -> None:
    assert len(rows(TEMPSURE.replace("End of data,3", "End of data").encode())) == 3


def test_the_order_of_a_date_is_the_one_that_the_header_states() -> None:
    other = POLARTRACE.replace("MM/DD/YYYY", "DD/MM/YYYY")
    for wrong, right in (
        ("07/01/2013 12:01:00 AM", "01/07/2013 00:01:00"),
        ("07/01/2013 12:00:30 AM", "01/07/2013 00:00:30"),
        ('"06/30/2013","11:55:00 PM"', '"30/06/2013","23:55:00"'),
        ('"07/01/2013","12:00:00 AM"', '"01/07/2013","00:00:00"'),
    ):
        other = other.replace(wrong, right)
    other = re.sub('"Checksum.*\n', '"Checksum (CRC-32)",""\n', other)
    assert rows(other.encode()) == rows(POLARTRACE.encode())


BROKEN: list[tuple[bytes, str]] = [
    (b"", "empty: the file has no bytes"),
    (b"\n\n", "empty: the file has no lines"),
    (b"\x1f\x8b\x08\x00 gzip\n", "not-text: character 0 is '\\x1f'"),
    (b"PK\x81\x8d\n", "not-text: byte 2 is in no known encoding"),
    (b"<html>\n", "unknown-maker: the first line is '<html>'"),
    (TEMPSURE.encode()[:-40], "truncated: the last line has no end"),
    (TEMPSURE.partition("End")[0].encode(), "truncated: what ends the data is missing"),
    (TEMPSURE.replace(",-0.50", "").encode(), "truncated: line 10 has 2 cells instead of 3"),
    (TEMPSURE.replace("No.,", "Number,").encode(), "no-columns: no line 'No.,Time,Temperature ({unit})'"),
    (TEMPSURE.replace("Unit,°C", "Unit,K").encode(), "unknown-unit: 'K'"),
    (TEMPSURE.replace("(°C)", "(K)").encode(), "unknown-unit: 'K'"),
    (TEMPSURE.replace("(°C)", "(°F)").encode(), "unknown-unit: °C in the header, °F above the column"),
    (TEMPSURE.replace("Unit,°C\n", "").encode(), "unknown-unit: the header names none"),
    (TEMPSURE.replace("UTC offset,-04:00\n", "").encode(), "no-offset: the header has no UTC offset"),
    (TEMPSURE.replace("-04:00", "EST").encode(), "no-offset: 'EST' is not a UTC offset"),
    (TEMPSURE.replace("-04:00", "-14:30").encode(), "no-offset: '-14:30' is not a UTC offset"),
    (TEMPSURE.replace("Device clock", "Clock").encode(), "no-clock: the header has no logger time"),
    (TEMPSURE.replace("PC clock", "Clock").encode(), "no-clock: the header has no host time"),
    (TEMPSURE.replace("Logger ID,BL-1\n", "").encode(), "no-logger: the header names none"),
    (TEMPSURE.replace("BL-1", "BL 1'").encode(), 'no-logger: "BL 1\'" is not a logger id'),
    (TEMPSURE.replace("BL-1", "BL-2").encode(), "wrong-name: the file BL-1.csv is that of logger BL-2"),
    (TEMPSURE.replace("Unit", "Logger ID,BL-2\nUnit").encode(), "two-loggers: Logger ID is BL-1 and BL-2"),
    ((TEMPSURE + TEMPSURE.replace("BL-1", "BL-2")).encode(), "two-loggers: BL-1, BL-2 in one file"),
    ((TEMPSURE + "3,2013-07-01T08:15:00,4.80\n").encode(), "contradiction: there are data after their end: '3,2013-"),
    ((TEMPSURE + TEMPSURE).encode(), "contradiction: there are two column lines"),
    (FRIGOLOG.replace("BL-1;7", "BL-2;7").encode(), "two-loggers: BL-1, BL-2 in one file"),
    (TEMPSURE.replace("1,2013-07-01T08:05", "0,2013-07-01T08:05").encode(), "bad-sequence: line 10: 0 comes after 0"),
    (TEMPSURE.replace("0,2013-07-01T08:00", "5,2013-07-01T08:00").encode(), "bad-sequence: line 10: 1 comes after 5"),
    (TEMPSURE.replace("0,2013-07-01T08:00", "a,2013-07-01T08:00").encode(), "bad-sequence: line 9: 'a'"),
    (TEMPSURE.replace("\n2,", "\n99999999999999999999,").encode(), "bad-sequence: line 11: '99999999999999999999'"),
    (TEMPSURE.replace("\n2,", "\n" + "9" * 5000 + ",").encode(), "bad-sequence: line 11: '9999"),
    (
        TEMPSURE.replace("clock,2013-07-01T18:20:11", "clock,0001-01-02T00:00:00")
        .replace("2,2013-07-01T08:10", "2,9999-12-31T08:10")
        .encode(),
        "bad-time: line 11: its clock is off beyond all dates",
    ),
    (TEMPSURE.replace("T08:05", "T25:05").encode(), "bad-time: line 10: '2013-07-01T25:05:00'"),
    (TEMPSURE.replace("-0.50", "-0,50").encode(), "truncated: line 10 has 4 cells instead of 3"),
    (TEMPSURE.replace("-0.50", "5e-1").encode(), "bad-number: line 10: '5e-1'"),
    (TEMPSURE.replace("-0.50", "nan").encode(), "bad-number: line 10: 'nan'"),
    (TEMPSURE.replace("-0.50", "").encode(), "bad-number: line 10: ''"),
    (TEMPSURE.replace("-0.50", "999.0").encode(), "out-of-range: line 10: 999.0"),
    (TEMPSURE.replace("-0.50", '"-0.50').encode(), "not-csv: line 10: unexpected end of data"),
    (TEMPSURE.replace("End of data,3", "End of data,4").encode(), "wrong-total: End of data is 4, the data has 3"),
    (KUEHLWACHT.replace("Minimum;-0,5", "Minimum;-0,6").encode(), "wrong-total: Minimum is -0,6, the data has -0.5"),
    (KUEHLWACHT.replace("4,8", "4.8").encode(), "bad-number: line 9: '4.8'"),
    (POLARTRACE.replace("40.7", "40.8").encode(), "wrong-total: Checksum (CRC-32) is F146D4F6, the data has "),
    (POLARTRACE.replace("MM/DD/YYYY", "YY/M/D").encode(), "no-date-order: 'YY/M/D'"),
    (POLARTRACE.replace('"Date Format","MM/DD/YYYY"\n', "").encode(), "no-date-order: the header names none"),
    (re.sub(r"BL-1;7.*\n", "", FRIGOLOG).encode(), "empty: there are no rows"),
]


@pytest.mark.parametrize(("content", "reason"), BROKEN)
def test_a_file_in_doubt_is_refused_whole_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(DumpError) as error:
        parse_dump(content, "raw/dumps/2013-07-01/BL-1.csv")
    assert str(error.value).startswith(reason)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [TEMPSURE, KUEHLWACHT, POLARTRACE, FRIGOLOG])
def test_no_file_that_is_cut_off_is_half_read(content: str) -> None:
    whole = content.encode()
    body = whole.rstrip(b"\n")
    for end in range(len(body)):
        # the last line of some footers is not needed, but a file that ends with a whole line is as the logger wrote it
        cut = whole[:end]
        if cut.endswith(b"\n") and (b"End" in cut or b"Statistik" in cut or b"# end" in cut or b"Checksum" in cut):
            continue
        with pytest.raises(DumpError):
            parse_dump(cut, "BL-1.csv")


# What the simulator writes


def test_the_parser_reads_what_each_maker_s_writer_writes() -> None:
    remembered = records.memory(SMALL, DAY)
    packed = shipments(SMALL, DAY).set_index("logger_id")["packed_at"].dt.tz_localize(None)
    found = list(dumps.dumps(SMALL, DAY))
    assert {parse_dump(file.content, file.path).maker for file in found} == {maker.name for maker in MAKERS}
    skewed = 0
    for file in found:
        dump = parse_dump(file.content, file.path)
        memory = remembered[remembered["logger_id"] == file.logger_id]
        measured = [row for row in dump.rows if row.celsius is not None]
        assert [row.sequence for row in measured] == memory["sequence"].tolist()
        tolerance = 0.005 if dump.maker in ("tempsure", "frigolog") else 0.051
        celsius = [row.celsius for row in measured]
        np.testing.assert_allclose(np.array(celsius, dtype=float), memory["temperature_c"], atol=tolerance)
        reported = np.array([row.reported_at.replace(tzinfo=None) for row in measured], dtype="datetime64[ms]")
        assert (np.abs(reported - memory["measured_at"].to_numpy()) < np.timedelta64(1, "s")).all()
        true = packed[file.logger_id].to_numpy() + memory["sequence"].to_numpy() * np.timedelta64(5, "m")
        at = np.array([row.measured_at.replace(tzinfo=None) for row in measured], dtype="datetime64[ms]")
        assert (np.abs(at - true) <= np.timedelta64(2, "s")).all()
        assert len(dump.rows) > len(measured), "the sensor is unplugged before the download"
        skewed += dump.skew > timedelta(hours=1)
    assert skewed >= 3


def test_every_way_in_which_a_file_is_broken_is_refused_for_that_reason() -> None:
    found = [file for file in dumps.dumps(Settings(boxes_per_day=300, broken_dumps=0.5), DAY) if file.broken]
    assert {(dumps.maker_of(file.logger_id), file.broken) for file in found} >= {
        (maker, "truncated") for maker in dumps.MAKERS
    }
    assert {file.broken for file in found} == set(dumps.BREAKERS)
    for file in found:
        with pytest.raises(DumpError, match=f"^{file.broken}: "):
            parse_dump(file.content, file.path)


def test_the_same_settings_give_the_same_files_as_often_broken_as_asked_for() -> None:
    many = Settings(boxes_per_day=300, broken_dumps=0.1)
    found = list(dumps.dumps(many, DAY))
    assert found == list(dumps.dumps(many, DAY))
    assert [file.content for file in found] == [file.content for file in dumps.dumps(many, DAY)]
    assert 0.05 < np.mean([file.broken is not None for file in found]) < 0.15
    delivered = shipments(many, DAY)["delivered_at"].dt.tz_localize(None).to_numpy()
    wait = np.array([file.landed_at for file in found]) - delivered
    assert (wait > np.timedelta64(5, "m")).all()
    assert (wait < np.timedelta64(21, "m")).all()


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.csv")}


def expected(until: np.datetime64, since: np.datetime64 | None = None) -> set[str]:
    files: list[DumpFile] = [file for n in range(3) for file in dumps.dumps(SMALL, DAY + pd.Timedelta(days=n))]
    return {file.path for file in files if file.landed_at <= until and (since is None or file.landed_at >= since)}


def test_dumps_are_written_once_the_replay_has_passed_them(tmp_path: Path) -> None:
    until = np.datetime64("2013-07-02T15:00", "ms")
    writer = DumpWriter(SMALL, DAY, fs.LocalFileSystem, str(tmp_path))
    writer.start()
    writer.passed = until
    writer.finish(threading.Event())
    assert written(tmp_path) == expected(until)
    assert len(written(tmp_path)) > SMALL.boxes_per_day
    assert writer.done == until
    later = np.datetime64("2013-07-02T20:00", "ms")
    again = DumpWriter(SMALL, DAY, fs.LocalFileSystem, str(tmp_path / "later"), writer.done)
    again.start()
    again.passed = later
    again.finish(threading.Event())
    assert written(tmp_path / "later") == expected(later, until), "it goes on where the first one ended"


def test_a_store_that_is_away_is_waited_for_and_never_holds_up_the_end(tmp_path: Path) -> None:
    away = threading.Event()
    away.set()

    def store() -> fs.FileSystem:
        if away.is_set():
            raise OSError("connection refused")
        return fs.LocalFileSystem()

    until = np.datetime64("2013-07-01T23:00", "ms")
    for back in (False, True):
        writer = DumpWriter(SMALL, DAY, store, str(tmp_path))
        writer.start()
        writer.passed = until
        deadline = time.monotonic() + 30
        while not writer.away and time.monotonic() < deadline:
            time.sleep(0.02)
        assert writer.away
        if back:
            away.clear()
            while writer.away and time.monotonic() < deadline:
                time.sleep(0.02)
        began = time.monotonic()
        writer.finish(threading.Event())
        assert time.monotonic() - began < 3
        assert writer.done < until or back
    assert written(tmp_path) == expected(until)


def test_a_store_that_does_not_answer_never_holds_up_the_end() -> None:
    released = threading.Event()

    def store() -> fs.FileSystem:
        released.wait(30)
        raise OSError("at last")

    writer = DumpWriter(SMALL, DAY, store, "nowhere")
    writer.start()
    writer.passed = np.datetime64("2013-07-01T23:00", "ms")
    began = time.monotonic()
    writer.finish(threading.Event())
    assert time.monotonic() - began < 8
    assert writer.done < writer.passed
    released.set()


def test_a_whole_day_is_written_at_once(tmp_path: Path) -> None:
    arguments = ["dumps", "--start", "2013-07-01", "--days", "2", "--boxes-per-day", "10", "--to", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "20 dumps below" in done.output
    assert len(written(tmp_path)) == 20


def test_every_option_of_the_simulator_is_in_the_docs() -> None:
    import typer

    told = (ROOT / "docs" / "boreal-bridge.md").read_text()
    command = typer.main.get_command(app)
    for parameter in command.commands["run"].params:  # type: ignore[attr-defined]
        for option in parameter.opts:
            assert f"`{option}`" in told, option


@pytest.mark.parametrize("stated", ["0", "-1", "many", "1.5"])
def test_a_number_of_files_that_is_none_is_one_clear_line(stated: str) -> None:
    with pytest.raises(JobError, match="BOREAL_PARAM_MAX_FILES is"):
        max_files(stated)
    assert max_files(None) == max_files("") == 1000
    assert max_files("3") == 3
