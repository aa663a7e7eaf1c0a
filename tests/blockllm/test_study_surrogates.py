"""Surrogates lose what is least missed, are fitted to what is left, and stand in for their block in any chain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from blockllm.execute_tenants import CONFIG, chain
from blockllm.study_models import UNTIED, basic, logits, plain, text

from remeasure.impls.blockllm.chain import Block, Chain
from remeasure.impls.blockllm.execute.executor import Executor
from remeasure.impls.blockllm.execute.speculation import speculate
from remeasure.impls.blockllm.groups import Place
from remeasure.impls.blockllm.study import surrogates as module
from remeasure.impls.blockllm.study.compare import compare
from remeasure.impls.blockllm.study.standing import fidelity, work
from remeasure.impls.blockllm.study.surrogates import RATIOS, calibrate, prune, standing_in

CALIBRATION = text(documents=100, each=2, seed=5)
HELD_OUT = text(seed=6)
ATTN, FFN = Place("attn", 1), Place("ffn", 1)


def doubled() -> Chain:
    """A model whose second half of channels, and second key and value head with its query heads, are copies of the
    first: half of it is superfluous, if the last projections are fitted anew."""
    groups = basic()
    draw = torch.Generator().manual_seed(4)
    for tensors in groups:
        for name in ("gate", "up", "q", "k", "v"):
            if name in tensors:
                tensors[name] = torch.cat([tensors[name][: len(tensors[name]) // 2]] * 2)
        for name in ("o", "down"):
            if name in tensors:
                tensors[name] = torch.randn(tensors[name].shape, generator=draw) / 6
    return plain("doubled", UNTIED, groups)


DOUBLED = doubled()
CALIBRATED = calibrate(DOUBLED, [ATTN, FFN], CALIBRATION)


def missed(own: Chain, place: Place, made: Block) -> float:
    """Mean relative error behind the block, on held-out text."""
    (found,) = fidelity(own, [(place, made)], HELD_OUT)
    return float(found.error.mean())


@pytest.mark.parametrize("place", [ATTN, FFN])
def test_what_is_superfluous_is_not_missed_once_the_projection_is_fitted_anew(place: Place) -> None:
    def check() -> None:
        if place == ATTN:
            made = prune(CALIBRATED[place], 0.5)
        else:  # the scores of two copies differ by their columns, so either of them may stay: take the first ones
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(module, "_staying", lambda scores, removed: torch.arange(44))
                made = prune(CALIBRATED[place], 0.5)
        assert missed(DOUBLED, place, made) < 0.01, "something is missed"

    check()
    right = module.prune
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "prune", lambda of, removed: right(of, removed, refit=False))
        with pytest.raises(AssertionError, match="something is missed"):
            check()


@pytest.mark.parametrize("score", ["weights", "activations"])
def test_channels_that_give_nothing_go_first(score: module.Score) -> None:
    groups = basic()
    place = Place("ffn", 0)
    dead = [3, 40, 41, 87]
    groups[2]["down"][:, dead] = 0
    own = plain("some dead", UNTIED, groups)
    made = prune(calibrate(own, [place], CALIBRATION)[place], 4 / 88, score, refit=False)
    staying = [n for n in range(88) if n not in dead]
    assert torch.equal(made.tensors["gate"], groups[2]["gate"][staying])
    assert torch.equal(made.tensors["down"], groups[2]["down"][:, staying])
    assert missed(own, place, made) < 1e-5


def test_the_head_that_adds_least_goes_first() -> None:
    groups = basic()
    groups[3]["o"][:, :20] *= 0.01
    own = plain("weak head", UNTIED, groups)
    made = prune(calibrate(own, [ATTN], CALIBRATION)[ATTN], 0.5, refit=False)
    for name, rows in (("q", 20), ("k", 10), ("v", 10)):
        assert torch.equal(made.tensors[name], groups[3][name][rows:])
    assert torch.equal(made.tensors["o"], groups[3]["o"][:, 20:])
    assert missed(own, ATTN, made) < 0.05


ORDINARY = plain("ordinary", UNTIED, basic(8))
PLACES = [link.place for link in ORDINARY.links[1:-1]]
ALL = calibrate(ORDINARY, PLACES, CALIBRATION)


@pytest.mark.parametrize("place", [ATTN, FFN])
def test_more_removed_is_more_missed_and_a_refit_misses_less(place: Place) -> None:
    shares = (0.0, 0.5) if place == ATTN else (0.0, *RATIOS)
    errors = [missed(ORDINARY, place, prune(ALL[place], share)) for share in shares]
    assert errors[0] < 1e-4 and errors == sorted(errors)
    for share, error in zip(shares[1:], errors[1:], strict=True):
        assert error < missed(ORDINARY, place, prune(ALL[place], share, refit=False))


@pytest.mark.parametrize(
    ("removed", "channels", "heads"), [(0, 88, 2), (0.25, 66, 2), (0.5, 44, 1), (0.75, 22, 1)]
)
def test_shapes_follow_the_share_and_the_signature_stays(removed: float, channels: int, heads: int) -> None:
    ffn, attn = (prune(ALL[place], removed) for place in (FFN, ATTN))
    assert [tuple(ffn.tensors[n].shape) for n in ("gate", "up", "down")] == [(channels, 40)] * 2 + [
        (40, channels)
    ]
    rows = [attn.tensors[name].shape[0] for name in ("q", "k", "v")]
    assert rows == [20 * heads, 10 * heads, 10 * heads] and attn.tensors["o"].shape == (40, 20 * heads)
    for made, number in ((ffn, 4), (attn, 3)):
        assert made.kind == "surrogate" and made.config == ORDINARY.links[number].block.config
        assert all(tensor.is_contiguous() for tensor in made.tensors.values())


def test_three_heads_become_two_two_and_one() -> None:
    kept = [len(module._staying(torch.arange(3.0), share)) for share in (*RATIOS, 0.99)]
    assert kept == [2, 2, 1, 1]
    assert module._staying(torch.tensor([5.0, 1, 7, 7]), 0.25).tolist() == [0, 2, 3]


@pytest.mark.parametrize("removed", [1, -0.1, 1.5])
def test_a_share_that_leaves_nothing_is_refused(removed: float) -> None:
    with pytest.raises(ValueError, match=f"a share of {removed} cannot be removed"):
        prune(ALL[FFN], removed)


def test_what_cannot_be_pruned_is_refused_by_name() -> None:
    for own, place in (
        (chain("lora a"), ATTN),
        (chain("base"), Place("head")),
        (chain("base"), Place("ffn", 9)),
    ):
        with pytest.raises(ValueError, match=f"no block without a delta at {place}"):
            calibrate(own, [place], CALIBRATION)


def test_calibration_hears_the_whole_text_in_its_own_chain() -> None:
    pieces = calibrate(ORDINARY, PLACES, CALIBRATION, at_once=3)
    for place in PLACES:
        assert torch.allclose(pieces[place].gram, ALL[place].gram, rtol=1e-4, atol=1e-2)
    assert torch.allclose(
        logits(ORDINARY, HELD_OUT.blocks), logits(plain("again", UNTIED, basic(8)), HELD_OUT.blocks)
    )


def test_surrogates_stand_in_the_chains_of_tenants_and_run_by_blocks() -> None:
    calibrated = calibrate(chain("base"), [ATTN, FFN], CALIBRATION)
    made = {place: prune(calibrated[place], 0.5) for place in calibrated}
    prompt = HELD_OUT.blocks[0].tolist()
    for tenant in ("base", "lora a"):
        draft = standing_in(chain(tenant), made).validate()
        executor = Executor({"draft": draft, "base": chain("base")})
        for model in ("draft", "base"):
            executor.add(model, model, len(prompt))
            executor.feed(model, prompt[:-1], wanted=len(prompt) - 1)
        found = executor.step()["draft"]
        assert torch.allclose(found, logits(draft, HELD_OUT.blocks[:1]), atol=1e-4)
        assert [link.delta for link in draft.links if link.place in made] == [None, None]


def test_fidelity_is_that_of_the_blocks_outputs() -> None:
    made = {share: prune(ALL[FFN], share) for share in (0.0, 0.5)}
    whole, half = fidelity(ORDINARY, [(FFN, made[0.0]), (FFN, made[0.5])], HELD_OUT)
    assert np.allclose(whole.cosine, 1) and np.allclose(whole.added, 1) and (whole.error < 1e-4).all()
    assert (half.added < half.cosine).all() and (half.error > 0.01).all() and half.added.shape == (3,)


def test_a_better_draft_is_accepted_more_often_and_changes_no_token() -> None:
    prompts = [row[:5].tolist() for row in HELD_OUT.blocks]
    exact = [speculate(ORDINARY, ORDINARY, prompt, 10, 3) for prompt in prompts]
    assert [one.acceptance for one in exact] == [1.0] * 6
    places = [place for place in PLACES if place.kind == "ffn"]
    shares = {}
    for removed in (0.02, 0.75):
        draft = standing_in(ORDINARY, {place: prune(ALL[place], removed) for place in places})
        found = [speculate(ORDINARY, draft, prompt, 10, 3) for prompt in prompts]
        assert [one.tokens for one in found] == [one.tokens for one in exact]
        shares[removed] = np.mean([one.acceptance for one in found])
        _, (apart,) = compare(ORDINARY, [draft], HELD_OUT)
        assert (apart.kl > 0).all()
    assert shares[0.75] < shares[0.02] < 1


@pytest.mark.parametrize("place", [ATTN, FFN])
@pytest.mark.parametrize("context", [0, 7])
def test_every_round_of_work_is_the_same(place: Place, context: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from remeasure.impls.blockllm.execute.steps import Step

    done: list[torch.Tensor] = []
    right = Step.run

    def watched(self: Step, x: torch.Tensor, *rest: object) -> torch.Tensor:
        done.append(right(self, x, *rest))  # type: ignore[arg-type]
        return done[-1]

    monkeypatch.setattr(Step, "run", watched)
    draft = standing_in(ORDINARY, {place: prune(ALL[place], 0.5)})
    for own in (ORDINARY, draft):
        done.clear()
        round_ = work(own, place, tokens=2, context=context, seed=1, repeats=2)
        before = len(done)
        round_()
        round_()
        assert before == (context > 0) and len(done) == before + 4
        assert all(torch.equal(done[before], one) and one.shape == (2, 40) for one in done[before:])


def test_the_configuration_of_these_tests_has_two_key_and_value_heads() -> None:
    assert (CONFIG.kv_heads, CONFIG.heads, CONFIG.head_dim) == (2, 4, 10)
    assert replace(CONFIG, tied=False) == UNTIED
