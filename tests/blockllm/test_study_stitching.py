"""Stitches find the way between two models where there is one, run as chains, and learn with both models frozen."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from blockllm.execute_tenants import chain
from blockllm.study_models import UNTIED, basic, logits, plain, rotation, text, turned

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import STITCH
from remeasure.impls.blockllm.execute.executor import Executor
from remeasure.impls.blockllm.execute.steps import Steps
from remeasure.impls.blockllm.groups import split
from remeasure.impls.blockllm.study import learning, stitching
from remeasure.impls.blockllm.study.compare import compare
from remeasure.impls.blockllm.study.learning import learn
from remeasure.impls.blockllm.study.ridge import Halves, Moments
from remeasure.impls.blockllm.study.stitching import (
    Cut,
    Stitches,
    Variant,
    Weigh,
    fit,
    judge,
    moments,
    residual,
    stitched,
)
from remeasure.impls.common.llama import random_weights

FITTED = text(documents=20, each=2, seed=5)
HELD_OUT = text(seed=6)
CUTS = (Cut(1, 1), Cut(2, 2), Cut(3, 3))
GROUPS = basic()
Q = rotation()
ONE, TWIN = plain("one", UNTIED, GROUPS), plain("twin", UNTIED, turned(GROUPS, Q))
NARROW = replace(UNTIED, width=20, heads=2, kv_heads=1, ffn=44)
OTHER = plain("narrow", NARROW, split(NARROW, random_weights(NARROW, 3)))


def test_the_twin_is_the_same_model() -> None:
    assert torch.allclose(logits(ONE, HELD_OUT.blocks), logits(TWIN, HELD_OUT.blocks), atol=1e-4)


@pytest.mark.parametrize("variant", ["per cut", "shared", "position"])
def test_the_way_to_a_model_that_thinks_in_another_basis_is_found(variant: Variant) -> None:
    fitted = fit(variant, moments(ONE, TWIN, CUTS, FITTED))
    own, rows = judge(ONE, TWIN, [fitted], HELD_OUT)
    assert np.allclose(own["one"], own["twin"], atol=1e-4)
    for row in rows:
        assert row.residual < 0.01
        assert row.first.kl.max() < 1e-3 and row.second.kl.max() < 1e-3
        assert np.allclose(row.first.surprise, own["one"], atol=0.02)
    assert torch.allclose(fitted.matrix(CUTS[0]), Q.T, atol=0.01)


@pytest.mark.parametrize("variant", ["pad", "random"])
def test_strawmen_do_not_find_it(variant: Variant) -> None:
    fitted = fit(variant, moments(ONE, TWIN, CUTS, FITTED))
    _, rows = judge(ONE, TWIN, [fitted], HELD_OUT)
    assert min(row.residual for row in rows) > 0.9
    assert min(row.second.kl.min() for row in rows) > 0.01


def test_the_residual_is_that_of_the_hidden_states() -> None:
    found = moments(ONE, OTHER, [Cut(2, 1)], HELD_OUT)[Cut(2, 1)]
    states = [
        stitching.states(stitching.prepare(own, "fast"), HELD_OUT.blocks[:, :-1])[number].double()
        for own, number in ((ONE, 5), (OTHER, 3))
    ]
    for variant in get_args(Variant):
        fitted = fit(variant, {Cut(2, 1): found})
        missed = states[0] @ fitted.matrix(Cut(2, 1)).T.double() - states[1]
        expected = float(missed.norm() / states[1].norm())
        assert residual(fitted, Cut(2, 1), found) == pytest.approx(expected, rel=1e-4)


def test_tokens_with_huge_hidden_states_do_not_outweigh_the_others() -> None:
    """Where every other token's state is a thousand times the others', plain least squares forgets these."""
    found = {}
    for weigh in get_args(Weigh):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stitching, "states", unbalanced)
            found[weigh] = fit("per cut", moments(ONE, OTHER, CUTS[:1], FITTED, weigh)).matrix(CUTS[0])
    small = torch.randn(500, 40, generator=torch.Generator().manual_seed(9))
    missed = {weigh: float((small @ matrix.T - small[:, :20]).norm()) for weigh, matrix in found.items()}
    assert missed["norm"] < 0.5 * missed["equal"]


def unbalanced(steps: Steps, tokens: torch.Tensor) -> list[torch.Tensor]:
    """Made-up states of which the narrow model's are the wide one's first half, or for every other token, a thousand
    times as large, its second half."""
    seed = int(tokens.sum())
    x = torch.randn(tokens.numel(), 40, generator=torch.Generator().manual_seed(seed))
    y = x[:, :20].clone()
    y[::2] = 1000 * x[::2, 20:]
    return [x if steps.chain is ONE else y] * len(steps.all)


def planted(seed: int) -> dict[Cut, Halves]:
    """Cuts between which only the scale of each input differs."""
    rng = torch.Generator().manual_seed(seed)
    matrix = torch.randn(10, 7, generator=rng)
    found = {}
    for cut in CUTS:
        scale = 0.5 + torch.rand(10, generator=rng)
        inputs = [torch.randn(200, 10, generator=rng) for _ in range(2)]
        found[cut] = [Moments.of(a, a * scale @ matrix) for a in inputs]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_vector_a_cut_makes_one_matrix_fit_them_all(seed: int) -> None:
    of = planted(seed)
    per_cut, shared, position = (fit(variant, of) for variant in ("per cut", "shared", "position"))
    worst = [max(residual(one, cut, of[cut]) for cut in CUTS) for one in (per_cut, position, shared)]
    assert worst[0] < 0.01 and worst[1] < 0.05 < 0.2 < worst[2]
    assert (per_cut.parameters, shared.parameters, position.parameters) == (210, 70, 100)


@pytest.mark.parametrize("variant", get_args(Variant))
def test_every_variant_joins_two_widths_and_runs_as_a_chain(variant: Variant) -> None:
    cuts = (Cut(1, 2), Cut(3, 0), Cut(0, 1))
    fitted = fit(variant, moments(ONE, OTHER, cuts, FITTED), seed=3)
    own, rows = judge(ONE, OTHER, [fitted], HELD_OUT)
    assert set(own) == {"one", "narrow"} and [row.cut for row in rows] == list(cuts)
    for row in rows:
        made = stitched(ONE, OTHER, row.cut, fitted.matrix(row.cut))
        (join,) = (link for link in made.links if link.block.kind == "stitch")
        assert (join.block.inputs, join.block.outputs, join.place.layer) == (40, 20, row.cut.enter)
        _, (apart,) = compare(OTHER, [made], HELD_OUT)
        assert np.allclose(apart.kl, row.second.kl)
        prompt = HELD_OUT.blocks[0].tolist()
        executor = Executor({"made": made})
        executor.add("s", "made", len(prompt))
        executor.feed("s", prompt[:-1], wanted=len(prompt) - 1)
        expected = logits(made, HELD_OUT.blocks[:1])
        assert torch.allclose(executor.step()["s"], expected, atol=1e-4)


def test_least_squares_is_nearer_than_the_strawmen_between_unrelated_models() -> None:
    of, held_out = (moments(ONE, OTHER, CUTS, on) for on in (FITTED, HELD_OUT))
    missed = {
        variant: [residual(fit(variant, of), cut, held_out[cut]) for cut in CUTS]
        for variant in get_args(Variant)
    }
    for strawman in ("pad", "random"):
        for best in ("per cut", "position", "shared"):
            assert all(np.less(missed[best], missed[strawman]))


def test_equal_stitches_are_one_block_and_what_does_not_fit_is_refused() -> None:
    one, other = (stitched(ONE, TWIN, cut, Q.T).links for cut in (Cut(1, 2), Cut(2, 3)))
    assert one[3].block.id == other[5].block.id != stitched(ONE, TWIN, Cut(1, 2), Q).links[3].block.id
    with pytest.raises(UserError, match=r"the chain of one 1 → 1 narrow is not valid.*put a stitch"):
        stitched(ONE, OTHER, Cut(1, 1), Q)
    with pytest.raises(ValueError, match="the chain of one has no link at attn 7"):
        stitched(ONE, OTHER, Cut(7, 1), Q)
    with pytest.raises(ValueError, match="the cut 0 → 3 leaves no layer of one and twin"):
        stitched(ONE, TWIN, Cut(0, 3), Q)


def test_layers_of_one_model_are_skipped() -> None:
    cut = Cut(1, 2)
    fitted = [fit(variant, moments(ONE, ONE, [cut], FITTED)) for variant in ("per cut", "pad")]
    own, rows = judge(ONE, ONE, fitted, HELD_OUT)
    assert set(own) == {"one"} and rows[0].first is rows[0].second
    assert len(stitched(ONE, ONE, cut, Q).links) == len(ONE.links) - 1
    assert rows[0].residual < rows[1].residual
    whole = stitched(ONE, ONE, Cut(2, 2), torch.eye(40))
    _, (apart,) = compare(ONE, [whole], HELD_OUT)
    assert apart.kl.max() < 1e-5


@pytest.mark.parametrize("variant", ["per cut", "shared", "position"])
def test_learning_lowers_the_surprise_and_moves_nothing_but_the_stitch(variant: Variant) -> None:
    cuts = CUTS[:2]
    before = [
        {n: t.clone() for n, t in link.block.tensors.items()} for own in (ONE, OTHER) for link in own.links
    ]
    fitted = fit(variant, moments(ONE, OTHER, cuts, FITTED))
    learned = learn(fitted, ONE, OTHER, FITTED, epochs=2, learning_rate=1e-2)
    _, rows = judge(ONE, OTHER, [fitted, learned], FITTED)
    for start, better in zip(rows[:2], rows[2:], strict=True):
        assert better.first.surprise.mean() < start.first.surprise.mean()
    after = [link.block.tensors for own in (ONE, OTHER) for link in own.links]
    for old, new in zip(before, after, strict=True):
        assert all(torch.equal(old[name], new[name]) and not new[name].requires_grad for name in old)
    moved = not torch.equal(learned.positions, fitted.positions)
    assert moved == (variant == "position") and not learned.matrices.requires_grad
    again = learn(fitted, ONE, OTHER, FITTED, epochs=2, learning_rate=1e-2)
    assert torch.equal(again.matrices, learned.matrices)


def test_a_step_at_one_cut_moves_no_other_cuts_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = fit("per cut", moments(ONE, OTHER, CUTS, FITTED))
    monkeypatch.setattr(learning, "_order", lambda *a: [(0, torch.tensor([0])), (0, torch.tensor([1]))])
    learned = learn(fitted, ONE, OTHER, FITTED)
    same = [torch.equal(a, b) for a, b in zip(fitted.matrices, learned.matrices, strict=True)]
    assert same == [False, True, True]


def test_a_stitch_that_explodes_is_a_sentence() -> None:
    fitted = fit("per cut", moments(ONE, OTHER, CUTS[:1], FITTED))
    broken = Stitches(fitted.variant, fitted.cuts, fitted.matrices * torch.nan, fitted.positions)
    with pytest.raises(UserError, match=r"the stitch at 1 → 1 from one to narrow has the loss nan at step 0"):
        learn(broken, ONE, OTHER, FITTED)


def test_a_stitch_carries_its_matrix_and_nothing_else() -> None:
    made = stitched(ONE, OTHER, Cut(1, 1), torch.ones(20, 40))
    assert list(made.links[3].block.tensors) == [STITCH]
    assert made.links[3].block.rope is None and chain("base").links[1].block.rope is not None
