"""Digits and axes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.report.numbers import amount, change, shown, together
from remeasure.report.scales import axis


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        (("value", 0.7145, 0.6995, 0.7295), "0.7145 [0.6995, 0.7295]"),
        (("difference", 0.0055, 0.0017, 0.0092), "+0.0055 [+0.0017, +0.0092]"),
        (("difference", 0.0001, -0.0022, 0.0024), "+0.0001 [−0.0022, +0.0024]"),
        (("ratio", 1.32, 1.25, 1.4), "1.32× [1.25, 1.40]"),
        (("ratio", 134.2, 120.0, 150.0), "134× [120, 150]"),
        (("ratio", 1.0016, 0.9941, 1.0093), "1.002× [0.994, 1.009]"),
        (("value", 5.3, None, None, "s"), "5.3 s"),
        (("value", 1137.0, 1091.5, 1182.4, "s"), "1,137 s [1,092, 1,182]"),
        (("value", 2.1e-16), "2.1×10⁻¹⁶"),
        (("difference", -0.00001, -0.004, 0.004), "0.0000 [−0.0040, +0.0040]"),
        (("value", None), "–"),
        (("value", math.nan), "–"),
        (("ratio", 3.0, 2.0, math.inf), "3.00× [2.00, ∞]"),
    ],
)
def test_numbers_have_sensible_digits(given_: tuple[object, ...], wanted: str) -> None:
    assert str(shown(*given_)) == wanted  # type: ignore[arg-type]


def test_values_of_one_row_share_their_digits() -> None:
    assert together("difference", [0.0121, 0.0133, 0.013]) == ["+0.0121", "+0.0133", "+0.0130"]
    assert change(1.1, 1.0) == "+10.0 %"
    assert change(None, 1.0) == change(1.0, 0.0) == "–"


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["ratio", "difference", "value"]))
def test_any_float_can_be_shown(value: float, kind: str) -> None:
    assert str(shown(kind, value, value, value, "s"))
    assert amount(value)


reals = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


@given(st.lists(reals, min_size=1, max_size=8))
def test_every_value_stands_on_its_axis_in_order(values: list[float]) -> None:
    scale = axis(values)
    places = [scale.at(v) for v in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= p <= 100 for p in places)
    assert all(0 <= t.at <= 100 for t in scale.ticks)


@given(st.lists(st.floats(min_value=1e-9, max_value=1e9), min_size=1, max_size=8))
def test_a_logarithmic_axis_has_few_ticks_in_order(values: list[float]) -> None:
    scale = axis(values, log=True)
    at = [t.at for t in scale.ticks]
    assert at == sorted(at)
    assert 1 <= len(at) <= 8
