"""What is known of a client in one window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

Family = Literal["Gamma", "Weibull"]


@dataclass(frozen=True, eq=False)
class Pmf:
    """How often a number of tokens occurs."""

    tokens: np.ndarray
    """int64 [k], ascending, at least 0."""
    probability: np.ndarray
    """float64 [k], at least 0, sum 1."""


@dataclass(frozen=True, eq=False)
class Client:
    """How one client sends requests in the window."""

    id: int
    rate_rps: float
    """Requests a second, above 0."""
    cv: float
    """Coefficient of variation of the gaps, as published."""
    family: Family
    """Law of the gaps."""
    shape: float
    """Its first parameter, above 0."""
    scale_s: float
    """Its second one, above 0. The law's mean need not be 1 / rate_rps."""
    prompts: Pmf | None
    """Tokens of prompts in the 6 h around the window; None where nothing is known."""
    outputs: Pmf | None
    """Tokens of answers, known exactly where those of prompts are."""
