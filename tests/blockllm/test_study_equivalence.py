"""Swaps are positional and directed; parameters alone are compared by their matrices and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from blockllm.execute_tenants import TENANTS, chain
from blockllm.study_models import chains, copied, logits, text

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Chain, Link
from remeasure.impls.blockllm.execute import divergence
from remeasure.impls.blockllm.groups import Place
from remeasure.impls.blockllm.study import equivalence
from remeasure.impls.blockllm.study import likeness as module
from remeasure.impls.blockllm.study.equivalence import Swap, cross_layer, measure, same_place, swapped
from remeasure.impls.blockllm.study.likeness import Likeness, likeness, matrices

FAMILY = chains(*(name for name in TENANTS if name != "other"))
TEXTS = {name: text(seed=number) for number, name in enumerate(FAMILY)}


def test_swaps_are_wherever_two_models_differ_both_ways() -> None:
    found = same_place(chains("base", "top", "bitfit"))
    between = {(s.original, s.substitute) for s in found}
    assert len(between) == 6
    top = [str(s.place) for s in found if (s.original, s.substitute) == ("base", "top")]
    assert top == ["attn 2", "ffn 2"]
    assert all(s.same_layer for s in found)
    assert len([s for s in found if (s.original, s.substitute) == ("bitfit", "base")]) == 6
    assert {s.place.layer for s in same_place(FAMILY, layers=[1])} == {1}
    assert same_place(chains("base")) == []


def test_negative_controls_are_of_the_same_kind_from_another_layer_and_follow_the_seed() -> None:
    found = cross_layer(FAMILY, 20, seed=3)
    assert len(set(found)) == 20
    for swap in found:
        assert swap.original == swap.substitute and swap.place.kind == swap.source.kind
        assert swap.place.layer != swap.source.layer and not swap.same_layer
    assert found == cross_layer(FAMILY, 20, seed=3) != cross_layer(FAMILY, 20, seed=4)
    assert len(cross_layer(chains("base"), 1000, seed=0)) == 12
    assert {swap.place.layer for swap in cross_layer(FAMILY, 8, seed=0, layers=[2])} == {2}


def test_a_swap_brings_the_substitutes_delta_and_takes_the_originals() -> None:
    place = Place("attn", 1)
    made = swapped(FAMILY, [Swap(place, "lora a", "bitfit", place)])
    for own, link, other in zip(chain("lora a").links, made.links, chain("bitfit").links, strict=True):
        assert (link is other or link.delta is other.delta) if link.place == place else link is own
    assert swapped(FAMILY, [Swap(place, "lora a", "base", place)]).links[3].delta is None
    moved = swapped(FAMILY, [Swap(place, "prefix", "prefix", Place("attn", 0))])
    assert moved.links[3].place == place and moved.links[3].delta is chain("prefix").links[1].delta


def check(swaps: Sequence[Swap], rows: Sequence[equivalence.Row]) -> None:
    """Each row against two whole models on the original's text."""
    for swap, row in zip(swaps, rows, strict=True):
        assert row.swap == swap
        place, blocks = swap.place, TEXTS[swap.original].blocks
        links = {link.place: link for link in FAMILY[swap.substitute].links}
        made = [
            replace(links[swap.source], place=place) if own.place == place else own
            for own in FAMILY[swap.original].links
        ]
        true = logits(FAMILY[swap.original], blocks)
        q = logits(Chain("made", FAMILY["base"].config, tuple(made)), blocks)
        expected = float(divergence.kl(true, q).mean())
        assert math.isclose(row.kl, expected, rel_tol=1e-3, abs_tol=1e-5), f"{swap} is measured wrongly"


SWAPS = [
    Swap(Place(kind, layer), *pair, Place(kind, source))  # type: ignore[arg-type]
    for pair in (("base", "lora a"), ("lora a", "base"), ("top", "prefix"), ("prefix", "prefix"))
    for kind, layer, source in (("attn", 2, 2), ("ffn", 2, 2), ("attn", 0, 1), ("ffn", 1, 0))
]


def test_every_swap_is_judged_at_its_place_in_its_originals_chain() -> None:
    check(SWAPS, measure(FAMILY, SWAPS, TEXTS))


def turned_round(chains: Mapping[str, Chain], swap: Swap) -> Swap:
    return replace(
        swap, original=min(swap.original, swap.substitute), substitute=max(swap.original, swap.substitute)
    )


def elsewhere(chains: Mapping[str, Chain], swap: Swap) -> Swap:
    return replace(swap, place=swap.source)


@pytest.mark.parametrize("mutant", [turned_round, elsewhere])
def test_a_measure_without_direction_or_place_is_noticed(
    mutant: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = equivalence.swapped

    def wrong(chains: Mapping[str, Chain], swaps: Sequence[Swap]) -> Chain:
        return right(chains, [mutant(chains, swap) for swap in swaps])

    monkeypatch.setattr(equivalence, "swapped", wrong)
    with pytest.raises(AssertionError, match="is measured wrongly"):
        check(SWAPS, measure(FAMILY, SWAPS, TEXTS))


def test_a_swap_between_unlike_widths_is_refused_by_name() -> None:
    narrow = copied(chain("top"), {4: "narrow"})
    own = narrow.links[4].block
    config = replace(own.config, width=20)
    links = (
        *narrow.links[:4],
        replace(narrow.links[4], block=replace(own, config=config)),
        *narrow.links[5:],
    )
    both = {"base": chain("base"), "narrow": replace(narrow, links=links)}
    place = Place("ffn", 1)
    with pytest.raises(UserError, match="the chain of base is not valid: ffn 1"):
        measure(both, [Swap(place, "base", "narrow", place)], {"base": text()})


def unlike(gains: float) -> tuple[Link, Link]:
    """Two blocks with equal gains, of that size, and matrices that have nothing in common."""
    found = []
    for seed in (1, 2):
        link = chain("base").links[1]
        draw = torch.Generator().manual_seed(seed)
        tensors = {
            name: torch.full_like(t, gains) if t.dim() == 1 else torch.randn(t.shape, generator=draw)
            for name, t in link.block.tensors.items()
        }
        found.append(replace(link, block=replace(link.block, id=f"{seed}", tensors=tensors)))
    return found[0], found[1]


def test_gains_of_norms_make_no_block_alike() -> None:
    def check() -> None:
        for gains in (0.0, 1.0, 50.0):
            assert abs(likeness(*unlike(gains)).cosine) < 0.1, "gains were counted"
            assert math.isclose(likeness(*unlike(gains)).distance, 2**0.5, rel_tol=0.1)

    check()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "matrices", lambda link: link.block.tensors)
        with pytest.raises(AssertionError, match="gains were counted"):
            check()


def test_a_block_is_like_itself_and_its_opposite_is_not() -> None:
    link = chain("base").links[2]
    assert likeness(link, link) == Likeness(1.0, 0.0) and likeness(link, link).blind
    against = replace(link, block=replace(link.block, tensors={n: -t for n, t in link.block.tensors.items()}))
    assert likeness(link, against) == Likeness(-1.0, 2.0)
    twice = replace(
        link, block=replace(link.block, tensors={n: 2 * t for n, t in link.block.tensors.items()})
    )
    assert math.isclose(likeness(link, twice).cosine, 1) and math.isclose(likeness(link, twice).distance, 1)
    assert math.isclose(likeness(twice, link).distance, 0.5)


def test_low_rank_deltas_are_part_of_the_matrices_and_the_others_are_not_seen() -> None:
    base, lora = chain("base").links[1], chain("lora a").links[1]
    assert lora.delta is not None
    delta = lora.delta.tensors
    merged = base.block.tensors["q"] + delta["q.outer"] @ delta["q.inner"]
    assert torch.equal(matrices(lora)["q"], merged)
    found = likeness(base, lora)
    a = np.concatenate([matrices(base)[n].numpy().ravel() for n in "qkvo"])
    b = np.concatenate([matrices(lora)[n].numpy().ravel() for n in "qkvo"])
    assert math.isclose(found.cosine, a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel_tol=1e-5)
    assert math.isclose(found.distance, np.linalg.norm(a - b) / np.linalg.norm(a), rel_tol=1e-5)
    for blind in ("bitfit", "adapter", "prefix"):
        assert likeness(base, chain(blind).links[1]).blind
        assert not likeness(base, chain(blind).links[1]).distance
    assert math.isnan(likeness(base, chain("base").links[2]).cosine)
