"""Work of a step, for utilisation: operations against the GPU's peak, bytes against its memory's bandwidth."""

from __future__ import annotations

from dataclasses import dataclass

from .shapes import FP16, Shape
from .step import Step


@dataclass(frozen=True)
class Work:
    """What a step has to do, however long it takes."""

    flops: float
    """Operations in matrix products and attention; a multiplication and its addition are two."""
    nbytes: float
    """Bytes that must pass the GPU's memory: weights, cached keys and values, inputs and outputs of products."""


def work(shape: Shape, step: Step) -> Work:
    """Work of a step of a run of blocks of a model of this size; `Model.step_ms` times the same."""
    h, f = shape.hidden, shape.ffn
    rows, shown = step.rows, step.head_rows
    if not rows:
        return Work(0.0, 0.0)
    pairs = step.rows_each * step.decode_context + sum(n * (past + (n + 1) / 2) for n, past in step.prefills)
    cached = step.decode_context + sum(n + past for n, past in step.prefills)
    attn = 8 * h * h * rows + 4 * h * pairs
    ffn = 6 * h * f * rows
    attn_bytes = shape.attn_bytes + shape.kv_bytes_per_token_layer * (cached + rows) + FP16 * 6 * h * rows
    ffn_bytes = shape.ffn_bytes + FP16 * (2 * h + 3 * f) * rows
    flops = step.attn_layers * attn + step.ffn_layers * ffn
    nbytes = step.attn_layers * attn_bytes + step.ffn_layers * ffn_bytes
    if step.embed:
        nbytes += 2 * shape.hidden_bytes_per_token * rows
    if step.head:
        flops += 2 * h * shape.vocabulary * shown
        nbytes += shape.head_bytes + FP16 * (h + shape.vocabulary) * shown
    return Work(float(flops), float(nbytes))
