"""Preference objectives: what bounds what, who is a special case of whom, and weights by an independent computation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from remeasure.errors import UserError
from remeasure.impls.gr4ad.learning.grpo import GRPO, advantages
from remeasure.impls.gr4ad.learning.lists import Lists, ranks
from remeasure.impls.gr4ad.learning.norms import gradient_norm, weight_for
from remeasure.impls.gr4ad.learning.objectives import OBJECTIVES, objective
from remeasure.impls.gr4ad.learning.preferences import DPO, RSPO, SDPO

EASE = 1e-9
"""Rounding of float64 sums."""


@st.composite
def lists(draw: st.DrawFn, reference: bool = True, least: int = 2, most: int = 24) -> Lists:
    """Adversarial lists: rewards with ties, zeros and one dominating gain; scores with ties, near and far apart."""
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    b, n = draw(st.integers(1, 4)), draw(st.integers(least, most))

    def normal() -> Tensor:
        return torch.randn(b, n, generator=rng, dtype=torch.float64)

    rewards = torch.exp(draw(st.sampled_from((0.0, 0.5, 3.0))) * normal())
    if draw(st.booleans()):
        rewards = torch.randint(0, 3, (b, n), generator=rng).double()
    if draw(st.booleans()):
        rewards[:, int(torch.randint(n, (1,), generator=rng))] *= draw(st.sampled_from((0.0, 1e3, 1e6)))
    log_p = draw(st.sampled_from((1e-6, 1.0, 30.0))) * normal()
    if draw(st.booleans()):
        log_p = log_p.round()
    log_ref = log_p + normal() if reference and draw(st.booleans()) else None
    if log_ref is not None and draw(st.booleans()):
        log_ref[0] = math.nan
    return Lists(log_p, rewards, log_ref)


OBJECTIVE = st.builds(
    RSPO,
    beta=st.just(1.0),
    delta=st.sampled_from((-math.inf, 0.0, 0.3, math.inf)),
    gain=st.sampled_from(("linear", "exponential")),
)


def row_scores(loss: RSPO, given: Lists) -> Tensor:
    """g of every item by the gate of each row, [B, n, n]."""
    log_p = given.log_p[:, None, :].expand(-1, given.log_p.shape[1], -1)
    if given.log_ref is None:
        return log_p
    return torch.where(loss.gate(given)[:, :, None], log_p - given.log_ref[:, None, :], log_p)


def ndcg_cost(loss: RSPO, given: Lists) -> Tensor:
    """Σ_i Σ_{j ∈ E_i} M_ij [j stands above i in the order of i's own row], [B]."""
    place = ranks(row_scores(loss, given))
    above = place < place.diagonal(dim1=1, dim2=2)[:, :, None]
    return (loss.weights(given, loss.gate(given)) * above).sum(dim=(1, 2))


def lost_ndcg(scores: Tensor, gains: Tensor) -> Tensor:
    """1 − NDCG of the order by scores, [B]."""
    discount = 1 / torch.log2(torch.arange(2, scores.shape[1] + 2, dtype=torch.float64))
    best = (gains.sort(dim=1, descending=True).values * discount).sum(dim=1)
    got = (gains.gather(1, scores.argsort(dim=1, descending=True, stable=True)) * discount).sum(dim=1)
    return torch.where(best > 0, 1 - got / torch.where(best > 0, best, 1), 0)


@settings(max_examples=300)
@given(lists(), OBJECTIVE)
def test_rspo_bounds_ndcg_cost_on_every_list_with_model_ranks(given: Lists, loss: RSPO) -> None:
    assert (ndcg_cost(loss, given) <= loss(given) + EASE).all()


@settings(max_examples=200)
@given(lists(reference=False))
def test_ndcg_cost_with_model_ranks_bounds_what_ndcg_loses(given: Lists) -> None:
    assert (lost_ndcg(given.log_p, given.rewards) <= ndcg_cost(RSPO(beta=1.0), given) + EASE).all()


def dominated(n: int) -> Lists:
    """One item has all of the gain and stands in the middle of the model's order."""
    rewards = torch.zeros(1, n, dtype=torch.float64)
    rewards[0, n // 2] = 1
    return Lists(-torch.arange(n, dtype=torch.float64)[None, :], rewards)


def test_with_model_ranks_the_weights_of_an_item_can_add_up_to_more_than_one() -> None:
    given = dominated(64)
    free, clipped = (
        RSPO(clip_sum_m=clip).weights(given, torch.zeros_like(given.log_p)) for clip in (False, True)
    )
    assert 1.6 < float(free.sum(dim=2).max()) < 1.7
    assert float(clipped.sum(dim=2).max()) == pytest.approx(1.0)
    torch.testing.assert_close(clipped[0, 32] * free[0, 32].sum(), free[0, 32])


@settings(max_examples=200)
@given(lists(), st.sampled_from(("linear", "exponential")))
def test_with_reward_ranks_the_weights_of_an_item_add_up_to_less_than_one(given: Lists, gain: Any) -> None:
    loss = RSPO(rank_source="reward", gain=gain)
    assert (loss.weights(given, loss.gate(given)).sum(dim=2) < 1).all()


def test_with_reward_ranks_rspo_can_be_below_what_ndcg_loses() -> None:
    rewards = torch.arange(24, 0, -1, dtype=torch.float64)[None, :] / 1e60
    rewards[0, 0] = 1.0
    log_p = torch.linspace(-30, -60, 24, dtype=torch.float64)[None, :].clone()
    log_p[0, 0], log_p[0, -3:] = 0.0, 0.01  # the three worst stand just above the best
    given = Lists(log_p, rewards)
    lost = float(lost_ndcg(log_p, rewards))
    assert lost > 0.5
    assert float(RSPO(beta=1.0, rank_source="reward")(given)) < 0.1 * lost
    assert float(RSPO(beta=1.0)(given)) > lost


@settings(max_examples=100)
@given(lists(least=2, most=2), st.sampled_from((0.1, 1.0, 3.0)))
def test_of_two_items_rspo_without_weights_is_dpo_in_bits(given: Lists, beta: float) -> None:
    given = Lists(given.log_p, given.rewards, torch.zeros_like(given.log_p))
    torch.testing.assert_close(RSPO(beta, "none")(given), DPO(beta)(given) / math.log(2))
    torch.testing.assert_close(SDPO(beta)(given), DPO(beta)(given))


@settings(max_examples=100)
@given(lists(reference=False), st.sampled_from((0.1, 1.0, 3.0)))
def test_the_best_item_alone_without_weights_is_s_dpo_in_bits(given: Lists, beta: float) -> None:
    given = Lists(given.log_p, given.rewards, given.log_p.flip(1) / 2)
    best = given.rewards.argmax(dim=1, keepdim=True)
    only = RSPO(beta, "none").terms(given).gather(1, best).squeeze(1)
    torch.testing.assert_close(only, SDPO(beta)(given) / math.log(2))


def weights_by_hand(order_by: list[float], rewards: list[float], gain: str) -> list[list[float]]:
    """NDCGLoss2's weights from their definition, one pair at a time."""
    n = len(rewards)
    gains = [2**v - 1 if gain == "exponential" else v for v in rewards]
    ideal = sum(g / math.log2(1 + k) for k, g in enumerate(sorted(gains, reverse=True), start=1))
    rank = {
        item: k for k, item in enumerate(sorted(range(n), key=lambda item: -order_by[item]), start=1)
    }  # sorted is stable
    table = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            if rewards[j] < rewards[i]:
                apart = abs(rank[i] - rank[j])
                step = 1 / math.log2(1 + apart) - 1 / math.log2(2 + apart)
                table[i][j] = step * abs(gains[i] / ideal - gains[j] / ideal)
    return table


@settings(max_examples=100)
@given(
    lists(reference=False, most=12),
    st.sampled_from(("model", "reward")),
    st.sampled_from(("linear", "exponential")),
)
def test_weights_are_those_of_an_independent_ndcg_loss_2(given: Lists, source: Any, gain: Any) -> None:
    rewards = given.rewards.clamp_max(20)
    given = Lists(given.log_p, rewards)
    got = RSPO(rank_source=source, gain=gain).weights(given, torch.zeros_like(rewards))
    for row, order_by, values in zip(
        got, given.log_p if source == "model" else rewards, rewards, strict=True
    ):
        wanted = weights_by_hand(order_by.tolist(), values.tolist(), gain)
        torch.testing.assert_close(row, torch.tensor(wanted, dtype=torch.float64), atol=1e-12, rtol=1e-9)


@settings(max_examples=60)
@given(lists(most=8), OBJECTIVE)
def test_rspo_is_its_definition_item_by_item(given: Lists, loss: RSPO) -> None:
    scores, weights = row_scores(loss, given), loss.weights(given, loss.gate(given))
    for b in range(len(scores)):
        for i in range(scores.shape[1]):
            pulls = [
                math.log(float(weights[b, i, j])) + float(scores[b, i, j] - scores[b, i, i])
                for j in range(scores.shape[1])
                if weights[b, i, j] > 0
            ]
            top = max([0.0, *pulls])
            wanted = (top + math.log(math.exp(-top) + sum(math.exp(p - top) for p in pulls))) / math.log(2)
            assert float(loss.terms(given)[b, i]) == pytest.approx(wanted, abs=1e-9)


def test_the_gate_asks_the_mean_over_the_item_and_those_below_it() -> None:
    log_ref = torch.tensor([[0.0, 0.0, 0.0]], dtype=torch.float64)
    given = Lists(
        torch.tensor([[-3.0, 1.0, 2.0]], dtype=torch.float64), torch.tensor([[1.0, 2.0, 3.0]]), log_ref
    )
    means = [-3.0, -1.0, 0.0]
    for delta in (-4.0, -2.0, -0.5, 0.0, 0.5):
        assert RSPO(delta=delta).gate(given).tolist() == [[mean < delta for mean in means]]


def test_a_list_without_a_usable_reference_is_compared_without_it() -> None:
    log_p = torch.tensor([[-1.0, -2.0, -3.0]] * 3, requires_grad=True)
    rewards = torch.tensor([[1.0, 2.0, 3.0]] * 3)
    log_ref = torch.tensor([[-2.0, -2.0, -2.5], [-2.0, math.nan, -2.0], [-2.0, -math.inf, -2.0]])
    mixed, none = RSPO()(Lists(log_p, rewards, log_ref)), RSPO()(Lists(log_p, rewards))
    assert mixed[0] != none[0]
    assert mixed[1:].tolist() == none[1:].tolist()
    assert RSPO(delta=-math.inf)(Lists(log_p, rewards, log_ref)).tolist() == none.tolist()
    mixed.sum().backward()
    assert log_p.grad is not None and torch.isfinite(log_p.grad).all()


def test_a_stale_reference_is_left_out_by_a_finite_delta() -> None:
    log_p, rewards = torch.tensor([[-1.0, -2.0, -1.5]]), torch.tensor([[1.0, 2.0, 3.0]])
    near, stale = log_p - 0.1, torch.tensor([[-9.0, -30.0, -2.0]])
    loss = RSPO(delta=1.0)
    assert loss.gate(Lists(log_p, rewards, near)).all()
    assert loss(Lists(log_p, rewards, stale))[0] == loss(Lists(log_p, rewards))[0]


ALL = [
    RSPO(),
    RSPO(gain="exponential"),
    RSPO(rank_source="reward"),
    RSPO(rank_source="none"),
    RSPO(clip_sum_m=True, delta=0.2),
    DPO(),
    SDPO(),
    GRPO(),
]


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_gradients_are_right_in_float64(loss: Any) -> None:
    rng = torch.Generator().manual_seed(5)
    log_p, log_ref, noise = (torch.randn(3, 6, generator=rng, dtype=torch.float64) for _ in range(3))
    log_old = log_p + 0.3 * noise
    rewards = torch.tensor([[0, 1, 2, 3, 4, 5], [3, 3, 1, 0, 1, 7], [2, 2, 2, 2, 2, 2]], dtype=torch.float64)

    def value(log_p: Tensor) -> Tensor:
        result: Tensor = loss(Lists(log_p, rewards, log_ref, log_old))
        return result

    assert torch.autograd.gradcheck(value, (log_p.requires_grad_(),))


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_a_list_of_equal_rewards_teaches_no_preference(loss: Any) -> None:
    log_p = torch.tensor([[-1.0, -2.0, -50.0]], requires_grad=True)
    result = loss(Lists(log_p, torch.full((1, 3), 2.0), log_p.detach().clone()))
    result.sum().backward()
    assert result.tolist() == [0.0]
    assert log_p.grad is not None and log_p.grad.abs().max() < 1e-6


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_far_scores_and_huge_rewards_give_finite_losses_and_gradients(loss: Any) -> None:
    log_p = torch.tensor([[-900.0, -1.0, -0.1, -400.0]], requires_grad=True)
    result = loss(Lists(log_p, torch.tensor([[1e6, 300.0, 0.0, 1e-9]]), torch.full((1, 4), -900.0)))
    result.sum().backward()
    assert torch.isfinite(result).all() and log_p.grad is not None and torch.isfinite(log_p.grad).all()


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_lists_do_not_touch_each_other_and_their_order_of_items_does_not_matter(loss: Any) -> None:
    rng = torch.Generator().manual_seed(7)
    log_p, rewards, log_ref = (torch.rand(4, 9, generator=rng, dtype=torch.float64) for _ in range(3))
    together = loss(Lists(log_p, rewards, log_ref))
    apart = torch.cat([loss(Lists(log_p[k, None], rewards[k, None], log_ref[k, None])) for k in range(4)])
    order = torch.randperm(9, generator=rng)
    torch.testing.assert_close(together, apart)
    torch.testing.assert_close(together, loss(Lists(log_p[:, order], rewards[:, order], log_ref[:, order])))


def test_dpo_compares_the_best_with_the_worst() -> None:
    given = Lists(torch.tensor([[-1.0, -2.0, -4.0]]), torch.tensor([[5.0, 0.0, 9.0]]), torch.zeros(1, 3))
    assert float(DPO(0.5)(given)) == pytest.approx(math.log1p(math.exp(0.5 * 2.0)))


def test_grpo_has_unit_advantages_and_a_clip_that_stops_the_gradient() -> None:
    rewards = torch.tensor([[1.0, 3.0], [4.0, 4.0]])
    assert advantages(rewards).tolist() == [[-1.0, 1.0], [0.0, 0.0]]
    log_p = torch.tensor([[0.0, 0.5], [0.0, 0.0]], requires_grad=True)
    GRPO(kl=0.0)(Lists(log_p, rewards, log_old=torch.zeros(2, 2))).sum().backward()
    assert log_p.grad is not None and log_p.grad.tolist() == [[0.5, 0.0], [0.0, 0.0]]


def test_grpo_pays_for_divergence_only_where_there_is_a_reference() -> None:
    log_p = torch.tensor([[-1.0, -2.0], [-1.0, -2.0]])
    log_ref = torch.tensor([[-2.0, -2.0], [math.nan, -2.0]])
    loss = GRPO(kl=1.0)(Lists(log_p, torch.ones(2, 2), log_ref))
    assert loss.tolist() == pytest.approx([(math.exp(-1.0) - 1 + 1.0) / 2, 0.0])


def test_the_norm_is_that_of_all_parameters_and_the_weight_gives_the_wanted_one() -> None:
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    other, unused = torch.tensor([12.0], requires_grad=True), torch.ones(1, requires_grad=True)

    def loss() -> Tensor:
        return (weight.square().sum() + other.square().sum()) / 2

    norm = gradient_norm(loss(), [weight, other, unused])
    assert norm == pytest.approx(13.0) and weight.grad is None
    scale = weight_for(4.0, norm)
    assert gradient_norm(scale * loss(), [weight, other]) == pytest.approx(4.0)


FAULTS: dict[str, tuple[Any, str]] = {
    "no objective": (lambda: objective("ppo"), "unknown objective 'ppo'; known are dpo, s-dpo, rspo, grpo"),
    "no field": (lambda: objective("dpo", kl=1), "unknown field of dpo 'kl'; known are beta"),
    "beta of 0": (lambda: objective("rspo", beta=0.0), "beta is 0.0; give a number above 0"),
    "beta below 0": (lambda: DPO(-1.0), "beta is -1.0"),
    "beta that is none": (lambda: SDPO(math.nan), "beta is nan"),
    "no rank source": (lambda: objective("rspo", rank_source="x"), "'x'; known are model, reward, none"),
    "no gain": (lambda: objective("rspo", gain="x"), "unknown gain 'x'; known are linear, exponential"),
    "a negative clip": (lambda: GRPO(clip=-1.0), "clip is -1.0; give a number of at least 0"),
    "a reward that is none": (
        lambda: Lists(torch.zeros(2, 2), torch.tensor([[0.0, 1.0], [2.0, math.nan]])),
        "list 1, item 1: reward is nan; give a number of at least 0",
    ),
    "a reward below 0": (lambda: Lists(torch.zeros(1, 1), -torch.ones(1, 1)), "list 0, item 0: reward is -1"),
    "dpo without a reference": (
        lambda: DPO()(Lists(torch.zeros(1, 2), torch.ones(1, 2))),
        "DPO needs p_ref of every item, and list 0 has none; leave such lists out, or choose rspo",
    ),
    "s-dpo with half a reference": (
        lambda: SDPO()(Lists(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([[0.0, math.nan]]))),
        "S-DPO needs p_ref",
    ),
    "no gradient to scale": (
        lambda: weight_for(1.0, 0.0),
        "norm at the start is 0.0; give lists whose rewar",
    ),
    "no norm": (lambda: weight_for(0.0, 1.0), "the wanted gradient norm is 0.0; give a number above 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_that_says_what_to_do(fault: str) -> None:
    do, said = FAULTS[fault]
    with pytest.raises(UserError, match=said):
        do()


def test_every_objective_is_made_by_its_name() -> None:
    assert {type(objective(name)) for name in OBJECTIVES} == {DPO, SDPO, RSPO, GRPO}
    assert objective("rspo", beta=0.1, clip_sum_m=True) == RSPO(beta=0.1, clip_sum_m=True)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="rewards has shape"):
        Lists(torch.zeros(2, 3), torch.zeros(2, 2))
