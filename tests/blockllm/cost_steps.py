"""Steps of a whole model, which the tests of costs ask for most."""

from __future__ import annotations

from collections.abc import Sequence

from remeasure.impls.blockllm.sim.cost.step import Step


def whole(
    batch: int = 0,
    context: int = 0,
    prefills: Sequence[tuple[int, int]] = (),
    *,
    layers: int = 32,
    rows_each: int = 1,
) -> Step:
    """All layers with embedding and head; `batch` sequences decode with `context` tokens each."""
    return Step(
        attn_layers=layers,
        ffn_layers=layers,
        embed=True,
        head=True,
        decode_batch=batch,
        decode_context=batch * context,
        prefills=tuple(prefills),
        rows_each=rows_each,
    )
