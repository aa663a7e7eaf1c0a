"""The executor refuses what it cannot run, and runs whatever a chain may hold: prefixes, stitches, surrogates."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from blockllm.execute_tenants import (
    CONFIG,
    KINDS,
    TENANTS,
    block,
    blocks,
    chain,
    chains,
    drawn,
    groups,
    same_bits,
)

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import STITCH, Block, Chain, Delta, Link
from remeasure.impls.blockllm.execute.executor import Executor
from remeasure.impls.blockllm.execute.monolith import Monolith
from remeasure.impls.blockllm.execute.tiles import Mode
from remeasure.impls.blockllm.groups import Place, places, signature, split
from remeasure.impls.blockllm.models import forward
from remeasure.impls.common import llama
from remeasure.impls.common.llama import random_weights

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]


def logits_of(executor: Executor, model: str, tokens: list[int]) -> torch.Tensor:
    """After every token."""
    executor.add("s", model, len(tokens))
    executor.feed("s", tokens, wanted=len(tokens))
    return executor.step()["s"]


def test_the_monolith_of_a_foundation_is_the_plain_model() -> None:
    tokens, logits = llama.greedy(CONFIG, random_weights(CONFIG, 1), PROMPT, 6)
    for mode in ("fast", "tile"):
        found, judged = Monolith(chain("base"), mode).greedy(PROMPT, 6)  # type: ignore[arg-type]
        assert found == tokens
        assert torch.allclose(judged, logits, atol=1e-5)


@pytest.mark.parametrize("mode", ["fast", "tile"])
@pytest.mark.parametrize("tenant", KINDS)
def test_a_delta_acts_as_it_was_trained(tenant: str, mode: Mode) -> None:
    kind = KINDS[tenant]
    delta = Delta(kind, drawn(kind, TENANTS.index(tenant)))
    expected = forward.logits(CONFIG, groups(1), torch.tensor([PROMPT]), delta)[0]
    found = logits_of(Executor(chains(), mode), tenant, PROMPT)
    assert torch.allclose(found, expected, atol=2e-5)
    plain = logits_of(Executor(chains(), mode), "base", PROMPT)
    assert float((found - plain).abs().max()) > 0.1


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_prompt_in_pieces_gives_the_logits_of_the_whole(tenant: str) -> None:
    whole = logits_of(Executor(chains(), "tile"), tenant, PROMPT)
    executor = Executor(chains(), "tile")
    executor.add("s", tenant, 8)
    executor.feed("s", PROMPT[:3], wanted=0)
    assert executor.step() == {}
    assert executor.length("s") == 3
    executor.feed("s", PROMPT[3:], wanted=2)
    assert same_bits(executor.step()["s"], whole[-2:])


def test_a_sequence_that_leaves_half_way_disturbs_nobody() -> None:
    executor = Executor(chains(), "tile")
    for name in ("stays", "goes"):
        executor.add(name, "base", 8)
        executor.feed(name, PROMPT)
    for _ in range(3):
        (station,) = executor.standing
        executor.run(station)
    executor.remove("goes")
    assert same_bits(executor.step()["stays"], Monolith(chain("base"), "tile").greedy(PROMPT, 1)[1])
    executor.add("goes", "other", 8)
    executor.feed("goes", PROMPT)
    assert same_bits(executor.step()["goes"], Monolith(chain("other"), "tile").greedy(PROMPT, 1)[1])


def test_a_sequence_alone_at_its_station_leaves_it_empty() -> None:
    executor = Executor(chains())
    executor.add("s", "base", 8)
    executor.feed("s", PROMPT)
    executor.remove("s")
    assert (executor.standing, executor.step()) == ({}, {})


@pytest.mark.parametrize(
    ("tokens", "wanted", "said"),
    [([], 0, "fed 0 tokens"), ([1], 2, "2 logits are wanted"), ([1] * 9, 1, "room for 8 tokens, not 9")],
)
def test_what_cannot_be_fed_is_refused(tokens: list[int], wanted: int, said: str) -> None:
    executor = Executor(chains())
    executor.add("s", "base", 8)
    with pytest.raises(ValueError, match=said):
        executor.feed("s", tokens, wanted)
    assert executor.standing == {}


def test_names_are_used_once_and_a_sequence_is_in_one_place() -> None:
    executor = Executor(chains())
    executor.add("s", "base", 8)
    with pytest.raises(ValueError, match="there is a sequence s already"):
        executor.add("s", "other", 8)
    executor.feed("s", [1])
    with pytest.raises(ValueError, match="s is on its way"):
        executor.feed("s", [2])
    with pytest.raises(ValueError, match="s is on its way"):
        executor.truncate("s", 0)


def test_a_chain_that_is_not_valid_is_refused_by_name() -> None:
    broken = replace(chain("base"), links=chain("base").links[:-1])
    with pytest.raises(UserError, match="the chain of base does not run from an embed block to a head"):
        Executor({"a": broken})
    with pytest.raises(UserError, match="the chain of base"):
        Monolith(broken)


def stitched() -> tuple[Chain, list[torch.Tensor]]:
    """The first two layers of the base model, a stitch, and the last layer and head of a narrower one."""
    narrow = replace(CONFIG, width=20, heads=2, kv_heads=1, ffn=48)
    held = split(narrow, random_weights(narrow, 5))
    matrix = torch.randn(20, 40, generator=torch.Generator().manual_seed(0)) / 6
    join = Block("join", "stitch", {STITCH: matrix}, signature(CONFIG, "ffn"))
    last = []
    for place, tensors in list(zip(places(narrow), held, strict=True))[-3:]:
        own = {**tensors, "embedding": held[0]["embedding"]} if place.kind == "head" else tensors
        last.append(Link(place, Block(f"narrow {place}", place.kind, own, signature(narrow, place.kind))))
    links = (*chain("base").links[:5], Link(Place("stitch", 2), join), *last)
    return Chain("stitched", CONFIG, links), [matrix]


@pytest.mark.parametrize("mode", ["fast", "tile"])
def test_a_stitch_joins_two_widths(mode: Mode) -> None:
    joined, (matrix,) = stitched()
    executor = Executor({**chains(), "stitched": joined}, mode)
    for tenant in ("stitched", "base", "lora a"):
        executor.add(tenant, tenant, 8)
        executor.feed(tenant, PROMPT)
    found = executor.step()["stitched"]
    kv = llama.KV(CONFIG, 8)
    x = llama.embed(torch.tensor(PROMPT), blocks(1)[Place("embed")].tensors)
    for index in range(2):
        tensors = {**blocks(1)[Place("attn", index)].tensors, **blocks(1)[Place("ffn", index)].tensors}
        x = llama.layer(CONFIG, index, x, tensors, kv)
    x = x @ matrix.T
    narrow = replace(CONFIG, width=20, heads=2, kv_heads=1, ffn=48)
    attn, ffn, head = (link.block.tensors for link in joined.links[-3:])
    x = llama.layer(narrow, 2, x, {**attn, **ffn}, llama.KV(narrow, 8))
    expected = llama.head(narrow, x, head, head["embedding"])
    assert torch.allclose(found[0], expected, atol=1e-5)
    if mode == "tile":
        assert same_bits(found, Monolith(joined, "tile").greedy(PROMPT, 1)[1])


def test_the_same_block_in_two_layers_of_a_stitched_chain_keeps_two_kvs() -> None:
    links = list(chain("base").links)
    twice = Chain("twice", CONFIG, (*links[:5], *links[3:]))
    executor = Executor({"twice": twice, "base": chain("base")}, "tile")
    for tenant in ("twice", "base"):
        executor.add(tenant, tenant, 12)
        executor.feed(tenant, PROMPT)
    found = executor.step()
    for tenant, own in (("twice", twice), ("base", chain("base"))):
        assert same_bits(found[tenant], Monolith(own, "tile").greedy(PROMPT, 1)[1])
    assert executor.kv("twice").filled == [8] * 4


def test_a_surrogate_with_fewer_channels_runs_in_its_blocks_place() -> None:
    place = Place("ffn", 1)
    whole = blocks(1)[place].tensors
    kept = {**whole, "gate": whole["gate"].clone(), "up": whole["up"]}
    kept["gate"][30:] = 0  # silu(0) = 0: the same as channels that are not there
    pruned = {"ffn_norm": whole["ffn_norm"], "gate": whole["gate"][:30], "up": whole["up"][:30]}
    pruned["down"] = whole["down"][:, :30].contiguous()
    found = []
    for made in (block(place, "masked", kept), replace(block(place, "pruned", pruned), kind="surrogate")):
        links = tuple(Link(place, made) if own.place == place else own for own in chain("base").links)
        found.append(logits_of(Executor({"m": Chain("m", CONFIG, links)}), "m", PROMPT))
    assert torch.allclose(*found, atol=1e-5)
