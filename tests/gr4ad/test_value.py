"""Value-aware learning: bins, expected value, sample weights and the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.gr4ad.learning.value import SampleWeights, ValueBins, ValueLoss

VALUES = st.lists(st.integers(0, 30), min_size=1, max_size=60).map(lambda v: np.array(v) / 4)


@given(VALUES, st.data())
def test_every_bin_holds_training_values_and_bins_ascend(values: np.ndarray, data: st.DataObject) -> None:
    distinct = len(np.unique(values))
    bins = data.draw(st.integers(1, distinct))
    fitted = ValueBins.fit(values, bins)
    place = fitted.of(values)
    assert len(fitted) == bins and set(place) == set(range(bins))
    assert (np.diff(fitted.means) > 0).all() and (np.diff(fitted.edges) > 0).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(place[order]) >= 0).all()
    assert fitted.means[place].sum() == pytest.approx(values.sum())
    assert bins != distinct or np.allclose(fitted.means, np.unique(values))


def test_bins_of_distinct_values_are_of_equal_frequency() -> None:
    values = np.random.default_rng(0).lognormal(size=1_000)
    counts = np.bincount(ValueBins.fit(values, 16).of(values))
    assert counts.min() >= 62 and counts.max() <= 63


def test_a_value_that_half_of_training_has_takes_one_bin_and_the_rest_share_the_others() -> None:
    values = np.concatenate((np.zeros(500), np.arange(1, 501)))
    counts = np.bincount(ValueBins.fit(values, 4).of(values))
    assert counts[0] == 500 and len(counts) == 4 and counts[1:].min() >= 1


def test_values_beyond_training_fall_into_the_outer_bins() -> None:
    fitted = ValueBins.fit(np.array([1.0, 2.0, 3.0]), 3)
    assert fitted.of(np.array([0.0, 2.5, 1e9])).tolist() == [0, 1, 2]


def test_the_expected_value_is_the_mean_over_bins() -> None:
    fitted = ValueBins.fit(np.array([0.0, 2.0, 4.0, 10.0]), 2)
    log_p = torch.tensor([[[0.25, 0.75], [1.0, 0.0]]]).log()
    torch.testing.assert_close(fitted.expected(log_p), torch.tensor([[5.5, 1.0]]))


@pytest.mark.parametrize("bins", (0, 4))
def test_more_bins_than_distinct_values_are_refused(bins: int) -> None:
    with pytest.raises(UserError, match=f"{bins} value bins for 3 distinct values; choose 1 to 3"):
        ValueBins.fit(np.array([1.0, 2.0, 2.0, 3.0]), bins)


@pytest.mark.parametrize("wrong", (np.nan, np.inf, -1.0))
def test_a_training_value_that_is_none_is_named(wrong: float) -> None:
    with pytest.raises(UserError, match=f"training value 1 is {wrong}; give a finite number of at least 0"):
        ValueBins.fit(np.array([1.0, wrong]), 1)


def test_weights_are_the_stated_formula_up_to_the_99th_percentile_of_training() -> None:
    so_far = np.arange(1_000.0)
    conversion = so_far % 2 == 0
    fitted = SampleWeights.fit(so_far, conversion)
    plain = np.sqrt(1 + so_far / so_far.mean()) * np.where(conversion, 3.0, 1.0)
    assert fitted.cap == np.quantile(plain, 0.99)
    np.testing.assert_allclose(fitted.of(so_far, conversion), np.minimum(plain, fitted.cap))
    assert fitted.of(np.array([1e9]), np.array([True])).tolist() == [fitted.cap]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.booleans())
def test_weights_grow_with_the_value_so_far(so_far: list[float], converted: bool) -> None:
    ordered = np.sort(np.array(so_far))
    fitted = SampleWeights.fit(ordered, np.zeros(len(ordered), dtype=bool))
    weights = fitted.of(ordered, np.full(len(ordered), converted))
    assert (np.diff(weights) >= 0).all() and (weights > 0).all() and (weights <= fitted.cap).all()


def test_where_nobody_has_spent_anything_yet_only_conversions_count() -> None:
    fitted = SampleWeights(mean=0.0, cap=10.0)
    assert fitted.of(np.zeros(2), np.array([False, True])).tolist() == [1.0, 3.0]


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    log_sid, log_value = torch.tensor([[-1.0, -2.0, -3.0], [0.0, 0.0, -1.0]]), torch.tensor([-4.0, -0.5])
    weights, log_mtp = torch.tensor([2.0, 1.0]), torch.tensor([[-1.0, -1.0], [-2.0, -2.0]])
    loss = ValueLoss(lambda_e=0.5, lambda_mtp=0.1)
    assert loss(log_sid, log_value, weights, log_mtp).tolist() == pytest.approx([16.2, 1.65])
    assert loss(log_sid, log_value, weights).tolist() == pytest.approx([16.0, 1.25])
    plain = ValueLoss(lambda_e=0.0)(log_sid, log_value, torch.ones(2))
    assert plain.tolist() == pytest.approx([6.0, 1.0])
