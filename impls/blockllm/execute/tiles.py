"""Tile mode: matrix products in which a row's result does not depend on the rows it is computed with.

Serving batches requests as they come, and an ordinary BLAS lets the batch change the last bits: `F.linear` on 1, 2 or 3
rows differs from the same rows among 16. Here rows always come in multiples of 16, so that blocks that mix tenants can
be proved, bit for bit, to compute what each tenant's own model computes. (Specification §5.1, point 3.)

One call over all tiles gives the bits of one call a tile in half to three quarters of the time, so that is done. It
was tried on a 2-core x86-64 (AVX2, torch 2.13 with MKL, one thread) with all shapes of SmolLM2-135M, its LoRA and
adapter matrices, and those of the models that tests use, up to 4,096 rows (512 for the vocabulary). That is a property
of one build of one BLAS on one kind of processor, which no reasoning replaces: `tests/blockllm/test_execute_tiles.py`
is the proof.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from remeasure.impls.common.llama import ALIGNMENT, Linear

Mode = Literal["tile", "fast"]
"""tile: bit-identical under any batching; fast: as the BLAS likes it, equal within a tolerance."""

TILE = 16
"""Rows of a tile."""
MOST_ROWS = 1024
"""More rows are multiplied in several calls, so that every call is of a size that was tested."""


def padded(x: torch.Tensor, mode: Mode = "tile") -> torch.Tensor:
    """x [rows, width] with rows of zeros behind it up to a multiple of 16; x itself where none are missing, or fast.

    A block that is padded once computes everything in whole tiles, also what is no product: an activation function
    may treat the last few numbers of a tensor with other code than the rest.
    """
    over = -x.shape[0] % TILE
    return F.pad(x, (0, 0, 0, over)) if over and mode == "tile" else x


def tiled_linear(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """x [rows, inputs] times the transpose of a matrix [outputs, inputs] -> [rows, outputs], in new memory."""
    rows = x.shape[0]
    if rows > MOST_ROWS:
        return torch.cat([tiled_linear(part, matrix) for part in torch.split(x, MOST_ROWS)])
    if rows % TILE:
        return F.linear(padded(x), matrix)[:rows]
    if (
        x.data_ptr() % ALIGNMENT
    ):  # a slice of a batch; narrow matrices take another path through the BLAS for it
        x = x.clone()
    return F.linear(x, matrix)


def linear(mode: Mode) -> Linear:
    """The matrix product of a mode."""
    return tiled_linear if mode == "tile" else F.linear
