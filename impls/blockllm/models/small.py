"""Small models that read bytes, trained here: for tests, and for what needs two widths of one kind.

They are shaped like the real one (RMSNorm, SwiGLU, rotary positions, tied embedding), only smaller.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from remeasure.impls.common.llama import LlamaConfig, random_weights

from ..chain import Model
from .corpus import BYTES, digest
from .foundation import rounded
from .recipes import Recipe, fingerprint
from .variants import variant

WIDTH_128 = LlamaConfig(4, 128, 4, 4, 344, BYTES, rope_theta=10_000.0, norm_eps=1e-5, tied=True)
"""0.82 million parameters in four layers."""
WIDTH_192 = LlamaConfig(4, 192, 6, 6, 516, BYTES, rope_theta=10_000.0, norm_eps=1e-5, tied=True)
"""As deep, with heads as wide, so that a stitch can lead from one to the other."""
WIDTH_32 = LlamaConfig(2, 32, 2, 1, 88, BYTES, rope_theta=10_000.0, norm_eps=1e-5, tied=True)
"""For tests: trained in a second or two."""
WIDTH_48 = LlamaConfig(2, 48, 3, 1, 132, BYTES, rope_theta=10_000.0, norm_eps=1e-5, tied=True)
"""For tests of stitches."""


def untrained(config: LlamaConfig, seed: int = 0) -> Model:
    """Random weights as a model, fp16."""
    return rounded(f"random-{config.width}", config, random_weights(config, seed))


def small(
    text: str,
    config: LlamaConfig = WIDTH_128,
    steps: int = 400,
    seed: int = 0,
    *,
    root: Path | None = None,
    threads: int | None = None,
) -> Model:
    """A foundation that has learned `text`, from random weights; from the cache where it was made before.

    Arguments as in `variants.variant`; raises what that raises.
    """
    start = untrained(config, seed)
    recipe = Recipe(
        "full",
        fingerprint(start),
        digest(text),
        steps=steps,
        learning_rate=3e-3,
        batch=8,
        length=64,
        seed=seed,
    )
    made = variant(recipe, start, text, f"bytes-{config.width}", root=root, threads=threads)
    return replace(made, parent="")
