"""What parameter-efficient fine-tuning adds to a shared block: low rank, biases, small networks, or a prefix.

A delta changes the outputs of a block's projections, or, for a prefix, what its attention reads; the block's own
tensors stay as they are, so one copy of them serves every tenant. All of it follows from the delta's tensors alone:
their names say which projection they belong to (`q.inner` and `q.outer` are the two matrices beside `q`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import torch
import torch.nn.functional as F

from remeasure.impls.common.llama import Deltas, Linear, LlamaConfig, TensorSpec, Weights

from ..groups import Kind, Place, places, tensors_at

LOW_RANK = ("q", "v")
"""Projections that LoRA adds to."""
ADAPTED = ("o", "down")
"""Projections that a Houlsby adapter follows: the last one of each half of a layer."""
KEYS, VALUES = "keys", "values"
"""A prefix's tensors, [kv_heads, tokens, head_dim] each: how a KV cache holds tokens that came before."""

Act = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Inputs and outputs of a projection, [rows, width] each -> what is added to its outputs, [rows, width] or [width]."""


def specs(config: LlamaConfig, kind: Kind, size: int) -> dict[Place, list[TensorSpec]]:
    """The tensors of a delta at every place where it has any, in the order of `groups.places`.

    size: the rank of LoRA, the inner width of an adapter, the tokens of a prefix; BitFit has no use for it. Raises
    ValueError for a kind that is no delta.
    """
    found = {
        place: _specs_at(config, place, kind, size)
        for place in places(config)
        if place.kind in ("attn", "ffn")
    }
    return {place: tensors for place, tensors in found.items() if tensors}


def _specs_at(config: LlamaConfig, place: Place, kind: Kind, size: int) -> list[TensorSpec]:
    matrices = {spec.name: spec.shape for spec in tensors_at(config, place) if len(spec.shape) == 2}
    if kind == "delta_lora":
        found = [_pair(name, size, *matrices[name]) for name in LOW_RANK if name in matrices]
        return [spec for pair in found for spec in pair]
    if kind == "delta_adapter":
        width = config.width
        found = [_pair(name, size, width, width) for name in ADAPTED if name in matrices]
        return [spec for pair in found for spec in pair]
    if kind == "delta_bitfit":
        return [TensorSpec(f"{name}.bias", (shape[0],)) for name, shape in matrices.items()]
    if kind == "delta_prefix":
        shape = (config.kv_heads, size, config.head_dim)
        return [TensorSpec(KEYS, shape), TensorSpec(VALUES, shape)] if place.kind == "attn" else []
    raise ValueError(f"{kind} is no kind of delta")


def _pair(name: str, size: int, outputs: int, inputs: int) -> list[TensorSpec]:
    """Two matrices with a narrow waist between them."""
    return [TensorSpec(f"{name}.inner", (size, inputs)), TensorSpec(f"{name}.outer", (outputs, size))]


def parameters(config: LlamaConfig, kind: Kind, size: int) -> int:
    """Numbers in a whole delta; in fp16 it takes twice as many bytes."""
    return sum(prod(spec.shape) for tensors in specs(config, kind, size).values() for spec in tensors)


def initial(config: LlamaConfig, kind: Kind, size: int, seed: int) -> dict[Place, Weights]:
    """A delta that changes nothing yet, fp32: inner matrices are drawn from the seed, everything else is zero.

    A prefix is never nothing; it is made of tokens (`training.prefix_of`), so it is refused here with a ValueError.
    """
    if kind == "delta_prefix":
        raise ValueError("a prefix begins with the keys and values of tokens")
    rng = np.random.default_rng(seed)

    def first(spec: TensorSpec) -> torch.Tensor:
        if not spec.name.endswith(".inner"):
            return torch.zeros(spec.shape)
        drawn = rng.standard_normal(spec.shape, dtype=np.float32)
        return torch.from_numpy(drawn).div_(spec.shape[1] ** 0.5)

    return {
        place: {spec.name: first(spec) for spec in tensors}
        for place, tensors in specs(config, kind, size).items()
    }


def acts(kind: Kind, tensors: Weights, linear: Linear = F.linear) -> Deltas:
    """What a delta's tensors at one place, fp32, add to the outputs of the projections there.

    linear: multiplies the delta's matrices, so that a caller can fix the shapes of that too. A prefix adds nothing to
    projections: see `prefix`. Raises ValueError for a kind that is no delta.
    """
    if kind == "delta_prefix":
        return {}
    if kind == "delta_bitfit":
        return {name.removesuffix(".bias"): _bias(tensor) for name, tensor in tensors.items()}
    pairs = {name.removesuffix(".inner") for name in tensors if name.endswith(".inner")}
    make = {"delta_lora": _low_rank, "delta_adapter": _adapter}.get(kind)
    if make is None:
        raise ValueError(f"{kind} is no kind of delta")
    return {name: make(tensors[f"{name}.inner"], tensors[f"{name}.outer"], linear) for name in sorted(pairs)}


def prefix(kind: Kind, tensors: Weights) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Keys and values [kv_heads, tokens, head_dim] that attention reads before a sequence's own; None if no prefix.

    They are stored as they are read, nothing rotates them, and the sequence's own positions begin at 0 all the same.
    """
    return (tensors[KEYS], tensors[VALUES]) if kind == "delta_prefix" else None


def _low_rank(inner: torch.Tensor, outer: torch.Tensor, linear: Linear) -> Act:
    """LoRA, beside a projection; its usual factor alpha / rank is in the outer matrix."""
    return lambda inputs, outputs: linear(linear(inputs, inner), outer)


def _adapter(inner: torch.Tensor, outer: torch.Tensor, linear: Linear) -> Act:
    """Houlsby's two layers, behind a projection and with a way around them; no biases."""
    return lambda inputs, outputs: linear(F.relu(linear(outputs, inner)), outer)


def _bias(bias: torch.Tensor) -> Act:
    """BitFit: Llama's projections have no biases, so these begin at zero."""
    return lambda inputs, outputs: bias
