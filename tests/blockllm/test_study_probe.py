"""Probes read what a chain would say from the states behind a block, and see a swap there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from blockllm.execute_tenants import chain
from blockllm.study_models import chains, copied, logits, text

from remeasure.impls.blockllm.execute.steps import prepare
from remeasure.impls.blockllm.groups import Place
from remeasure.impls.blockllm.study.compare import kl
from remeasure.impls.blockllm.study.equivalence import Swap, same_place
from remeasure.impls.blockllm.study.probe import fit, probe_kl
from remeasure.impls.blockllm.study.states import states
from remeasure.impls.blockllm.study.text import Text

CALIBRATION = text(documents=20, each=2, seed=5)
FAMILY = {**chains("base", "lora a", "other"), "twin": copied(chain("base"), {3: "a", 4: "b"})}
TEXTS = dict.fromkeys(FAMILY, text())
HALVES = [link.place for link in chain("base").links[1:-1]]
PROBES = {name: fit(own, HALVES, CALIBRATION) for name, own in FAMILY.items()}


def test_a_probe_behind_the_last_block_says_what_the_head_says() -> None:
    """There the logits are a linear function of what it reads."""
    probes, own = fit(chain("base"), HALVES, CALIBRATION), chain("base")
    behind = states(prepare(own, "fast"), text().blocks[:, :-1])[-1]
    true = logits(own, text().blocks)[:, probes.tokens].log_softmax(-1)
    assert float(kl(true.exp(), true, probes.read(HALVES[-1], behind)).mean()) < 1e-3
    flat = torch.full_like(true, -float(np.log(true.shape[1])))
    assert float(kl(true.exp(), true, flat).mean()) > 0.1


def test_probes_know_the_most_frequent_tokens() -> None:
    blocks = torch.tensor([[0, 3, 3, 3, 5], [1, 5, 5, 9, 3]])
    few = fit(chain("base"), HALVES[:1], Text(blocks, np.arange(2)), known=3)
    assert few.tokens.tolist()[:2] == [3, 5]
    assert few.weights[HALVES[0]].shape == (41, 3)
    assert PROBES["base"].tokens.sort().values.tolist() == list(range(61))


def test_a_swap_with_a_copy_is_not_seen_and_one_with_another_block_is() -> None:
    swaps = same_place({"base": FAMILY["base"], "twin": FAMILY["twin"]})
    assert len(swaps) == 4
    assert all((found == 0).all() for found in probe_kl(FAMILY, swaps, PROBES, TEXTS))
    strange = [Swap(place, "base", "other", place) for place in HALVES]
    assert all((found > 1e-3).all() for found in probe_kl(FAMILY, strange, PROBES, TEXTS))


def test_more_of_a_change_is_seen_as_more() -> None:
    place = Place("ffn", 1)
    link = chain("base").links[4]
    found = []
    for share in (0.05, 0.2, 0.8):
        changed = copied(chain("base"), {4: f"changed by {share}"})
        changed.links[4].block.tensors["up"].mul_(1 - share)
        family = {"base": chain("base"), "changed": changed}
        swap = Swap(place, "base", "changed", place)
        found.append(float(probe_kl(family, [swap], PROBES, TEXTS)[0].mean()))
    assert 0 < found[0] < found[1] < found[2]
    assert link is chain("base").links[4]


def test_swaps_are_read_by_the_originals_probe_in_the_originals_states() -> None:
    place = Place("attn", 2)
    there, back = (Swap(place, *pair, place) for pair in (("base", "other"), ("other", "base")))
    one, other = probe_kl(FAMILY, [there, back], PROBES, TEXTS)
    assert not np.allclose(one, other)
    again = probe_kl(FAMILY, [back, there], PROBES, TEXTS, at_once=1)
    assert np.allclose(again[1], one, atol=1e-5) and np.allclose(again[0], other, atol=1e-5)


def test_there_is_no_probe_behind_a_head() -> None:
    swap = Swap(Place("head"), "base", "other", Place("head"))
    with pytest.raises(ValueError, match="no probe behind a head"):
        probe_kl(FAMILY, [swap], PROBES, TEXTS)
