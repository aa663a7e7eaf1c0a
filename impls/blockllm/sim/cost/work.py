"""Work of a step, for utilisation: operations against the GPU's peak, bytes against its memory's bandwidth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .shapes import FP16, Shape


@dataclass(frozen=True)
class Work:
    """What a step has to do, however long it takes."""

    flops: float
    """Operations in matrix products and attention; a multiplication and its addition are two."""
    nbytes: float
    """Bytes that must pass the GPU's memory: weights, cached keys and values, inputs and outputs of products."""


def work(
    shape: Shape,
    attn_layers: int,
    ffn_layers: int,
    embed: bool,
    head: bool,
    decode_batch: int,
    decode_context: float,
    prefills: Sequence[tuple[int, int]] = (),
    rows_each: int = 1,
) -> Work:
    """Work of the step that `Model.step_ms` times; its parameters are explained there."""
    h, f = shape.hidden, shape.ffn
    new = sum(tokens for tokens, _ in prefills)
    rows = decode_batch * rows_each + new
    if not rows:
        return Work(0.0, 0.0)
    shown = decode_batch * rows_each + len(prefills)
    pairs = rows_each * decode_context + sum(n * (past + (n + 1) / 2) for n, past in prefills)
    cached = decode_context + sum(n + past for n, past in prefills)
    attn = 8 * h * h * rows + 4 * h * pairs
    ffn = 6 * h * f * rows
    attn_bytes = shape.attn_bytes + shape.kv_bytes_per_token_layer * (cached + rows) + FP16 * 6 * h * rows
    ffn_bytes = shape.ffn_bytes + FP16 * (2 * h + 3 * f) * rows
    flops, nbytes = attn_layers * attn + ffn_layers * ffn, attn_layers * attn_bytes + ffn_layers * ffn_bytes
    if embed:
        nbytes += 2 * shape.hidden_bytes_per_token * rows
    if head:
        flops += 2 * h * shape.vocabulary * shown
        nbytes += shape.head_bytes + FP16 * (h + shape.vocabulary) * shown
    return Work(float(flops), float(nbytes))
