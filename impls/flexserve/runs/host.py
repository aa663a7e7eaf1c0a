"""What the host's cases run: servers kept for the life of a block, prompts of an exact length, the plain oracle."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from ..questions import HostPrefill, Reclaim
from ..real.models import HostRun

if TYPE_CHECKING:
    import torch

    from ..real.server import HostServer, Prefill


@cache
def kept_server(run: HostRun) -> HostServer:
    """The block's server of a configuration; arms that differ by their prompts alone share it."""
    from ..real.server import HostServer

    return HostServer(run)


@cache
def prompt(model: str, passage: str, tokens: int) -> tuple[int, ...]:
    """The first `tokens` token ids of a passage, in the model's vocabulary."""
    from remeasure.impls.common import smollm

    from ..real.models import model as served

    if model == "smollm2-135m":
        ids = smollm.tokenizer().encode(passage).ids
    else:
        ids = [ord(letter) % served(HostRun(model=model)).config.vocab for letter in passage]
    return tuple((ids * (tokens // len(ids) + 1))[:tokens])


def prefilled(config: HostPrefill, passages: list[str], seed: int) -> Callable[[], Prefill]:
    """Released and ready: what is returned serves one prompt from weights on disk to the first token."""
    server = kept_server(config.run)
    server.release()
    tokens = prompt(config.run.model, passages[seed % len(passages)], config.tokens)
    return lambda: server.prefill(tokens)


def reclaimed(config: Reclaim) -> Callable[[], dict[str, object]]:
    """What is returned takes every part of a loaded model back, one by one; milliseconds at the 99th percentile."""
    import numpy as np

    server = kept_server(config.run)

    def run() -> dict[str, object]:
        waited, usable = [], []
        for _ in range(config.repeats):
            server.prefill([1])
            for part in sorted(server.resident):
                start = time.perf_counter()
                scrubbing = server.reclaim([part])
                if config.waits:
                    scrubbing.result()
                waited.append(time.perf_counter() - start)
                scrubbing.result()
                usable.append(time.perf_counter() - start)
        return {
            "reclaim, p99": 1e3 * float(np.quantile(waited, 0.99)),
            "pages usable again, p99": 1e3 * float(np.quantile(usable, 0.99)),
        }

    return run


def differing(config: HostPrefill, passages: list[str], seed: int, logits: torch.Tensor) -> int:
    """How many logits differ, in any bit, from those of the plain model in ordinary memory."""
    import torch

    tokens = prompt(config.run.model, passages[seed % len(passages)], config.tokens)
    plain = _oracle(config.run.model, config.run.seed, config.run.compute_threads, tokens)
    return int((logits.view(torch.int32) != plain.view(torch.int32)).sum())


@lru_cache(maxsize=8)
def _oracle(name: str, seed: int, threads: int, tokens: tuple[int, ...]) -> Any:
    import torch

    from remeasure.impls.common import llama

    from ..real.models import model

    served = model(HostRun(model=name, seed=seed))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return llama.greedy(served.config, _weights(name, seed), list(tokens), 1)[1][0]
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _weights(name: str, seed: int) -> Any:
    from ..real.models import model

    return model(HostRun(model=name, seed=seed)).weights()
