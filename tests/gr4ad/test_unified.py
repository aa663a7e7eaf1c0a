"""Imitation and preference learning in one step: mismatch, weights, the running mean and the fixed mixture."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.gr4ad.learning.lists import Lists
from remeasure.impls.gr4ad.learning.unified import FixedMixture, RunningMean, mismatch, mixed, weights


@st.composite
def lists(draw: st.DrawFn) -> Lists:
    n = draw(st.integers(1, 8))
    rows = st.lists(st.lists(st.integers(0, 5), min_size=n, max_size=n), min_size=1, max_size=3)
    log_p = torch.tensor(draw(rows), dtype=torch.float64)
    rewards = torch.tensor(draw(rows.filter(lambda r: len(r) >= len(log_p))), dtype=torch.float64)
    return Lists(-log_p, rewards[: len(log_p)])


@given(lists())
def test_mismatch_is_between_0_and_1_and_w_rl_vanishes_at_1(given: Lists) -> None:
    apart = mismatch(given)
    assert (apart >= 0).all() and (apart <= 1).all()
    imitate, compare = weights(apart, given.rewards)
    assert (imitate >= 1).all() and (compare >= 0).all()
    assert (compare[apart == 1] == 0).all() and (compare[apart < 1] > 0).all()
    torch.testing.assert_close(compare, imitate.max() * (1 - apart))


@given(st.floats(0.01, 1e4), st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_w_vsl_grows_with_mismatch_where_there_is_value(value: float, apart: list[float]) -> None:
    ordered = torch.tensor(sorted(apart), dtype=torch.float64)[None, :]
    imitate, compare = weights(ordered, torch.full_like(ordered, value))
    assert (imitate.diff() >= 0).all() and (compare.diff() <= 0).all()
    worthless, _ = weights(ordered, torch.zeros_like(ordered))
    assert (worthless == 1).all()


@given(lists())
def test_the_order_of_the_rewards_themselves_is_no_mismatch(given: Lists) -> None:
    assert (mismatch(Lists(given.rewards, given.rewards)) == 0).all()
    alike = torch.ones_like(given.rewards)
    assert (mismatch(Lists(given.log_p, alike)) == 0).all()


def test_a_reversed_list_has_the_largest_mismatch_at_its_ends() -> None:
    given = Lists(torch.tensor([[-1.0, -2.0, -3.0]]), torch.tensor([[1.0, 2.0, 3.0]]))
    assert mismatch(given).tolist() == [[1.0, 0.0, 1.0]]


def test_ties_in_rewards_share_a_run_of_ranks() -> None:
    given = Lists(torch.tensor([[-1.0, -2.0, -3.0, -4.0]]), torch.tensor([[0.0, 5.0, 5.0, 0.0]]))
    torch.testing.assert_close(mismatch(given), torch.tensor([[2.0, 0.0, 1.0, 0.0]]) / 3)


def test_weights_are_the_stated_formula() -> None:
    apart, values = torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([[7.0, 3.0], [3.0, 0.0]])
    imitate, compare = weights(apart, values, w_0=2.0)
    torch.testing.assert_close(imitate, torch.tensor([[2.0, 8.0], [4.0, 2.0]]))
    torch.testing.assert_close(compare, torch.tensor([[8.0, 0.0], [4.0, 4.0]]))


def test_the_mixed_loss_averages_samples_and_adds_up_a_list() -> None:
    imitation, comparison = torch.tensor([1.0, 3.0]), torch.tensor([[1.0, 1.0], [0.0, 4.0]])
    loss = mixed(imitation, torch.tensor([2.0, 0.0]), comparison, torch.tensor([[1.0, 2.0], [1.0, 0.5]]))
    assert float(loss) == pytest.approx(1.0 + 2.5)
    assert float(FixedMixture(0.5, 2.0)(imitation, comparison.sum(dim=1))) == pytest.approx(1.0 + 6.0)


def test_weights_carry_no_gradient() -> None:
    log_p = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    given = Lists(log_p, torch.tensor([[1.0, 2.0]]))
    assert not any(weight.requires_grad for weight in weights(mismatch(given), given.rewards))


@given(st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=5), min_size=1, max_size=5))
def test_the_running_mean_is_the_mean_of_everything_when_nothing_is_forgotten(
    batches: list[list[float]],
) -> None:
    running = RunningMean()
    for batch in batches:
        running = running.add(torch.tensor(batch, dtype=torch.float64))
    everything = torch.tensor([value for batch in batches for value in batch], dtype=torch.float64)
    expected = float(everything.mean())
    assert running.mean == (pytest.approx(expected) if expected > 0 else 1.0)


def test_the_running_mean_follows_a_drift_when_it_forgets() -> None:
    running = RunningMean(decay=0.5)
    for level in (1.0, 1.0, 9.0, 9.0, 9.0):
        running = running.add(torch.full((4,), level))
    assert running.mean == pytest.approx((1 / 16 + 1 / 8 + 9 * (1 / 4 + 1 / 2 + 1)) / (31 / 16))
    assert RunningMean().mean == 1.0


@pytest.mark.parametrize("name", ("vsl", "rl"))
def test_a_weight_below_0_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"the weight {name} is -1.0; give a number of at least 0"):
        FixedMixture(**{name: -1.0})
