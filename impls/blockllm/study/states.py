"""A text on its way through a chain: the hidden states before every link, and the way from one of them to the end.

Every study asks what changes when links are exchanged, so what stands before the first changed link is computed once.
Blocks of text go side by side, each from its first token; deltas act as in the executor.
"""

from __future__ import annotations

import torch

from remeasure.impls.common import llama

from ..chain import Chain, Link
from ..execute.steps import Step, Steps
from ..groups import Place
from ..models.forward import SideBySide


def beside(steps: Steps, length: int) -> SideBySide:
    """Attention for blocks of `length` tokens, with the prefixes of the chain's deltas."""
    shapes = {step.layer: step.kv_shape() for step in steps.all if step.layer >= 0}
    prefixes = {layer: shape.prefix for layer, shape in shapes.items() if shape.prefix}
    return SideBySide(steps.chain.config, length, prefixes)


def onward(step: Step, x: torch.Tensor, attention: SideBySide, acts: llama.Deltas | None) -> torch.Tensor:
    """Through one link that is not the head, in new memory: tokens [rows] or hidden states [rows, inputs] -> [rows,
    outputs]."""
    if step.block.kind == "embed":
        return llama.embed(x, step.block.tensors)
    return step.run(x, attention, acts)


def states(steps: Steps, tokens: torch.Tensor, last: int | None = None) -> list[torch.Tensor]:
    """What each link takes, for tokens [blocks, length]: item 0 the tokens in a row, the others [rows, inputs].

    last: number of the last link that is asked for; None is the head.
    """
    attention, found = beside(steps, tokens.shape[1]), [tokens.reshape(-1)]
    for step in steps.all[: len(steps.all) - 1 if last is None else last]:
        found.append(onward(step, found[-1], attention, step.acts))
    return found


def rest(steps: Steps, x: torch.Tensor, first: int, length: int) -> torch.Tensor:
    """What the head takes, where x is what link number `first` takes."""
    attention = beside(steps, length)
    for step in steps.all[first:-1]:
        x = onward(step, x, attention, step.acts)
    return x


def parting(one: Chain, other: Chain) -> int:
    """Number of the first link that is not the same in both chains; of the last where all are."""
    pairs = zip(one.links[:-1], other.links[:-1], strict=False)
    return next(
        (n for n, (a, b) in enumerate(pairs) if not same(a, b)), min(len(one.links), len(other.links)) - 1
    )


def same(one: Link, other: Link) -> bool:
    """Whether two links compute the same at the same place."""
    ids = [(link.place, link.block.id, link.delta.id if link.delta else "") for link in (one, other)]
    return ids[0] == ids[1]


def number_of(chain: Chain, place: Place) -> int:
    """Where in a chain the link at a place is. Raises ValueError where there is none."""
    for number, link in enumerate(chain.links):
        if link.place == place:
            return number
    raise ValueError(f"the chain of {chain.model} has no link at {place}")


def start_of(chain: Chain, layer: int) -> int:
    """Number of the link that a layer begins with; behind the last layer, of the head. Raises ValueError as above."""
    return len(chain.links) - 1 if layer == chain.config.layers else number_of(chain, Place("attn", layer))
