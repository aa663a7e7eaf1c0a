"""Stitches: small matrices that lead from the hidden states of one model into the middle of another.

With them a chain may leave one model and go on in one of another width, or skip layers. The paper's stitching blocks
are believed to be linear, one of them serving every position by taking the position as an input; the least-squares
start is that of stitchable networks. Here are one matrix a cut, one for all cuts, one for all cuts with a vector a cut,
and two strawmen. (Specification §1.5.)

A stitch of a chain is a matrix and nothing else, so a cut's vector scales the matrix's inputs: it is folded into the
matrix when a chain is assembled, and nothing of it is left when the chain runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

import torch

from remeasure.impls.common.llama import LlamaConfig

from ..chain import STITCH, Chain, Link
from ..execute.steps import prepare
from ..groups import Place
from ..zoo.assemble import block
from .compare import AT_ONCE, Divergences, compare
from .ridge import Halves, Moments, fitted, solved
from .states import start_of, states
from .text import Floats, Text

Weigh = Literal["equal", "norm"]
"""How much a token counts: as much as any, which is plain least squares; or as 1 / the norm of the hidden state that is
wanted. In SmolLM2 a block's first token has a norm two hundred times the others' from the middle on; with plain least
squares it is all that counts."""
Variant = Literal["per cut", "shared", "position", "pad", "random"]
"""per cut, shared, position: see above; pad: as it is, cut off or with zeros behind it; random: a random projection."""
NOTHING = LlamaConfig(0, 0, 0, 0, 0, 0, rope_theta=0.0, norm_eps=0.0, tied=False)
"""Signature of a stitch: its matrix says all."""
WEAK = 1e-3
"""Pull of what `position` fits in turn."""
ROUNDS = 8
"""Of fitting the matrix and the cuts' vectors in turn."""


@dataclass(frozen=True)
class Cut:
    """Where one model is left and another one entered."""

    leave: int
    """Layers of the first model that run."""
    enter: int
    """Number of the first layer of the second model that runs."""

    def __str__(self) -> str:
        return f"{self.leave} → {self.enter}"


@dataclass(frozen=True, eq=False)
class Stitches:
    """The stitches of one variant at some cuts."""

    variant: Variant
    cuts: tuple[Cut, ...]
    matrices: torch.Tensor
    """fp32 [cuts or 1, inputs, outputs]."""
    positions: torch.Tensor
    """fp32 [cuts, inputs]: what scales the inputs at each cut; ones, except for `position`."""

    def matrix(self, cut: Cut) -> torch.Tensor:
        """[outputs, inputs] at a cut, as a stitch block has it."""
        number = self.cuts.index(cut)
        own = self.matrices[number if len(self.matrices) > 1 else 0]
        return (self.positions[number][:, None] * own).T.contiguous()

    @property
    def parameters(self) -> int:
        """Numbers that have to be kept for all cuts together."""
        kept = self.positions.numel() if self.variant == "position" else 0
        return self.matrices.numel() + kept


@dataclass(frozen=True, eq=False)
class Stitched:
    """A stitched chain on held-out text."""

    variant: Variant
    cut: Cut
    residual: float
    """Norm of what the stitch misses of the hidden states, over the norm of these."""
    first: Divergences
    """From the model whose layers come first; also says how well the chain predicts the text."""
    second: Divergences
    """From the other."""


@torch.no_grad()
def moments(
    first: Chain,
    second: Chain,
    cuts: Sequence[Cut],
    text: Text,
    weigh: Weigh = "equal",
    at_once: int = AT_ONCE,
) -> dict[Cut, Halves]:
    """Of both models' hidden states on the same tokens. Raises ValueError for a cut that a model does not have."""
    sides = [prepare(chain, "fast") for chain in (first, second)]
    places = {cut: (start_of(first, cut.leave), start_of(second, cut.enter)) for cut in cuts}
    found: dict[Cut, list[Moments]] = {cut: [] for cut in cuts}
    for half in text.halves():
        sums: dict[Cut, Moments] = {}
        for blocks in torch.split(half, at_once):
            one = states(sides[0], blocks[:, :-1])
            other = one if first is second else states(sides[1], blocks[:, :-1])
            for cut, (leave, enter) in places.items():
                a, b = one[leave], other[enter]
                if weigh == "norm":
                    root = b.norm(dim=-1, keepdim=True).sqrt()
                    a, b = a / root, b / root
                new = Moments.of(a, b)
                sums[cut] = sums[cut] + new if cut in sums else new
        for cut, of in sums.items():
            found[cut].append(of)
    return {cut: tuple(halves) for cut, halves in found.items()}


def fit(variant: Variant, of: Mapping[Cut, Halves], seed: int = 0) -> Stitches:
    """Stitches by least squares, or a strawman; every cut counts the same. seed: of `random`."""
    cuts = tuple(of)
    inputs, outputs = of[cuts[0]][0].across.shape
    ones = torch.ones(len(cuts), inputs)
    pad = torch.eye(inputs, outputs)
    scaled = [_scaled(of[cut]) for cut in cuts]
    if variant == "pad":
        matrices, positions = pad[None], ones
    elif variant == "random":
        drawn = torch.randn(inputs, outputs, generator=torch.Generator().manual_seed(seed))
        matrices, positions = drawn[None] / inputs**0.5, ones
    elif variant == "per cut":
        matrices, positions = torch.stack([fitted(halves, pad) for halves in scaled]), ones
    else:
        matrices, positions = _in_turn(scaled, pad, ROUNDS if variant == "position" else 0)
    return Stitches(variant, cuts, matrices.float(), positions.float())


def residual(stitches: Stitches, cut: Cut, of: Halves) -> float:
    """‖A·T − B‖ / ‖B‖ of the hidden states that the moments are of."""
    whole = of[0] + of[1]
    return float((whole.missed(stitches.matrix(cut).T.double()) / whole.outputs) ** 0.5)


def stitched(first: Chain, second: Chain, cut: Cut, matrix: torch.Tensor) -> Chain:
    """The first model up to the cut, the stitch [outputs, inputs], the second model from there on.

    Raises UserError where the matrix is not of their widths, or their vocabularies or rotary positions differ,
    ValueError where no layer would be left.
    """
    if not cut.leave + second.config.layers - cut.enter:
        raise ValueError(f"the cut {cut} leaves no layer of {first.model} and {second.model}")
    join = Link(Place("stitch", cut.enter), block("stitch", {STITCH: matrix}, NOTHING))
    links = (*first.links[: start_of(first, cut.leave)], join, *second.links[start_of(second, cut.enter) :])
    return Chain(f"{first.model} {cut} {second.model}", first.config, links).validate()


def judge(
    first: Chain,
    second: Chain,
    stitches: Sequence[Stitches],
    text: Text,
    weigh: Weigh = "equal",
    at_once: int = AT_ONCE,
) -> tuple[dict[str, Floats], list[Stitched]]:
    """The models' own surprise on held-out text by name, and every stitched chain against both.

    weigh: of the residuals.
    """
    cuts = list(dict.fromkeys(cut for one in stitches for cut in one.cuts))
    of = moments(first, second, cuts, text, weigh, at_once)
    made = [(one, cut) for one in stitches for cut in one.cuts]
    chains = [stitched(first, second, cut, one.matrix(cut)) for one, cut in made]
    own, from_first = compare(first, chains, text, at_once)
    others, from_second = (own, from_first) if first is second else compare(second, chains, text, at_once)
    rows = [
        Stitched(one.variant, cut, residual(one, cut, of[cut]), a, b)
        for (one, cut), a, b in zip(made, from_first, from_second, strict=True)
    ]
    return {first.model: own, second.model: others}, rows


def _scaled(of: Halves) -> Halves:
    """With outputs of a squared norm of 1 in both together."""
    whole = of[0].outputs + of[1].outputs
    return tuple(half.times(1 / whole) for half in of)


def _in_turn(scaled: Sequence[Halves], pad: torch.Tensor, rounds: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One matrix for all cuts, [1, inputs, outputs], and each cut's vector, [cuts, inputs]: the best matrix for given
    vectors, then the best vectors for it, and again; ones and the plain shared matrix for no rounds."""
    vectors = torch.ones(len(scaled), len(pad)).double()
    matrix = fitted([_shared(vectors, [halves[n] for halves in scaled]) for n in range(2)], pad)
    whole = [halves[0] + halves[1] for halves in scaled]
    for _ in range(rounds):
        for vector, of in zip(vectors, whole, strict=True):
            # What is wanted of a vector v: diag(v) · matrix, which is linear in v, so its moments follow from these.
            own = Moments(
                of.inputs * (matrix @ matrix.T), (of.across * matrix).sum(1, keepdim=True), of.outputs
            )
            vector[:] = solved(own, torch.ones_like(own.across), WEAK)[:, 0]
        matrix = solved(_shared(vectors, whole), pad, WEAK)
    return matrix[None], vectors


def _shared(vectors: torch.Tensor, of: Sequence[Moments]) -> Moments:
    """Of all cuts together, each one's inputs scaled by its vector."""
    scaled = [
        Moments(v[:, None] * one.inputs * v, v[:, None] * one.across, one.outputs)
        for v, one in zip(vectors, of, strict=True)
    ]
    return reduce(add, scaled)
