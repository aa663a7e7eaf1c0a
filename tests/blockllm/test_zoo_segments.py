"""Segments: what models share is taken together, splitting one changes no model, and how much sharing saves."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from blockllm.zoo_models import PLACES, TINY, model, same
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.blockllm.groups import Place, nbytes, places
from remeasure.impls.blockllm.zoo import segments as module
from remeasure.impls.blockllm.zoo.segments import (
    Segment,
    footprint,
    segments,
    zoo_footprint,
    zoo_segments,
)
from remeasure.impls.blockllm.zoo.store import Zoo
from remeasure.impls.common.llama import SMOLLM2_135M

Chains = dict[str, list[Hashable]]


@st.composite
def chains(draw: st.DrawFn) -> Chains:
    """Models of a few versions of each group; some leave groups out, or have some in another order, or twice."""
    made: Chains = {}
    for name in draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=5, unique=True)):
        chain: list[Hashable] = [(place, draw(st.integers(0, 2))) for place in range(6)]
        how = draw(st.sampled_from(["whole", "whole", "whole", "short", "turned", "repeated"]))
        if how == "short":
            del chain[draw(st.integers(0, 5))]
        if how == "turned":
            chain[2], chain[3] = chain[3], chain[2]
        if how == "repeated":
            chain[4:4] = chain[2:4]
        made[name] = chain
    return made


def check_cut(of: Mapping[str, Sequence[Hashable]], cut: Mapping[str, Sequence[Segment]]) -> None:
    """Put together, segments are the chains; each is one thing, had whole by exactly the models it names."""
    assert cut.keys() == of.keys()
    for name, chain in of.items():
        assert [group for segment in cut[name] for group in segment.groups] == list(chain), (
            "a chain has changed"
        )
        for segment in cut[name]:
            assert list(segment.models) == sorted(n for n in of if set(segment.groups) & set(of[n]))
            for sharer in segment.models:
                assert segment in cut[sharer], "what one model has as one piece, another has in pieces"


def check_longest(cut: Mapping[str, Sequence[Segment]]) -> None:
    """Without repetitions, neighbours are apart only where somebody has one without the other behind it."""
    for of in cut.values():
        for first, second in pairwise(of):
            together = [
                name for name, others in cut.items() for a, b in pairwise(others) if (a, b) == (first, second)
            ]
            assert not first.models == second.models == tuple(sorted(together)), "could be one segment"


@given(of=chains())
def test_segments_are_the_longest_runs_that_the_same_models_share(of: Chains) -> None:
    cut = segments(of)
    check_cut(of, cut)
    if all(len(set(chain)) == len(chain) for chain in of.values()):
        check_longest(cut)


@given(of=chains(), newcomer=chains())
def test_a_new_model_only_splits_segments_and_preserves_all_chains(of: Chains, newcomer: Chains) -> None:
    before = segments(of)
    after = segments({**of, "new": next(iter(newcomer.values()))})
    check_cut({**of, "new": next(iter(newcomer.values()))}, after)
    for name in of:
        bounds = [ends(cut[name]) for cut in (before, after)]
        assert bounds[0] <= bounds[1], "what was apart stays apart"


def ends(cut: Sequence[Segment]) -> set[int]:
    return {sum(len(segment.groups) for segment in cut[: n + 1]) for n in range(len(cut))}


def test_segments_are_independent_of_the_order_of_the_models() -> None:
    of = {"a": [1, 2, 3], "b": [1, 2, 4], "c": [1, 5, 4]}
    assert segments(of) == segments(dict(reversed(of.items())))


def by_sharers_alone(chains: Mapping[str, Sequence[Hashable]]) -> dict[str, list[Segment]]:
    """Mutant: neighbours with the same sharers are one segment, whatever follows them in the other models."""
    owners: dict[Hashable, set[str]] = {}
    for name, chain in chains.items():
        for group in chain:
            owners.setdefault(group, set()).add(name)
    return runs(chains, owners)


def by_count(chains: Mapping[str, Sequence[Hashable]]) -> dict[str, list[Segment]]:
    """Mutant: how many share is looked at, not who."""
    owners: dict[Hashable, set[str]] = {}
    for name, chain in chains.items():
        for group in chain:
            owners.setdefault(group, set()).add(name)
    counts = {group: {str(len(names))} for group, names in owners.items()}
    cut = runs(chains, counts)
    return {
        n: [Segment(s.groups, tuple(sorted(owners[s.groups[0]]))) for s in found] for n, found in cut.items()
    }


def runs(
    chains: Mapping[str, Sequence[Hashable]], owners: Mapping[Hashable, set[str]]
) -> dict[str, list[Segment]]:
    cut: dict[str, list[Segment]] = {}
    for name, chain in chains.items():
        found: list[list[Hashable]] = []
        for group in chain:
            if found and owners[found[-1][-1]] == owners[group]:
                found[-1].append(group)
            else:
                found.append([group])
        cut[name] = [Segment(tuple(run), tuple(sorted(owners[run[0]]))) for run in found]
    return cut


@pytest.mark.parametrize("mutant", [by_sharers_alone, by_count])
def test_a_wrong_cut_is_noticed(mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    of: Chains = {"a": [0, 1, 2, 3], "b": [0, 2, 4, 5], "c": [9, 1, 4, 5]}
    check_cut(of, module.segments(of))
    monkeypatch.setattr(module, "segments", mutant)
    with pytest.raises(AssertionError):
        check_cut(of, module.segments(of))


def test_every_group_apart_is_valid_but_noticed_not_to_be_the_longest() -> None:
    cut = {name: [Segment((group,), ("a", "b")) for group in (1, 2)] for name in "ab"}
    check_cut({"a": [1, 2], "b": [1, 2]}, cut)
    with pytest.raises(AssertionError, match="could be one segment"):
        check_longest(cut)


def test_a_zoos_segments_are_split_by_a_model_that_differs_inside_and_no_chain_changes(
    tmp_path: Path,
) -> None:
    zoo = Zoo(tmp_path / "zoo", threads=2)
    family = [model("base"), model("lora", delta={1: 0})]
    for one in family:
        zoo.insert(one)
    lengths = {n: [len(s.groups) for s in cut] for n, cut in zoo_segments(zoo).items()}
    assert lengths == {"base": [6], "lora": [6]}, "a delta is beside the blocks, not in them"
    objects = sorted(zoo.objects.iterdir())
    family.append(model("top", (0, 0, 0, 1, 1, 0)))
    zoo.insert(family[-1])
    lengths = {n: [len(s.groups) for s in cut] for n, cut in zoo_segments(zoo).items()}
    assert lengths == {"base": [3, 2, 1], "lora": [3, 2, 1], "top": [3, 2, 1]}
    assert zoo_segments(zoo)["top"][1].models == ("top",)
    assert set(objects) < set(zoo.objects.iterdir()), "only what differs was written"
    assert all(same(zoo.fetch(one.name)[one.name], one) for one in family)


Made = tuple[dict[str, list[Hashable]], dict[Hashable, int]]


def seven(top: int = 2) -> Made:
    """Base, three LoRA, two top-`top`, one full fine-tune of SmolLM2: what they are made of, and its bytes in fp16."""
    at = places(SMOLLM2_135M)
    d, kv, layers = SMOLLM2_135M.width, SMOLLM2_135M.kv_heads * SMOLLM2_135M.head_dim, SMOLLM2_135M.layers
    size: dict[Hashable, int] = {}

    def whole(own: str, first_own_layer: int) -> list[Hashable]:
        chain: list[Hashable] = []
        for place in at:
            changed = first_own_layer < 0 or place.layer >= first_own_layer
            chain.append((own if changed else "base", place))
            size[chain[-1]] = nbytes(SMOLLM2_135M, place)
        return chain

    made = {"base": whole("base", layers), "full": whole("full", -1)}
    for name in ("top a", "top b"):
        made[name] = whole(name, layers - top)
    for name in ("lora a", "lora b", "lora c"):
        rank_8 = [(name, place) for place in at if place.kind == "attn"]
        size |= dict.fromkeys(rank_8, 2 * 8 * ((d + d) + (d + kv)))  # of q and of v
        made[name] = [*made["base"], *rank_8]
    return made, size


def check_seven(made: Made) -> None:
    found = footprint(*made)
    assert (round(found.apart_bytes / 1e6, 1), round(found.shared_bytes / 1e6, 1)) == (1886.0, 569.1)
    assert round(found.saved, 3) == 0.698


def test_the_seven_models_on_smollm2_take_569_instead_of_1886_megabytes() -> None:
    check_seven(seven())


def test_another_family_would_be_noticed_by_its_bytes() -> None:
    with pytest.raises(AssertionError):
        check_seven(seven(top=3))


def test_a_zoo_on_disk_takes_what_arithmetic_says_and_its_headers(tmp_path: Path) -> None:
    """The same seven, tiny and really stored: the top layer is what differs."""
    zoo = Zoo(tmp_path / "zoo", threads=2)
    family = [
        model("base"),
        model("full", (1,) * 6),
        *(model(f"top {n}", (0, 0, 0, n, n, 0)) for n in (2, 3)),
    ]
    family += [model(f"lora {n}", delta={1: n, 3: n}) for n in range(3)]
    for one in family:
        zoo.insert(one)
    size = dict(zip(PLACES, [nbytes(TINY, place) for place in PLACES], strict=True))
    whole, layer, delta = (
        sum(size.values()),
        size[Place("attn", 1)] + size[Place("ffn", 1)],
        2 * 2 * (2 * 12 * 2),
    )
    found = zoo_footprint(zoo, *zoo.models())
    distinct, used = 6 + 6 + 4 + 6, 7 * 6 + 6
    assert found.shared_bytes == sum(path.stat().st_size for path in zoo.objects.iterdir())
    assert len(list(zoo.objects.iterdir())) == distinct
    for stored, counted, pieces in (
        (found.apart_bytes, 7 * whole + 3 * delta, used),
        (found.shared_bytes, 2 * whole + 2 * layer + 3 * delta, distinct),
    ):
        assert counted < stored <= counted + 512 * pieces, "a header each, and nothing else"
    assert footprint({}, {}).saved == 0.0
