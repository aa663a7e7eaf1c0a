"""How long one iteration of a block takes, as plain lists that the event loop can index (spec §5.3).

The loop asks millions of times, one scalar each: a list is indexed several times faster than a function is called.
Attention of decoding rows is taken as linear within bins of 512 tokens of their total context, so one entry is an
intercept and a slope; the lists for a batch size are made when it first occurs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from .catalogue import Segment
from .config import Serving
from .cost.shapes import Shape
from .interfaces import CostModel, FloatArray

BIN = 9
"""log2 of the tokens in one bin of context."""

MOST_DRAFTED = 17
"""Tokens that may stand in a KV cache beyond the context while they are verified."""

Row = tuple[list[float], list[float]]


class Attention:
    """Seconds of one layer's attention, of one model family."""

    __slots__ = ("context", "prompt", "rows", "times")

    def __init__(self, costs: CostModel, shape: Shape, max_rows: int) -> None:
        self.times, self.context = costs.of(shape), shape.context
        self.rows: list[Row | None] = [None] * (max_rows + 1)
        """By decoding rows: intercepts and slopes by bin of their total context."""
        prompt = self.times.prefill_attention_ms
        self.prompt: list[float] = [0.0, *(prompt(n, 0) / 1e3 for n in range(1, self.context + 1))]
        """By prompt tokens."""

    def row(self, rows: int) -> Row:
        """Intercepts and slopes for a number of rows."""
        found = self.rows[rows]
        if found is None:
            bins = ceil(rows * (self.context + MOST_DRAFTED) / (1 << BIN)) + 1
            ends = np.arange(bins + 1, dtype=np.float64) * (1 << BIN)
            seconds = np.array([self.times.decode_attention_ms(rows, end) for end in ends.tolist()]) / 1e3
            slopes = np.diff(seconds) / (1 << BIN)
            found = ((seconds[:-1] - slopes * ends[:-1]).tolist(), slopes.tolist())
            self.rows[rows] = found
        return found


class Steps:
    """Seconds of an iteration of one segment."""

    __slots__ = ("attention", "delta_s", "head", "layers", "linear", "segment", "usual")

    def __init__(self, costs: CostModel, serving: Serving, segment: Segment, attention: Attention) -> None:
        self.segment, self.attention, self.layers = segment, attention, segment.attns
        times, tokens = costs.of(segment.shape), most_tokens(serving, attention.context)
        linear = segment.attns * _stretched(times.attn_ms, tokens)
        linear += segment.ffns * _stretched(times.ffn_ms, tokens)
        if segment.embed:
            linear += _stretched(times.embed_ms, tokens)
        overhead_ms = 0.0 if segment.whole else serving.hop_overhead_us / 1e3
        self.linear: list[float] = ((linear + overhead_ms) / 1e3).tolist()
        """By tokens that go through the matrices: decoding rows and prompts together."""
        head = _stretched(times.head_ms, tokens) if segment.head else np.zeros(tokens + 1)
        self.head: list[float] = (head / 1e3).tolist()
        """By rows that a next token is wanted for."""
        self.delta_s = serving.delta_us_per_row_group / 1e6 * segment.attns if segment.deltas else 0.0
        """For each app with a delta."""
        self.usual: list[float] = [0.0] + [-1.0] * serving.max_batch
        """`usual_s` by rows, as far as it was asked for."""

    def usual_s(self, rows: int, context: int) -> float:
        """Seconds for `rows` rows that look at `context` tokens each, which is the same number at every call."""
        found = self.usual[rows]
        if found < 0:
            found = self.usual[rows] = self.decode_s(rows, rows * context)
        return found

    def decode_s(self, rows: int, context: int, groups: int = 0) -> float:
        """Seconds for `rows` rows that look at `context` tokens together; `groups` of apps with deltas."""
        intercepts, slopes = self.attention.row(rows)
        place = context >> BIN
        seconds = self.linear[rows] + self.head[rows]
        seconds += self.layers * (intercepts[place] + slopes[place] * context)
        return seconds + self.delta_s * groups

    def prompt_s(self, tokens: int) -> float:
        """Seconds for one prompt alone."""
        return self.linear[tokens] + self.head[1] + self.layers * self.attention.prompt[tokens]

    @property
    def token_s(self) -> float:
        """Seconds that one more prompt token adds to an iteration of many."""
        return (self.linear[2048] - self.linear[1024]) / 1024


def most_tokens(serving: Serving, context: int) -> int:
    """New tokens in one iteration at most."""
    each = {"off": 1, "exact": 1 + serving.draft_tokens}.get(serving.speculation, 2)
    return max(2048, serving.prefill_tokens, context) + serving.max_batch * each


def _stretched(milliseconds: Sequence[float], tokens: int) -> FloatArray:
    """Times by rows, continued as a straight line up to `tokens`."""
    given = np.asarray(milliseconds, dtype=np.float64)
    known = len(given) - 1
    if known >= tokens:
        return given[: tokens + 1].copy()
    slope = (given[known] - given[known // 2]) / (known - known // 2)
    return np.concatenate([given, given[known] + slope * np.arange(1, tokens - known + 1)])
