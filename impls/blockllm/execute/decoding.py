"""Some tenants decoding at once, through shared blocks or model by model: the work that the two are compared on.

A round decodes some tokens of every tenant from the end of its prompt and is then rolled back, so that every round is
the same work. One tenant shows what the executor costs over the monolith, twenty show what batching at shared blocks
gains over separate models at batch 1. (Specification §5.1, point 6.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..chain import Chain
from .divergence import Divergence, divergence
from .executor import Executor
from .monolith import Monolith
from .tiles import Mode

Prompts = Mapping[str, Sequence[int]]
"""Tokens by tenant; a tenant's model has its name."""


class Shared:
    """All tenants' chains on one executor."""

    def __init__(
        self, chains: Mapping[str, Chain], prompts: Prompts, new_tokens: int, mode: Mode = "fast"
    ) -> None:
        """Runs the prompts; a round decodes `new_tokens` tokens of every tenant."""
        self._executor = Executor(chains, mode)
        self._lengths = {tenant: len(prompt) for tenant, prompt in prompts.items()}
        self._new_tokens = new_tokens
        for tenant, prompt in prompts.items():
            self._executor.add(tenant, tenant, len(prompt) + new_tokens)
            self._executor.feed(tenant, prompt)
        self._first = self._executor.step()

    def round(self) -> dict[str, torch.Tensor]:
        """Logits [new_tokens, vocab] of every tenant after each token."""
        logits = self._first
        found: dict[str, list[torch.Tensor]] = {tenant: [] for tenant in self._lengths}
        for _ in range(self._new_tokens):
            for tenant, last in logits.items():
                self._executor.feed(tenant, [int(last[0].argmax())])
            logits = self._executor.step()
            for tenant, last in logits.items():
                found[tenant].append(last[0])
        for tenant, length in self._lengths.items():
            self._executor.truncate(tenant, length)
        return {tenant: torch.stack(rows) for tenant, rows in found.items()}


class Separate:
    """A monolith a tenant, one after the other; the methods as those of `Shared`."""

    def __init__(
        self, chains: Mapping[str, Chain], prompts: Prompts, new_tokens: int, mode: Mode = "fast"
    ) -> None:
        self._models = {tenant: Monolith(chains[tenant], mode) for tenant in prompts}
        self._lengths = {tenant: len(prompt) for tenant, prompt in prompts.items()}
        self._new_tokens = new_tokens
        self._kv = {
            tenant: self._models[tenant].new_kv(len(prompt) + new_tokens)
            for tenant, prompt in prompts.items()
        }
        self._first = {
            tenant: self._models[tenant].forward(self._kv[tenant], prompt)
            for tenant, prompt in prompts.items()
        }

    def round(self) -> dict[str, torch.Tensor]:
        found = {}
        for tenant, model in self._models.items():
            logits = [self._first[tenant]]
            for _ in range(self._new_tokens):
                logits.append(model.forward(self._kv[tenant], [int(logits[-1][0].argmax())]))
            self._kv[tenant].truncate(self._lengths[tenant])
            found[tenant] = torch.cat(logits[1:])
        return found


@torch.inference_mode()
def fast_divergence(chains: Mapping[str, Chain], prompts: Prompts) -> Divergence:
    """What fast mode costs: logits after every token of every prompt, all in one fast batch, against tile mode's."""
    executor = Executor(chains, "fast")
    for tenant, prompt in prompts.items():
        executor.add(tenant, tenant, len(prompt))
        executor.feed(tenant, prompt, wanted=len(prompt))
    found = executor.step()
    exact = []
    for tenant, prompt in prompts.items():
        alone = Monolith(chains[tenant], "tile")
        exact.append(alone.forward(alone.new_kv(len(prompt)), prompt, wanted=len(prompt)))
    return divergence(torch.cat(exact), torch.cat([found[tenant] for tenant in prompts]))
