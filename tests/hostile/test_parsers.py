"""A wrong value in any field of an answer is unknown or a typed error, and never ends a program."""

from __future__ import annotations

import pytest
from tests.hostile.mutations import mutations
from tests.hostile.parsers import PARSERS, check


@pytest.mark.parametrize("name", PARSERS)
def test_a_right_answer_is_read(name: str) -> None:
    for sample in PARSERS[name].samples:
        assert check(PARSERS[name], sample), sample


@pytest.mark.parametrize("name", PARSERS)
def test_each_field_may_be_wrong_in_each_way(name: str) -> None:
    read = refused = 0
    for sample in PARSERS[name].samples:
        for found in mutations(sample):
            if check(PARSERS[name], found):
                read += 1
            else:
                refused += 1
    assert read, "no wrong value is unknown"
    if name not in ("trino failure", "trino progress"):  # these are shown only
        assert refused, "no wrong value is refused"
