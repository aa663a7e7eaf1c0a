"""What the executor's cases run: tenants that decode side by side through shared blocks, or model by model.

Tenants differ by LoRA deltas that are drawn, not trained: what a delta costs does not depend on its numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from ..chain import Block, Chain, Delta, Model
from ..execute.decoding import Separate, Shared, fast_divergence
from ..family import Which, foundation, texts_of
from ..models.corpus import encode
from ..models.deltas import initial
from ..models.foundation import foundation as real
from ..models.small import WIDTH_32, untrained
from ..zoo.assemble import chain_of

if TYPE_CHECKING:
    from ..questions import Decoded, Diverged

RANK = 8


def decoded(config: Decoded, data: Any, seed: int) -> Callable[[], None]:
    """What is returned decodes the same tokens anew at every call, on one thread."""
    torch.set_num_threads(1)
    base = foundation(config.model, data)
    chains = _tenants(config.model, base, config.tenants)
    held = [encode(base.config, test).tolist() for _, test in texts_of(data, "test").values()]
    prompts = {}
    for number, tenant in enumerate(chains):
        tokens = held[number % len(held)]
        start = (seed * len(chains) + number) * config.prompt % max(1, len(tokens) - config.prompt)
        prompts[tenant] = tokens[start : start + config.prompt]
    kind = Shared if config.how.startswith("chain") else Separate
    work = kind(chains, prompts, config.new, "tile" if config.how.endswith("tiles") else "fast")

    def run() -> None:
        work.round()

    return run


def diverged(config: Diverged, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What is returned runs the prompts in one fast batch and each alone in tiles."""
    torch.set_num_threads(1)
    base = real() if config.model == "smollm2" else untrained(WIDTH_32, seed)
    chains = _tenants(config.model, base, config.tenants)
    tokens = encode(base.config, data.test).tolist()
    prompts = {
        tenant: tokens[(seed + number) * config.prompt :][: config.prompt]
        for number, tenant in enumerate(chains)
    }

    def run() -> dict[str, object]:
        found = fast_divergence(chains, prompts)
        return {
            "largest difference of logits": found.max_difference,
            "likeliest token the same": 100 * found.agreement,
            "KL": found.kl,
        }

    return run


@lru_cache(maxsize=2)
def _tenants(which: Which, base: Model, count: int) -> dict[str, Chain]:
    """Chains of tenants with LoRA deltas of their own; what they share is in memory once."""
    blocks: dict[str, Block] = {}
    chains = {}
    for number in range(count):
        drawn = initial(base.config, "delta_lora", RANK, number)
        halves = {place: {name: t.half() for name, t in group.items()} for place, group in drawn.items()}
        name = f"{which} tenant {number}"
        tenant = Model(name, base.config, base.groups, Delta("delta_lora", halves), parent=base.name)
        chains[name] = chain_of(tenant, blocks)
    return chains
