"""Invariant 8: `exact` speculation never changes a token; the tolerant one says what it changed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from blockllm.execute_tenants import CONFIG, TENANTS, block, blocks, chain
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Chain, Link
from remeasure.impls.blockllm.execute import speculation
from remeasure.impls.blockllm.execute.executor import Executor
from remeasure.impls.blockllm.execute.kv import SequenceKV
from remeasure.impls.blockllm.execute.monolith import Monolith
from remeasure.impls.blockllm.execute.speculation import Speculated, speculate
from remeasure.impls.blockllm.execute.tolerance import tolerate
from remeasure.impls.blockllm.groups import Place

PROMPTS = st.lists(st.integers(0, CONFIG.vocab - 1), min_size=1, max_size=9)


def contrary() -> Chain:
    """The base model with its logits negated: its choice is never the base model's."""
    links = list(chain("base").links)
    head = links[-1].block
    negated = {**head.tensors, "norm": -head.tensors["norm"]}
    links[-1] = Link(links[-1].place, replace(head, id="negated head", tensors=negated))
    return Chain("contrary", CONFIG, tuple(links))


DRAFTS = {**{tenant: chain(tenant) for tenant in TENANTS}, "contrary": contrary()}


def check(true: str, draft: str, prompt: list[int], new_tokens: int, at_once: int) -> Speculated:
    expected, _ = Monolith(chain(true), "tile").greedy(prompt, new_tokens)
    found = speculate(chain(true), DRAFTS[draft], prompt, new_tokens, at_once, "tile")
    assert found.tokens == expected, "speculation changed the tokens"
    assert 0 <= found.accepted <= found.proposed
    assert found.accepted + found.passes == new_tokens
    return found


@settings(max_examples=60, deadline=None)
@given(
    true=st.sampled_from(TENANTS),
    draft=st.sampled_from(list(DRAFTS)),
    prompt=PROMPTS,
    new_tokens=st.integers(1, 12),
    at_once=st.integers(0, 5),
)
def test_speculation_gives_the_tokens_of_plain_greedy_decoding(
    true: str, draft: str, prompt: list[int], new_tokens: int, at_once: int
) -> None:
    check(true, draft, prompt, new_tokens, at_once)


@pytest.mark.parametrize("at_once", [1, 2, 3, 5])
@pytest.mark.parametrize("new_tokens", [1, 2, 7, 12])
def test_a_draft_that_is_the_model_is_always_accepted(new_tokens: int, at_once: int) -> None:
    found = check("lora a", "lora a", [5, 6, 7], new_tokens, at_once)
    assert found.accepted == found.proposed
    assert found.passes == math.ceil(new_tokens / (at_once + 1))
    assert found.acceptance == (1 if found.proposed else 0)


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_draft_that_is_never_right_costs_a_pass_a_token(at_once: int) -> None:
    found = check("base", "contrary", [5, 6, 7], 8, at_once)
    assert (found.accepted, found.acceptance, found.passes) == (0, 0, 8)


def test_an_unrelated_draft_is_hardly_ever_accepted() -> None:
    found = [check("base", "other", [n, n + 1], 12, 3) for n in range(5)]
    assert sum(one.accepted for one in found) < 0.2 * sum(one.proposed for one in found)


class NeverRollsBack(Executor):
    """Keeps what was guessed wrongly, and believes it to be what was meant."""

    def truncate(self, sequence: str, tokens: int) -> None:
        pass


class RollsBackOneLayerLess(Executor):
    def truncate(self, sequence: str, tokens: int) -> None:
        kv = self.kv(sequence)
        super().truncate(sequence, tokens)
        kv.filled[0] = min(kv.max_tokens - 12, kv.filled[0] + 1)


@pytest.mark.parametrize("mutant", [NeverRollsBack, RollsBackOneLayerLess])
def test_the_check_finds_a_wrong_roll_back(mutant: type[Executor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speculation, "Executor", mutant)
    with pytest.raises((AssertionError, ValueError)):
        for first in range(5):
            check("base", "lora a", [first, 3], 12, 3)


def test_the_check_finds_an_acceptance_of_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    guess = speculation._guess
    # Every guess is taken for the right one.
    monkeypatch.setattr(
        speculation, "_guess", lambda *arguments: [Always(token) for token in guess(*arguments)]
    )
    with pytest.raises(AssertionError, match="changed the tokens"):
        check("base", "other", [3, 4], 12, 3)


class Always(int):
    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="no token to begin with"):
        speculate(chain("base"), chain("base"), [], 3, 2)


HALVES = [Place("attn", 1), Place("ffn", 1), Place("attn", 2), Place("ffn", 0)]


def stand_in(place: Place) -> Link:
    """Another model's block as the surrogate."""
    return Link(place, blocks(3)[place])


def replaced(tenant: str, link: Link) -> Chain:
    links = tuple(link if link.place == own.place else own for own in chain(tenant).links)
    return Chain(tenant, CONFIG, links)


@pytest.mark.parametrize("tenant", ["base", "lora a", "prefix"])
@pytest.mark.parametrize("place", HALVES)
def test_a_tolerance_that_nothing_meets_is_exact(tenant: str, place: Place) -> None:
    expected, _ = Monolith(chain(tenant), "tile").greedy([4, 5, 6], 8)
    found = tolerate(chain(tenant), stand_in(place), [4, 5, 6], 8, tolerance=-1, mode="tile")
    assert found.tokens == expected
    assert found.acceptance == 0
    assert (found.divergence.max_difference, found.divergence.kl, found.divergence.agreement) == (0, 0, 1)
    assert all(error > 0 for error in found.errors)


@pytest.mark.parametrize("tenant", ["base", "lora a", "prefix"])
@pytest.mark.parametrize("place", HALVES)
def test_a_tolerance_that_everything_meets_is_the_surrogates_chain(tenant: str, place: Place) -> None:
    expected, _ = Monolith(replaced(tenant, stand_in(place)), "tile").greedy([4, 5, 6], 8)
    found = tolerate(chain(tenant), stand_in(place), [4, 5, 6], 8, tolerance=math.inf, mode="tile")
    assert found.tokens == expected
    assert found.acceptance == 1
    assert found.divergence.kl > 0


def test_the_block_itself_is_accepted_without_any_tolerance() -> None:
    link = next(own for own in chain("lora a").links if own.place == Place("attn", 1))
    found = tolerate(chain("lora a"), link, [4, 5, 6], 6, tolerance=0, mode="tile")
    assert (found.errors, found.accepted) == ([0.0] * 6, [True] * 6)
    assert found.divergence.max_difference == 0


def test_a_tolerance_between_accepts_what_is_nearer_and_loses_less() -> None:
    whole = blocks(1)[Place("ffn", 1)]
    keep = slice(0, 80)  # of 88 channels
    tensors = {
        "ffn_norm": whole.tensors["ffn_norm"],
        "gate": whole.tensors["gate"][keep],
        "up": whole.tensors["up"][keep],
        "down": whole.tensors["down"][:, keep].contiguous(),
    }
    link = Link(
        whole_place := Place("ffn", 1), replace(block(whole_place, "pruned", tensors), kind="surrogate")
    )
    always = tolerate(chain("base"), link, [4, 5, 6], 12, math.inf)
    middle = sorted(always.errors)[6]
    some = tolerate(chain("base"), link, [4, 5, 6], 12, middle)
    assert 0 < some.acceptance < 1
    assert some.accepted == [error <= middle for error in some.errors]
    assert 0 < some.divergence.kl <= always.divergence.kl


def test_the_check_finds_a_redo_that_keeps_what_was_computed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SequenceKV, "truncate", lambda *arguments: None)
    with pytest.raises((AssertionError, ValueError)):
        test_a_tolerance_that_nothing_meets_is_exact("base", Place("attn", 1))


@pytest.mark.parametrize("place", [Place("head"), Place("embed"), Place("ffn", 9)])
def test_a_surrogate_stands_in_for_a_half_of_a_layer(place: Place) -> None:
    link = Link(place, blocks(1)[Place("ffn", 1)])
    with pytest.raises(UserError, match=f"base has no {place} that a surrogate"):
        tolerate(chain("base"), link, [1], 1, 0.1)
