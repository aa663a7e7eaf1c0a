"""What a case gets of Vidur's tables: times of a layer's operators and of sends. Importing this loads no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPERATORS = {
    "norm": "input_layernorm",
    "qkv": "attn_pre_proj",
    "rope": "attn_rope",
    "o": "attn_post_proj",
    "gate_up": "mlp_up_proj",
    "act": "mlp_act",
    "down": "mlp_down_proj",
    "add": "add",
}
"""Our word → the table's operator."""


@dataclass(frozen=True, eq=False)
class Sends:
    """Times of sends between two GPUs: nbytes int64 [n] ascending, ms float64 [n]."""

    box: str
    in_node: bool
    """Both GPUs are in one server."""
    nbytes: NDArray[np.int64]
    ms: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tables:
    """What a case gets: tokens int64 [n] ascending, each operator's ms float64 [n], and the sends."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    tokens: NDArray[np.int64]
    ms: dict[str, NDArray[np.float64]]
    sends: tuple[Sends, ...]
