"""Whatever a parser of outside data gets, it returns a value or one typed error in one line."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hostile.fuzz import bytes_like, fuzz, targets, value_like
from tests.hostile.parsers import PARSERS, check
from tests.hostile.texts import TEXTS, check_text

WITHOUT_CHANCE = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
RANDOM = st.integers(0, 2**64).map(random.Random)


@pytest.mark.parametrize("name", PARSERS)
@WITHOUT_CHANCE
@given(data=st.data())
def test_any_json_is_read_or_refused(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    check(parser, data.draw(VALUES))
    check(parser, value_like(parser.samples, data.draw(RANDOM)))


@pytest.mark.parametrize("name", TEXTS)
@WITHOUT_CHANCE
@given(data=st.data())
def test_any_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    parser = TEXTS[name]
    check_text(parser, data.draw(st.binary()))
    check_text(parser, data.draw(st.text()).encode(errors="surrogatepass"))
    check_text(parser, bytes_like(parser.samples, data.draw(RANDOM)))


@pytest.mark.parametrize("name", TEXTS)
def test_right_texts_are_read(name: str) -> None:
    for sample in TEXTS[name].samples:
        assert check_text(TEXTS[name], sample), sample


def test_the_fuzzer_finds_a_traceback_and_counts_its_inputs() -> None:
    def read(found: Any) -> bool:
        return bool(found["id"]["of"])  # wrong: it trusts the answer

    tally = fuzz(lambda rng: value_like(({"id": {"of": 1}},), rng), read, 0.3, 1)
    assert tally.tried > 20
    assert tally.read
    assert any(where.startswith(("KeyError", "TypeError")) for where in tally.failures)
    assert {name for name, *_ in targets()} == {*PARSERS, *TEXTS}
