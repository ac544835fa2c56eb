"""Quantities as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallsocket.errors import UsageError
from wallsocket.lab import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("50ms", 0.05),
        ("2s", 2.0),
        ("1.5 m", 90.0),
        ("80us", 80e-6),
        ("80µs", 80e-6),
        ("0s", 0.0),
        (0.25, 0.25),
        (0, 0.0),
    ],
)
def test_durations(text: str | float, value: float) -> None:
    assert quantity.seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10mbit", 1e7), ("10Mbit/s", 1e7), ("10 Mbps", 1e7), ("1.5gbit", 1.5e9), ("64kbit", 64e3), (5000, 5000)],
)
def test_rates(text: str | float, value: float) -> None:
    assert quantity.bits_per_second(text.replace("Mbps", "mbitps") if isinstance(text, str) else text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("5%", 0.05), ("0.05", 0.05), (0.05, 0.05), ("100%", 1.0), (0, 0.0), (1, 1.0)]
)
def test_probabilities(text: str | float, value: float) -> None:
    assert quantity.probability(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"), [("64kB", 64000), ("64KiB", 65536), ("1024", 1024), ("1 MB", 10**6), (7, 7)]
)
def test_sizes(text: str | int, value: int) -> None:
    assert quantity.count_of_bytes(text) == value


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (quantity.seconds, "50"),
        (quantity.seconds, "-1s"),
        (quantity.seconds, -1.0),
        (quantity.seconds, "fast"),
        (quantity.seconds, float("nan")),
        (quantity.seconds, "1e9s"),
        (quantity.bits_per_second, "10"),
        (quantity.bits_per_second, "0mbit"),
        (quantity.bits_per_second, "10MB"),
        (quantity.probability, "105%"),
        (quantity.probability, -0.1),
        (quantity.probability, "5 percent"),
        (quantity.probability, float("nan")),
        (quantity.count_of_bytes, -1),
        (quantity.count_of_bytes, "1.5.2kB"),
    ],
)
def test_what_is_not_understood_is_said(function: object, wrong: object) -> None:
    with pytest.raises(UsageError):
        function(wrong)  # type: ignore[operator]


@given(st.text(max_size=12))
def test_any_text_gives_a_number_or_a_usage_error(text: str) -> None:
    for function in (quantity.seconds, quantity.bits_per_second, quantity.probability, quantity.count_of_bytes):
        try:
            assert function(text) >= 0
        except UsageError as error:
            assert str(error)
