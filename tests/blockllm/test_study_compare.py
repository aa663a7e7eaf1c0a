"""How far one chain is from another: as the whole models say, token by token, and nothing for a chain itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from blockllm.execute_tenants import CONFIG, TENANTS, chain
from blockllm.study_models import copied, logits, plain, text
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.blockllm.chain import Chain
from remeasure.impls.blockllm.execute import divergence
from remeasure.impls.blockllm.groups import split
from remeasure.impls.blockllm.study import compare as module
from remeasure.impls.blockllm.study.compare import compare
from remeasure.impls.blockllm.study.states import number_of, parting, start_of
from remeasure.impls.common.llama import random_weights

TEXT = text()


def check(original: Chain, others: list[Chain]) -> None:
    """Against the monolith's logits, one block at a time."""
    own, found = compare(original, others, TEXT)
    wanted = TEXT.blocks[:, 1:].flatten()
    true = logits(original, TEXT.blocks)
    assert np.allclose(own, TEXT.means(F.cross_entropy(true, wanted, reduction="none")), atol=1e-4)
    for other, apart in zip(others, found, strict=True):
        q = logits(other, TEXT.blocks)
        assert np.allclose(apart.kl, TEXT.means(divergence.kl(true, q)), atol=1e-4), (
            "the KL divergence is another"
        )
        assert np.allclose(apart.agree, TEXT.means((true.argmax(-1) == q.argmax(-1)).float()))
        cosine = F.cosine_similarity(true.softmax(-1), q.softmax(-1))
        assert np.allclose(apart.cosine, TEXT.means(cosine), atol=1e-4)
        assert np.allclose(
            apart.surprise, TEXT.means(F.cross_entropy(q, wanted, reduction="none")), atol=1e-4
        )


@pytest.mark.parametrize("original", TENANTS)
def test_whole_chains_are_compared_whatever_their_deltas(original: str) -> None:
    check(chain(original), [chain(other) for other in TENANTS])


@pytest.mark.parametrize("place", [0, 1, 2, 5, 7])
def test_a_chain_with_one_link_of_another_is_run_from_there(place: int) -> None:
    links = list(chain("lora a").links)
    links[place] = chain("other").links[place]
    mixed = replace(chain("lora a"), links=tuple(links))
    assert parting(chain("lora a"), mixed) == place
    check(chain("lora a"), [mixed])


def test_kl_divergence_the_wrong_way_round_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = module.kl
    monkeypatch.setattr(module, "kl", lambda p, log_p, log_q: right(log_q.exp(), log_q, log_p))
    with pytest.raises(AssertionError, match="KL divergence is another"):
        check(chain("base"), [chain("other")])


def test_a_start_behind_the_changed_link_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "parting", lambda a, b: parting(a, b) + 1)
    with pytest.raises(AssertionError, match="KL divergence is another"):
        check(chain("base"), [chain("lora a")])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(TENANTS), st.sets(st.integers(0, 7), max_size=3), st.integers(1, 9))
def test_a_chain_is_no_nat_away_from_itself(tenant: str, numbers: set[int], at_once: int) -> None:
    own = chain(tenant)
    twin = copied(own, {number: f"copy of {number}" for number in numbers})
    surprise, (apart,) = compare(own, [twin], TEXT, at_once)
    assert apart.kl.tolist() == [0, 0, 0] and apart.agree.tolist() == [1, 1, 1]
    assert np.array_equal(apart.surprise, surprise)


def test_how_many_blocks_are_computed_at_once_does_not_matter() -> None:
    pairs = [compare(chain("base"), [chain("top")], TEXT, at_once)[1][0] for at_once in (1, 4, 100)]
    for apart in pairs[1:]:
        assert np.allclose(apart.kl, pairs[0].kl, atol=1e-5) and np.allclose(apart.agree, pairs[0].agree)


def test_another_vocabulary_is_refused() -> None:
    config = replace(CONFIG, vocab=50, tied=False)
    other = plain("other words", config, split(config, random_weights(config, 0)))
    with pytest.raises(ValueError, match="other words has another vocabulary than base"):
        compare(chain("base"), [other], TEXT)


def test_places_are_found_by_layer() -> None:
    assert [start_of(chain("base"), layer) for layer in (0, 2, 3)] == [1, 5, 7]
    assert number_of(chain("base"), chain("base").links[4].place) == 4
    with pytest.raises(ValueError, match="the chain of base has no link at attn 4"):
        start_of(chain("base"), 4)


def test_nothing_is_left_for_a_gradient() -> None:
    _, (apart,) = compare(chain("base"), [chain("top")], TEXT)
    assert isinstance(apart.kl, np.ndarray) and apart.kl.dtype == np.float64
    assert not torch.is_inference(chain("base").links[1].block.tensors["q"])
