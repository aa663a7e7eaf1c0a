"""Times of a whole model as straight lines: for tests that want to compute by hand what a simulation must give.

Fitted to the vllm table of the 7B model: within 7 % at a context of 512 and for prompts of 512 tokens or more, 14 % at
a context of 1,280. A 13B model takes 1.93 times as long, the part that reads cached tokens 1.5625 times.
"""

from __future__ import annotations

from .shapes import LLAMA_7B, Shape

STEP_MS, PER_CONTEXT_MS = 11.8, 3.4e-4
PROMPT_MS, PER_TOKEN_MS, LEAST_MS = 1.5, 0.059, 12.0
LARGER = 1.93
"""13B over 7B, by their bytes."""


def decode_ms(shape: Shape, total_context: float) -> float:
    """A decoding step of the whole model; `total_context` tokens of all sequences together."""
    size, cached = _factors(shape)
    return STEP_MS * size + PER_CONTEXT_MS * cached * total_context


def prefill_ms(shape: Shape, tokens: float) -> float:
    """A prompt of so many tokens through the whole model."""
    size, _ = _factors(shape)
    return size * max(LEAST_MS, PROMPT_MS + PER_TOKEN_MS * tokens)


def _factors(shape: Shape) -> tuple[float, float]:
    return (
        (1.0, 1.0) if shape == LLAMA_7B else (LARGER, shape.kv_bytes_per_token / LLAMA_7B.kv_bytes_per_token)
    )
