"""How alike two links are by their parameters alone: the paper is believed to compare blocks by it, here it only warns.

Weight matrices only. The gains of norms are all near 1 and would make small blocks look alike; biases, adapters and
prefixes have no counterpart in the other block, so this test is blind to them. (Specification §1.4, `param_cos`.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from remeasure.impls.common.llama import Weights

from ..chain import Link


@dataclass(frozen=True)
class Likeness:
    """Of a substitute's matrices to the original's, laid out as one vector each."""

    cosine: float
    """Of the two vectors; NaN where the shapes differ."""
    distance: float
    """Norm of their difference over the norm of the original's; NaN where the shapes differ."""

    @property
    def blind(self) -> bool:
        """Whether the matrices are the same, so that any difference is where this test does not look."""
        return self.distance == 0


def matrices(link: Link) -> Weights:
    """The weight matrices that a link computes with, by name: LoRA's product is part of the matrix beside it."""
    found = {name: tensor for name, tensor in link.block.tensors.items() if tensor.dim() == 2}
    if link.delta and link.delta.kind == "delta_lora":
        tensors = link.delta.tensors
        for name in found:
            if f"{name}.inner" in tensors:
                found[name] = found[name] + tensors[f"{name}.outer"] @ tensors[f"{name}.inner"]
    return found


def likeness(original: Link, substitute: Link) -> Likeness:
    """Of the substitute to the original."""
    ours, others = matrices(original), matrices(substitute)
    if {name: t.shape for name, t in ours.items()} != {name: t.shape for name, t in others.items()}:
        return Likeness(math.nan, math.nan)
    dot = own = other = apart = 0.0
    for name, tensor in ours.items():
        # In float64: at a cosine of 0.9999 the fifth digit matters.
        a, b = tensor.flatten().double(), others[name].flatten().double()
        dot, own, other = dot + _dot(a, b), own + _dot(a, a), other + _dot(b, b)
        apart += _dot(a - b, a - b)
    return Likeness(max(-1.0, min(1.0, dot / math.sqrt(own * other))), math.sqrt(apart / own))


def _dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.dot(a, b))
