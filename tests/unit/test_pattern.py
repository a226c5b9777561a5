"""Regular expressions that a user types."""

from __future__ import annotations

import time

import pytest

from dataops_core.pattern import BadPattern, Pattern


@pytest.mark.parametrize(
    ("source", "ignore_case", "good", "bad"),
    [
        ("", False, ["", "x"], []),
        ("orders", False, ["my-orders"], ["ORDERS"]),
        ("STRASSE", True, ["straße"], ["strase"]),
        ("^or.*s$", False, ["orders"], ["my-orders", "Orders"]),
        ("^ORD(ers)?$", True, ["orders", "Ord"], ["order"]),
        (r"\d{3}", False, ["a123"], ["12"]),
        ("é+|\udc80", False, ["né", "a\udc80"], ["n"]),
    ],
)
def test_what_a_pattern_finds(source: str, ignore_case: bool, good: list[str], bad: list[str]) -> None:
    texts = good + bad
    assert Pattern(source, ignore_case=ignore_case).matches(texts) == [text in good for text in texts]


@pytest.mark.parametrize("source", ["(a+)+$", "^(a|aa)*$", "(.*a){20}$"])
def test_no_pattern_backtracks(source: str) -> None:
    began = time.process_time()
    assert not any(Pattern(source).matches(["a" * 5000 + "!"] * 20))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("[", '"[" is not a valid regular expression: missing ]: ['),
        ("(?!x)y", "invalid perl operator: (?!"),
        ("a**", "bad repetition operator"),
        ("x{0,900}" * 9, "too large: shorten it"),
        ("x{99999999999}", "too large: shorten it"),
        ("\udc80(", "missing )"),
    ],
)
def test_what_is_no_pattern_says_why(source: str, said: str) -> None:
    with pytest.raises(BadPattern, match=r"regular expression|too large") as caught:
        Pattern(source)
    assert said in str(caught.value)


def test_a_pattern_that_is_too_slow_is_stopped() -> None:
    with pytest.raises(BadPattern, match="stopped after 0s: use a simpler one"):
        Pattern("(a|b)*c").matches(["ab" * 50_000] * 5, within=0)
