"""Times of the simulated models under one serving stack, in ms: what the simulator asks of a GPU.

Links, loading and memory are the cluster's: see `network.py` and `gpu.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from remeasure.errors import UserError

from .model import Model
from .shapes import SHAPES, Shape
from .tables import Stack, read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Half = Literal["attn", "ffn"]


class Costs:
    """Every model's times; `band` multiplies all of them (0.8 and 1.2: ±20 %)."""

    def __init__(self, stack: Stack = "vllm", band: float = 1.0) -> None:
        if not band > 0:
            raise UserError(
                f"the cost band must be above 0, not {band}; 1 is the table, 0.8 and 1.2 its margins."
            )
        self.stack, self.band = stack, band
        points = read(stack)
        self._models = {shape: Model(shape, points, band) for shape in SHAPES}

    def of(self, shape: Shape) -> Model:
        """The times of one model, for a hot loop; UserError for a model that is not in the tables."""
        if shape not in self._models:
            known = ", ".join(known.name for known in self._models)
            raise UserError(
                f"the cost tables have no model {shape.name} of that size; choose one of {known}."
            )
        return self._models[shape]

    def half_ms(self, shape: Shape, half: Half) -> NDArray[np.float64]:
        """By rows, float64 [ROWS + 1]: half a layer, without attention over cached tokens."""
        return self.of(shape).by_rows[half]

    def embed_ms(self, shape: Shape) -> NDArray[np.float64]:
        """By rows, float64 [ROWS + 1]."""
        return self.of(shape).by_rows["embed"]

    def head_ms(self, shape: Shape) -> NDArray[np.float64]:
        """By rows, float64 [ROWS + 1]; only rows whose next token is wanted go through the head."""
        return self.of(shape).by_rows["head"]

    def decode_attention_ms(self, shape: Shape, batch: int, total_context: float) -> float:
        """See Model.decode_attention_ms."""
        return self.of(shape).decode_attention_ms(batch, total_context)

    def prefill_attention_ms(self, shape: Shape, new_tokens: int, past_tokens: int) -> float:
        """See Model.prefill_attention_ms."""
        return self.of(shape).prefill_attention_ms(new_tokens, past_tokens)

    def step_ms(
        self,
        shape: Shape,
        attn_layers: int,
        ffn_layers: int,
        embed: bool,
        head: bool,
        decode_batch: int,
        decode_context: float,
        prefills: Sequence[tuple[int, int]] = (),
        rows_each: int = 1,
    ) -> float:
        """See Model.step_ms."""
        return self.of(shape).step_ms(
            attn_layers, ffn_layers, embed, head, decode_batch, decode_context, prefills, rows_each
        )
