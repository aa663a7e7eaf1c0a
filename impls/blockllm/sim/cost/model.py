"""Time of a step of one model on one A100, for any part of it.

Times are those of `tables.csv`, between its points straight lines. Against the estimator that the table was made
with, over 3 stacks and 2 models: halves of a layer differ by at most 0.7 %, head and a prompt's attention by 1.0 %,
decoding's attention by 0.4 to 0.8 % in the mean and 15 % at worst, where the estimator bends between two measured
batch sizes or contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .gpu import A100
from .shapes import Shape
from .step import Step
from .tables import Points

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALVES: dict[str, tuple[str, ...]] = {"attn": ("norm", "qkv", "o"), "ffn": ("norm", "gate_up", "act", "down")}
"""Operators of half a layer that see rows only; attention itself sees the cached tokens too and comes apart."""
GEMMS = ("qkv", "o", "gate_up", "down")
ROWS = 8192
"""Most rows of a step, and most tokens of a sequence."""
BATCH = 512
"""Largest tabulated batch of decoding; beyond it time grows with the batch."""
SPACING = 32
"""Tokens between two columns of the grid that decoding is looked up in; a shorter context costs what this one does."""


class Model:
    """Times of one model; its functions of two numbers take about a microsecond."""

    def __init__(self, shape: Shape, points: dict[tuple[str, str], Points], band: float) -> None:
        self.shape = shape
        known = {part for name, part in points if name == shape.name}
        self.by_rows = {
            part: _by_rows(points[shape.name, part], band)
            for part in sorted(known - {"decode", "prefill_fixed"})
        }
        """Part → ms by rows, float64 [ROWS + 1], read-only; no rows, no time."""
        half = {name: _sum([self.by_rows[part] for part in parts]) for name, parts in HALVES.items()}
        self.by_rows |= half
        # Lists: reading one number of an array costs three times as much.
        self.attn_ms: list[float] = half["attn"].tolist()
        """ms of a layer's attention half without attention itself, by rows."""
        self.ffn_ms: list[float] = half["ffn"].tolist()
        """ms of a layer's feed-forward half, by rows."""
        self.embed_ms: list[float] = self.by_rows["embed"].tolist()
        self.head_ms: list[float] = self.by_rows["head"].tolist()
        self._prefill: list[float] = self.by_rows["prefill"].tolist()
        self._fixed = band * points[shape.name, "prefill_fixed"][0, 0]
        reading = shape.kv_bytes_per_token_layer / (A100.peak_bytes_per_s * A100.reachable)
        self._read = band * 1000 * reading
        self._decode = _grid(points[shape.name, "decode"], band)
        self._last = len(self._decode[0]) - 2

    def decode_attention_ms(self, batch: int, total_context: float) -> float:
        """Attention of a layer for one new token in each of `batch` sequences with `total_context` tokens together.

        Each is taken to have the mean context, with which the tables were measured; new tokens count as context. A few
        drafted tokens of a sequence that are verified at once cost what one does, for they share one read of its cache.
        """
        if batch > BATCH:
            return batch / BATCH * self.decode_attention_ms(BATCH, total_context * BATCH / batch)
        if not batch:
            return 0.0
        times = self._decode[batch]
        place = total_context / (batch * SPACING) - 1
        if place <= 0:
            return times[0]
        at = min(int(place), self._last)  # beyond the last column the last straight line goes on
        low = times[at]
        return low + (times[at + 1] - low) * (place - at)

    def prefill_attention_ms(self, new_tokens: int, past_tokens: int) -> float:
        """Attention of a layer for `new_tokens` of one sequence over `past_tokens` cached ones and themselves.

        The estimator takes the kernel's time for all tokens times their share of its work. That forgets that even one
        new token reads the whole cache, so at least this reading is charged. Raises ValueError beyond ROWS tokens.
        """
        total = new_tokens + past_tokens
        if not 0 <= new_tokens <= total <= ROWS:
            raise ValueError(
                f"no time for {new_tokens} tokens after {past_tokens}: a sequence has 0 to {ROWS}"
            )
        if not new_tokens:
            return 0.0
        old = past_tokens / total
        grown = (self._prefill[total] - self._fixed) * (1 - old * old)
        least = total * self._read
        return self._fixed + (grown if grown > least else least)

    def step_ms(self, step: Step) -> float:
        """A step of a run of blocks of this model; ValueError for more than ROWS rows."""
        rows = step.rows
        if rows > ROWS:
            raise ValueError(f"no time for a step of {rows} rows: a step has at most {ROWS}, split the batch")
        ms = step.attn_layers * self.attn_ms[rows] + step.ffn_layers * self.ffn_ms[rows]
        if step.attn_layers:
            attention = self.decode_attention_ms(step.decode_batch, step.decode_context)
            for new, past in step.prefills:
                attention += self.prefill_attention_ms(new, past)
            ms += step.attn_layers * attention
        if step.embed:
            ms += self.embed_ms[rows]
        if step.head:
            ms += self.head_ms[step.head_rows]
        return ms


def _by_rows(points: Points, band: float) -> NDArray[np.float64]:
    knots = sorted(points)
    rows = [row for row, _ in knots]
    ms = band * np.interp(np.arange(ROWS + 1), rows, [points[knot] for knot in knots])
    ms[0] = 0.0
    ms.flags.writeable = False
    return ms


def _sum(times: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum(times, axis=0)
    total.flags.writeable = False
    return total


def _grid(points: Points, band: float) -> list[list[float]]:
    """ms of decoding's attention by batch (0 to BATCH) and context of each (SPACING, 2 SPACING, …)."""
    batches = sorted({batch for batch, _ in points})
    contexts = sorted({context for _, context in points})
    columns = np.arange(SPACING, contexts[-1] + 1, SPACING)
    table = [
        np.interp(columns, contexts, [points[batch, context] for context in contexts]) for batch in batches
    ]
    every = np.arange(BATCH + 1)
    grid = np.column_stack([np.interp(every, batches, column) for column in np.array(table).T])
    rows: list[list[float]] = (band * grid).tolist()
    return rows
