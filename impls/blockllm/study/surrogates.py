"""Surrogates: a block with its least useful channels or heads removed, that stands in for it while time presses.

The paper is believed to prune blocks that become bottlenecks. Here whole channels of a feed-forward block go, or whole
groups of query heads with the key and value head that they share; then the last projection is fitted anew, in closed
form, so that what is left gives the block's outputs as nearly as it can. (Specification §1.6.)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from remeasure.impls.common.llama import Weights

from ..chain import Block, Chain, Link
from ..execute.steps import prepare
from ..groups import Place
from ..zoo.assemble import block
from .compare import AT_ONCE
from .ridge import Moments, fitted
from .states import beside, onward
from .text import Text

Score = Literal["weights", "activations"]
"""Of a feed-forward channel. weights: product of the norms of its gate and up rows and its down column; activations:
root mean square of what it gives, times the norm of its down column."""
RATIOS = (0.25, 0.5, 0.75)
"""Shares of channels or heads that are removed."""
OUTPUT = {"attn": "o", "ffn": "down"}
"""The last projection of each half of a layer."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a block's last projection was given on a text."""

    link: Link
    grams: tuple[torch.Tensor, ...]
    """Of each half of the text, float64 [inner, inner]: products of each two of its inputs, summed over the tokens."""

    @property
    def gram(self) -> torch.Tensor:
        """Of the whole text."""
        return self.grams[0] + self.grams[1]


@torch.no_grad()
def calibrate(
    chain: Chain, places: Collection[Place], text: Text, at_once: int = AT_ONCE
) -> dict[Place, Calibration]:
    """Of the blocks at some attn and ffn places, in their own chain. Raises ValueError for a block with a delta: its
    tensors have the block's shape, not the surrogate's."""
    steps = prepare(chain, "fast")
    links = {link.place: link for link in chain.links if link.place in places}
    if wrong := next(
        (str(p) for p in places if p not in links or p.kind not in OUTPUT or links[p].delta), ""
    ):
        raise ValueError(f"{chain.model} has no block without a delta at {wrong} that could be pruned")
    found: dict[Place, list[torch.Tensor]] = {place: [] for place in places}
    for half in text.halves():
        sums = {place: torch.tensor(0.0) for place in places}
        for blocks in torch.split(half, at_once):
            attention, x = beside(steps, text.length), blocks[:, :-1].reshape(-1)
            for step in steps.all[:-1]:
                place, heard = step.link.place, _Listener()
                acts = {OUTPUT[place.kind]: heard} if place in sums else step.acts
                x = onward(step, x, attention, acts)
                if place in sums:
                    given = heard.given.double()
                    sums[place] = sums[place] + given.T @ given
        for place, gram in sums.items():
            found[place].append(gram)
    return {place: Calibration(links[place], tuple(grams)) for place, grams in found.items()}


def prune(of: Calibration, removed: float, score: Score = "activations", refit: bool = True) -> Block:
    """A surrogate of a block, without the share `removed` of its channels or key and value heads.

    At least one stays; a half is rounded in favour of staying, so three heads become two, two and one. Heads always go
    by the norm of what they add to the output. refit: fit the last projection anew; else keep its columns. Raises
    ValueError for a share that is not from 0 to below 1.
    """
    if not 0 <= removed < 1:
        raise ValueError(f"a share of {removed} cannot be removed; it is from 0 to below 1")
    link = of.link
    tensors = link.block.tensors
    if link.place.kind == "attn":
        heads = tensors["k"].shape[0] // link.block.config.head_dim
        best = _staying(_head_scores(of, heads), removed)
        kept = {name: _rows(tensors[name], heads)[best].flatten(0, 1) for name in ("q", "k", "v")}
        columns = torch.arange(len(of.grams[0])).view(heads, -1)[best].flatten()
        kept = {"attn_norm": tensors["attn_norm"], **kept}
    else:
        columns = _staying(_channel_scores(of, score), removed)
        kept = {"ffn_norm": tensors["ffn_norm"], **{n: tensors[n][columns] for n in ("gate", "up")}}
    last = OUTPUT[link.place.kind]
    kept[last] = _refitted(of, tensors[last], columns) if refit else tensors[last][:, columns]
    made: Weights = {name: tensor.contiguous() for name, tensor in kept.items()}
    return block("surrogate", made, link.block.config)


def standing_in(chain: Chain, surrogates: Mapping[Place, Block]) -> Chain:
    """A chain with surrogates at some places; deltas there are left out, for they have the blocks' shapes."""
    links = [
        replace(link, block=surrogates[link.place], delta=None) if link.place in surrogates else link
        for link in chain.links
    ]
    return replace(chain, links=tuple(links))


class _Listener:
    """An act that adds nothing and keeps what its projection was given."""

    given: torch.Tensor

    def __call__(self, inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        self.given = inputs
        return torch.zeros(())


def _staying(scores: torch.Tensor, removed: float) -> torch.Tensor:
    """Numbers of the best, in their old order."""
    count = max(1, math.floor((1 - removed) * len(scores) + 0.5))
    return scores.argsort(descending=True, stable=True)[:count].sort().values


def _channel_scores(of: Calibration, score: Score) -> torch.Tensor:
    tensors = of.link.block.tensors
    given = of.gram.diagonal().sqrt()
    if score == "weights":
        given = tensors["gate"].norm(dim=1) * tensors["up"].norm(dim=1)
    found: torch.Tensor = given * tensors["down"].norm(dim=0)
    return found


def _head_scores(of: Calibration, heads: int) -> torch.Tensor:
    """Squares of what each key and value head, through its query heads, adds to the block's output."""
    gram = of.gram
    width = len(gram) // heads
    outputs = torch.split(of.link.block.tensors["o"].double(), width, dim=1)
    own = (gram[n * width : (n + 1) * width, n * width : (n + 1) * width] for n in range(heads))
    return torch.stack([((o @ one) * o).sum() for o, one in zip(outputs, own, strict=True)])


def _rows(matrix: torch.Tensor, heads: int) -> torch.Tensor:
    """[heads, rows of each, inputs]."""
    return matrix.view(heads, -1, matrix.shape[1])


def _refitted(of: Calibration, matrix: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The projection [outputs, columns] whose products of the inputs that stay are nearest to the whole one's; pulled
    towards the columns as they were."""
    last = matrix.T.double()
    halves = []
    for gram in of.grams:
        across = gram @ last
        halves.append(Moments(gram[columns][:, columns], across[columns], float((last * across).sum())))
    return fitted(halves, last[columns]).T.float()
