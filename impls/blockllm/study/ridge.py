"""Least squares with a pull, from its moments: what probes, stitches and surrogates are fitted by.

There are hardly ever enough tokens for a certain answer in every direction, so it is pulled towards one that is
known to be sensible. How strongly is not a matter of taste: each half of the documents judges what the other one says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

PULLS = (1e-4, 1e-2, 0.1, 1.0)
"""Strengths that are tried, as shares of each input's own squares."""
LEAST = 1e-9
"""Of an input that is hardly ever used, its squares as a share of the average input's."""


@dataclass(frozen=True, eq=False)
class Moments:
    """All that least squares needs of inputs A [tokens, inputs] and wanted outputs B [tokens, outputs]; float64."""

    inputs: torch.Tensor
    """AᵀA."""
    across: torch.Tensor
    """AᵀB."""
    outputs: float
    """Squared norm of B."""

    @staticmethod
    def of(a: torch.Tensor, b: torch.Tensor) -> Moments:
        a, b = a.double(), b.double()
        return Moments(a.T @ a, a.T @ b, float(b.square().sum()))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.inputs + other.inputs, self.across + other.across, self.outputs + other.outputs)

    def times(self, share: float) -> Moments:
        return Moments(self.inputs * share, self.across * share, self.outputs * share)

    def missed(self, answer: torch.Tensor) -> float:
        """‖A·X − B‖² for an answer X [inputs, outputs]."""
        return max(0.0, float((answer * (self.inputs @ answer - 2 * self.across)).sum()) + self.outputs)


Halves = Sequence[Moments]
"""Of two halves of a text that have no document in common."""


def solved(of: Moments, towards: torch.Tensor, pull: float) -> torch.Tensor:
    """X with the least ‖A·X − B‖² + pull · Σ ‖aᵢ‖² ‖Xᵢ − towardsᵢ‖², where aᵢ is column i of A.

    So the pull's strength does not depend on the inputs' scales, which in language models differ by thousands.
    """
    squares = of.inputs.diagonal()
    weights = pull * squares.clamp(min=LEAST * float(squares.mean()))
    towards = towards.double()
    found: torch.Tensor = torch.linalg.solve(
        of.inputs + weights.diag(), of.across + weights[:, None] * towards
    )
    return found


def strength(halves: Halves, towards: torch.Tensor) -> float:
    """Of `PULLS`, the one with which each half says best what the other half is."""

    def missed(pull: float) -> float:
        one, other = halves
        return other.missed(solved(one, towards, pull)) + one.missed(solved(other, towards, pull))

    return min(PULLS, key=missed)


def fitted(halves: Halves, towards: torch.Tensor) -> torch.Tensor:
    """The answer X [inputs, outputs] of both halves together, float64."""
    return solved(halves[0] + halves[1], towards, strength(halves, towards))
