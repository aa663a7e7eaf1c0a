"""What a model of GR4AD is made of. Every field changes results, and so belongs to a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from remeasure.errors import UserError

Fuse = Literal["gated", "add", "concat"]
Auxiliary = Literal["none", "through", "direct"]


@dataclass(frozen=True)
class Shape:
    """A decoder (§2). The paper's has L = 9 and K = 6; its d, heads and bins are not published."""

    codes: tuple[int, ...] = (256, 32, 32)
    """V_1 … V_T, codes of each level of the semantic id."""
    bins: int = 16
    """Bins of the eCPM token that is decoded after the id; 0: no such step."""
    d: int = 64
    layers: int = 3
    """L."""
    parallel: int = 2
    """K, layers that run before the previous token is known (§2.2); 0: plain AR."""
    heads: int = 4
    fuse: Fuse = "gated"
    """How the previous token enters above layer K: `gated` is the paper's, `add` W_f s, `concat` W_f [m; s]."""
    auxiliary: Auxiliary = "through"
    """What the auxiliary loss reads (§2.3): the token's head after the upper layers without fusion, or on m^(K)."""

    dropout: float = 0.0
    """Share of numbers that are set to 0 in training: of X, and of what each part of a layer adds."""

    def __post_init__(self) -> None:
        if self.d % self.heads:
            raise UserError(
                f"{self.heads} heads do not divide d = {self.d}; choose a number of heads that does."
            )
        if not 0 <= self.parallel < self.layers:
            raise UserError(
                f"K = {self.parallel} leaves no layer for the autoregressive stage; "
                f"choose 1 to {self.layers - 1} of {self.layers} (0 is plain AR)."
            )

    @property
    def positions(self) -> int:
        """Decoded tokens: the levels, and the eCPM bin where there is one."""
        return len(self.codes) + bool(self.bins)

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Tokens that can stand at each position."""
        return (*self.codes, self.bins) if self.bins else self.codes


@dataclass(frozen=True)
class Inputs:
    """Widths of what a context is made from."""

    content: int
    """d of the items' content vectors."""
    accounts: int
    conversions: int
    user: int = 1
    """Numbers known of the user: the value so far."""
