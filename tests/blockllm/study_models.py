"""Texts and models for the tests of the study: drawn tokens, and a model with a twin that thinks in another basis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from blockllm.execute_tenants import CONFIG, chain

from remeasure.impls.blockllm.chain import Chain, Link
from remeasure.impls.blockllm.execute.monolith import Monolith
from remeasure.impls.blockllm.groups import places, signature, split
from remeasure.impls.blockllm.study.text import Text
from remeasure.impls.blockllm.zoo.assemble import block
from remeasure.impls.common.llama import LlamaConfig, Weights, random_weights

UNTIED = replace(CONFIG, tied=False)
NORMS = ("attn_norm", "ffn_norm", "norm")
AFTER = {"attn_norm": ("q", "k", "v"), "ffn_norm": ("gate", "up"), "norm": ("lm_head",)}


def text(
    documents: int = 3, each: int = 2, length: int = 11, seed: int = 0, vocab: int = CONFIG.vocab
) -> Text:
    """Drawn tokens; an odd length, so that nothing is in step with a tile or a slice."""
    drawn = np.random.default_rng(seed).integers(0, vocab, (documents * each, length + 1))
    return Text(torch.from_numpy(drawn), np.repeat(np.arange(documents), each))


def chains(*tenants: str) -> dict[str, Chain]:
    return {tenant: chain(tenant) for tenant in tenants}


def logits(of: Chain, blocks: torch.Tensor) -> torch.Tensor:
    """[tokens, vocab] after every token of every block but its last, one block at a time on the monolith."""
    model = Monolith(of)
    rows = [row[:-1].tolist() for row in blocks]
    return torch.cat([model.forward(model.new_kv(len(row)), row, wanted=len(row)) for row in rows])


def plain(name: str, config: LlamaConfig, groups: Sequence[Weights]) -> Chain:
    """The chain of a model without a delta, from fp32 groups; the head must be untied."""
    links = tuple(
        Link(place, block(place.kind, tensors, signature(config, place.kind)))
        for place, tensors in zip(places(config), groups, strict=True)
    )
    return Chain(name, config, links)


def basic(seed: int = 7, config: LlamaConfig = UNTIED) -> list[Weights]:
    """Groups with all gains in the matrices behind them, so that the basis of the hidden states is free."""
    groups = split(config, random_weights(config, seed))
    for tensors in groups:
        for norm in NORMS:
            if norm in tensors:
                for name in AFTER[norm]:
                    tensors[name] = tensors[name] * tensors[norm]
                tensors[norm] = torch.ones_like(tensors[norm])
    return groups


def rotation(width: int = UNTIED.width, seed: int = 0) -> torch.Tensor:
    """Orthogonal [width, width]."""
    drawn = torch.randn(width, width, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(drawn.double())[0].float()


def turned(groups: Sequence[Weights], q: torch.Tensor) -> list[Weights]:
    """The same model, whose hidden states are x · q where they were x."""

    def turn(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name in NORMS:
            return tensor
        return (q.T @ tensor if name in ("o", "down") else tensor @ q).contiguous()

    return [{name: turn(name, tensor) for name, tensor in tensors.items()} for tensors in groups]


def copied(chain: Chain, names: Mapping[int, str]) -> Chain:
    """The same chain, where some blocks, by number, are copies under other ids."""
    links = list(chain.links)
    for number, name in names.items():
        own = links[number].block
        tensors = {key: tensor.clone() for key, tensor in own.tensors.items()}
        links[number] = replace(links[number], block=replace(own, id=name, tensors=tensors))
    return replace(chain, links=tuple(links))
