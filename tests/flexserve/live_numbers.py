"""Whether a live server's numbers are those of the plain model, and what it leaves in its memory."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from flexserve.live_pages import MICRO, NEW, PARTS, PROMPT

from remeasure.impls.common import llama
from remeasure.impls.flexserve.real.models import model
from remeasure.impls.flexserve.real.server import HostServer
from remeasure.impls.flexserve.systems import FLEXSERVE, cold

FLEX = cold(FLEXSERVE)
PROTECTIONS = ["secret", "none"] if MICRO.protection == "secret" else ["none"]


@cache
def weights() -> list[llama.Weights]:
    return model(MICRO).weights()


def same_as_plain(server: HostServer, prompt=tuple(PROMPT)) -> bool:
    """Whether prefill and decoding give the oracle's logits bit for bit, and its tokens."""
    tokens, logits = llama.greedy(llama.MICRO, weights(), prompt, 1 + NEW)
    first = server.prefill(prompt)
    rest = server.decode(NEW)
    return (
        torch.equal(torch.stack([first.logits, *rest.logits]), logits)
        and [first.token, *rest.tokens] == tokens
    )


def part_bytes(server: HostServer, part: int) -> np.ndarray:
    view = server._memory.view(part, 0, server._memory.nbytes[part])
    return np.frombuffer(view, np.uint8)


def leaves_nothing(server: HostServer, kept: range = range(0)) -> bool:
    """Whether the memory of every part outside `kept`, and of the KV cache, holds only zeros."""
    lost = [part for part in range(PARTS) if part not in kept]
    return not any(part_bytes(server, part).any() for part in lost) and not any(server._kv.region.view())


def flip(root: Path, part: int) -> None:
    """Change one bit of a part's ciphertext on disk: the highest of a weight's exponent."""
    (path,) = root.glob(f"*/part-{part:05d}-*.bin")
    content = bytearray(path.read_bytes())
    content[3] ^= 0x20
    path.write_bytes(content)
