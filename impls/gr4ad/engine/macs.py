"""Multiplications of a request, counted while it runs: heads, fusion and attention included (§2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..decoder.block import CrossAttention, FewPositions, SelfAttention


def counted(model: nn.Module, run: Callable[[], object]) -> int:
    """Multiply-accumulates of what `run` does with `model`, by hooks on its maps and attentions."""
    total = 0

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        total += _of(module, inputs, output)

    handles = [
        module.register_forward_hook(hook)
        for module in model.modules()
        if isinstance(module, nn.Linear | CrossAttention | SelfAttention | FewPositions)
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return total


def _of(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> int:
    if isinstance(module, nn.Linear):
        return int(output.numel() * module.in_features)
    if isinstance(module, CrossAttention):
        h, x = inputs
        return int(2 * h.numel() * x.v.shape[2])
    if isinstance(module, SelfAttention):  # all positions; half of them are masked, but multiplied
        return int(2 * inputs[0].numel() * inputs[0].shape[1])
    _, k, _ = inputs
    return int(2 * k.numel())
