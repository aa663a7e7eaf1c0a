"""A chain is valid or it is refused in a sentence that names the model and the block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import STITCH, Block, Chain, Link
from remeasure.impls.blockllm.groups import Place, places, signature, split
from remeasure.impls.common.llama import MICRO, LlamaConfig, random_weights

WIDER = replace(MICRO, width=96, heads=6, kv_heads=3)
"""Heads as wide, so that both rotate alike."""


def links(config: LlamaConfig = MICRO, seed: int = 1) -> list[Link]:
    groups = split(config, random_weights(config, seed))
    blocks = [
        Block(f"{place.layer + 1}{place.kind}" * 12, place.kind, group, signature(config, place.kind))
        for place, group in zip(places(config), groups, strict=True)
    ]
    if config.tied:
        blocks[-1] = replace(blocks[-1], tensors={**groups[-1], **groups[0]})
    return [Link(place, block) for place, block in zip(places(config), blocks, strict=True)]


def stitch(inputs: int, outputs: int) -> Link:
    block = Block("stitched", "stitch", {STITCH: torch.zeros(outputs, inputs)}, signature(MICRO, "embed"))
    return Link(Place("stitch", 1), block)


def chain(of: list[Link]) -> Chain:
    return Chain("tenant", MICRO, tuple(of))


def changed(number: int, **fields: object) -> Callable[[], list[Link]]:
    """A chain's links with another block at one of them."""

    def make() -> list[Link]:
        made = links()
        made[number] = replace(made[number], block=replace(made[number].block, **fields))  # type: ignore[arg-type]
        return made

    return make


def retuned(**fields: float) -> Callable[[], list[Link]]:
    """A chain whose second layer's attention comes from a model that differs in these fields."""
    return changed(3, config=signature(replace(MICRO, **fields), "attn"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config", [MICRO, replace(MICRO, tied=False), WIDER], ids=["tied", "untied", "wider"]
)
def test_a_model_as_it_was_cut_is_valid(config: LlamaConfig) -> None:
    whole = Chain("tenant", config, tuple(links(config)))
    assert whole.validate() is whole


def test_two_widths_meet_where_a_stitch_stands_between() -> None:
    chain([*links()[:3], stitch(64, 96), *links(WIDER)[3:]]).validate()


def test_a_smaller_block_may_stand_for_an_attention_or_ffn_block() -> None:
    chain(changed(2, kind="surrogate", tensors={"gate": torch.zeros(10, 64)})()).validate()


def test_layers_may_be_left_out() -> None:
    chain([*links()[:3], links()[-1]]).validate()


def test_a_block_knows_its_sides_and_its_size() -> None:
    embed, attn, *_, head = (link.block for link in links())
    assert (embed.inputs, embed.outputs, attn.inputs, attn.outputs, head.inputs, head.outputs) == (
        0,
        64,
        64,
        64,
        64,
        0,
    )
    assert (stitch(64, 96).block.inputs, stitch(64, 96).block.outputs) == (64, 96)
    assert (embed.parameters, head.parameters) == (96 * 64, 64), (
        "the embedding that a tied head shares is not its own"
    )
    assert attn.rope == (10_000.0, 16) and embed.rope is None


FAULTS: dict[str, tuple[Callable[[], list[Link]], str]] = {
    "nothing": (lambda: [], "from an embed block to a head block"),
    "no head": (lambda: links()[:-1], "from an embed block to a head block"),
    "no embedding": (lambda: links()[1:], "from an embed block to a head block"),
    "an embedding in the middle": (
        lambda: [*links()[:3], links()[0], *links()[3:]],
        r"embed \(0embed.*middle",
    ),
    "another width": (
        lambda: [*links()[:3], *links(WIDER)[3:]],
        r"attn 1 \(2attn.*hidden states of 96.*gives 64",
    ),
    "a stitch the wrong way round": (
        lambda: [*links()[:3], stitch(96, 64), *links(WIDER)[3:]],
        r"stitch 1 \(stitched\) takes hidden states of 96.*gives 64",
    ),
    "another base of the positions": (
        retuned(rope_theta=500.0),
        r"attn 1 \(2attn.*base 500 in heads of 16.*10000",
    ),
    "heads of another width": (
        lambda: [*links()[:3], *links(replace(MICRO, heads=2, kv_heads=1))[3:]],
        r"attn 1 \(2attn.*heads of 32",
    ),
    "another vocabulary": (
        lambda: [*links()[:-1], links(replace(MICRO, vocab=90))[-1]],
        r"head \(0head.*vocabulary of 90.*one of 96",
    ),
    "another shape than it says": (
        changed(2, tensors={"gate": torch.zeros(3, 3)}),
        r"ffn 0 \(1ffn.*its signature says",
    ),
    "a kind that does not belong there": (
        lambda: [*links()[:2], Link(Place("ffn", 0), links()[1].block), *links()[3:]],
        r"at ffn 0 \(1attn.*kind attn",
    ),
    "a delta for another block": (
        lambda: [
            *links()[:2],
            replace(links()[2], delta=Block("d", "delta_lora", {}, signature(MICRO, "attn"))),
            *links()[3:],
        ],
        r"delta_lora at ffn 0 \(1ffn",
    ),
    "a delta that is none": (
        lambda: [*links()[:2], replace(links()[2], delta=links()[2].block), *links()[3:]],
        r"ffn at ffn 0 \(1ffn",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_chain_that_cannot_be_executed_is_refused_by_name(fault: str) -> None:
    made, said = FAULTS[fault]
    with pytest.raises(UserError, match=f"the chain of tenant .*{said}") as refusal:
        chain(made()).validate()
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")
