"""What the simulator asks of a cost model and of a trace (spec §5.3, §5.4), as types.

`sim.cost.Costs` and `sim.workloads.Trace` are used; any other objects of these shapes will do, which is how tests get
closed forms out of linear costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .cost.shapes import Shape

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Times(Protocol):
    """Milliseconds of one model's parts on one GPU; sequences are indexed by rows, from 0."""

    @property
    def attn_ms(self) -> Sequence[float]:
        """A layer's attention half without attention itself."""

    @property
    def ffn_ms(self) -> Sequence[float]: ...
    @property
    def embed_ms(self) -> Sequence[float]: ...
    @property
    def head_ms(self) -> Sequence[float]: ...
    def decode_attention_ms(self, batch: int, total_context: float) -> float:
        """A layer's attention of `batch` rows that look at `total_context` tokens together."""

    def prefill_attention_ms(self, new_tokens: int, past_tokens: int) -> float:
        """A layer's attention of a prompt's `new_tokens` after `past_tokens`."""


class CostModel(Protocol):
    """Times of every model."""

    def of(self, shape: Shape, /) -> Times: ...


class Requests(Protocol):
    """A trace: when which app is asked, with how many tokens, and how many it answers with."""

    @property
    def at_s(self) -> FloatArray: ...
    @property
    def app(self) -> IntArray: ...
    @property
    def prompt(self) -> IntArray: ...
    @property
    def output(self) -> IntArray: ...
    @property
    def apps(self) -> int: ...
    @property
    def shares(self) -> FloatArray:
        """Of requests, by app, as the workload is meant."""

    @property
    def minutes(self) -> float: ...
