"""Loaded chains: equal blocks are one object, others are not, and they say what their model says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from blockllm.zoo_family import FAMILY, zoo
from blockllm.zoo_models import PLACES, TINY, bits, group, model

from remeasure.impls.blockllm.groups import Place
from remeasure.impls.blockllm.zoo import assemble
from remeasure.impls.common.llama import greedy


def test_equal_blocks_of_several_chains_are_one_object(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    for one in FAMILY:
        held.insert(one)
    chains = held.load("base", "lora", "top")
    for number, place in enumerate(PLACES):
        base, lora, top = (chains[name].links[number].block for name in ("base", "lora", "top"))
        assert base is lora, place
        assert (base is top) == (place not in (Place("attn", 1), Place("ffn", 1))), place
    embed, head = chains["base"].links[0].block, chains["base"].links[-1].block
    assert head.tensors["embedding"] is embed.tensors["embedding"], (
        "a tied embedding is one object in two roles"
    )
    assert chains["lora"].links[1].delta is not None and chains["base"].links[1].delta is None


def test_equal_tensors_of_models_that_compute_otherwise_are_stored_once_and_are_two_blocks(
    tmp_path: Path,
) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    grown = held.insert(replace(model("slow"), config=replace(TINY, rope_theta=500.0)))
    assert grown.new_objects == 0
    chains = held.load("base", "slow")
    base, slow = (chains[name].links for name in ("base", "slow"))
    assert base[1].block.id != slow[1].block.id
    assert base[1].block.tensors["q"] is slow[1].block.tensors["q"]
    assert base[2].block is slow[2].block, "nothing is rotated in a feed-forward block"


def test_a_head_that_is_tied_to_another_embedding_is_another_block(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    for one in (model("base"), model("other", (1, 0, 0, 0, 0, 0))):
        held.insert(one)
    base, other = (chain.links[-1].block for chain in held.load("base", "other").values())
    assert base.tensors["norm"] is other.tensors["norm"] and base.id != other.id


def test_a_chain_from_memory_has_the_ids_and_bits_of_one_from_the_zoo(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    blocks: dict[str, object] = {}
    for one in FAMILY:
        held.insert(one)
        loaded, made = held.load(one.name)[one.name], assemble.chain_of(one, blocks)  # type: ignore[arg-type]
        for left, right in zip(loaded.links, made.links, strict=True):
            assert (left.place, left.block.id) == (right.place, right.block.id)
            assert bits(left.block.tensors) == bits(right.block.tensors)
            assert (left.delta and left.delta.id) == (right.delta and right.delta.id)
    assert len(blocks) == 6 + 2 + 2


def test_a_loaded_chain_says_what_the_model_says(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    parts = [{name: tensor.float() for name, tensor in group(place, 0).items()} for place in PLACES]
    links = held.load("base")["base"].links
    loaded = [link.block.tensors for link in links]

    def logits(groups: list[dict[str, torch.Tensor]]) -> torch.Tensor:
        layers = [{**groups[2 * n + 1], **groups[2 * n + 2]} for n in range(TINY.layers)]
        return greedy(TINY, [groups[0], *layers, groups[-1]], [1, 2, 3], 4)[1]

    assert torch.equal(logits(parts), logits(loaded))


def test_a_block_of_ones_own_is_named_by_its_content() -> None:
    config = assemble.signature(TINY, "ffn")
    one, same_, other = (
        assemble.block("surrogate", {"gate": torch.full((2, 12), value)}, config) for value in (1.0, 1.0, 2.0)
    )
    assert one.id == same_.id != other.id
    assert assemble.block("stitch", {"gate": torch.ones(2, 12)}, config).id != one.id
