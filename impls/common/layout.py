"""How the tensors of a part lie in bytes: one after the other as little-endian fp32, each at a multiple of 64 bytes.

So a part can be written, encrypted and read back as one run of bytes and computed from in place, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch

from .llama import ALIGNMENT, TensorSpec, Weights


def offsets(specs: Sequence[TensorSpec]) -> tuple[dict[str, int], int]:
    """Byte offset of each tensor by name, and the bytes of the whole part, a multiple of 64."""
    places, total = {}, 0
    for spec in specs:
        places[spec.name] = total
        total += -(-4 * prod(spec.shape) // ALIGNMENT) * ALIGNMENT
    return places, total


def aligned(nbytes: int) -> memoryview:
    """Writable memory of its own that begins at a multiple of 64: torch's allocator sees to that. Not zeroed."""
    return torch.empty(nbytes, dtype=torch.uint8).numpy().data


def pack(specs: Sequence[TensorSpec], weights: Weights) -> bytearray:
    """The bytes of a part, gaps zeroed. Raises ValueError for a tensor that is not what its spec says."""
    places, total = offsets(specs)
    buffer = bytearray(total)
    for spec in specs:
        tensor = weights[spec.name]
        if tensor.shape != spec.shape or tensor.dtype != torch.float32:
            raise ValueError(
                f"{spec.name} is {tensor.dtype} {tuple(tensor.shape)}, its part says fp32 {spec.shape}"
            )
        raw = tensor.contiguous().numpy().reshape(-1).view("u1")
        buffer[places[spec.name] : places[spec.name] + raw.nbytes] = raw.data
    return buffer


def views(specs: Sequence[TensorSpec], buffer: memoryview) -> Weights:
    """The tensors of a packed part, in place: whoever writes to the buffer changes them.

    The buffer must stay alive and mapped as long as they are used. Raises ValueError for a buffer that is too small,
    or that does not begin at a multiple of 64 bytes: the same weights could then give other logits in the last bit.
    """
    places, total = offsets(specs)
    if buffer.nbytes < total:
        raise ValueError(f"a part of {total} bytes was given a buffer of {buffer.nbytes}")
    found = {
        spec.name: torch.frombuffer(
            buffer, dtype=torch.float32, count=prod(spec.shape), offset=places[spec.name]
        ).view(spec.shape)
        for spec in specs
    }
    if any(tensor.data_ptr() % ALIGNMENT for tensor in found.values()):
        raise ValueError(f"the part's buffer does not begin at a multiple of {ALIGNMENT} bytes")
    return found
