"""Models and costs in the server's units: bytes and parts instead of GiB, one system, and nothing computed twice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache

from ..config import System
from ..policy.cache import ModelUse
from .costs import GIB, Costs
from .timeline import prefill

REMEMBERED = 2**12
"""Prefills whose time is kept; of more the least recently used is forgotten, so that memory stays bounded."""
PERCENT = 1e-2


def to_bytes(gib: float) -> int:
    return round(gib * GIB)


def to_gib(nbytes: int) -> float:
    return nbytes / GIB


class Catalogue:
    """What the server asks about models under one system."""

    def __init__(self, system: System, costs: Costs) -> None:
        self.system, self.costs = system, costs
        self.enable_s = costs.protect_s(system)
        """Switching protection on when it is off."""
        self.stage2_tax = costs.calibration.value("text.s2pt_tax") * PERCENT
        """Share of its speed that a normal program loses while stage-2 tables are on."""
        self._parts: dict[str, tuple[int, ...]] = {}
        # The server knows whether protection was still on, so the cost of enabling it is charged there.
        shown = replace(system, on_demand=False)

        @lru_cache(maxsize=REMEMBERED)
        def seconds(model: str, tokens: int, background: float, cached: int | frozenset[int]) -> float:
            return prefill(shown, model, tokens, costs, background, cached).ttft_s

        self._prefill = seconds

    def parts(self, model: str) -> tuple[int, ...]:
        """Bytes of every layer's part of the weights; UserError for a model that is not known."""
        if model not in self._parts:
            whole, count = to_bytes(self.costs.weights_gib(model)), self.costs.layers(model)
            self._parts[model] = tuple(
                whole * (part + 1) // count - whole * part // count for part in range(count)
            )
        return self._parts[model]

    def kv(self, model: str, tokens: int) -> int:
        """Bytes of the KV cache of so many tokens."""
        return to_bytes(self.costs.kv_gib(model, tokens))

    def prefill_s(self, model: str, tokens: int, background_gib: float, cached: Collection[int]) -> float:
        """TTFT with these parts in memory; protection is on already."""
        parts = frozenset(cached)
        is_prefix = not parts or max(parts) + 1 == len(parts)
        return self._prefill(model, tokens, background_gib, len(parts) if is_prefix else parts)

    def decode_s(self, model: str) -> float:
        """Seconds a token after the first."""
        return self.costs.decode_s(model, self.system)

    def restore_s(self, nbytes: int) -> float:
        """Seconds to bring weights into memory while nothing else needs the flash; as one part of a long row."""
        gib = to_gib(nbytes)
        fetch = self.costs.alloc_s(self.system, gib) + self.costs.load_s(gib)
        decrypt = self._decrypt_s(gib)
        return max(fetch, decrypt) if self.system.overlap else fetch + decrypt

    def contention_s(self, nbytes: int) -> float:
        """Seconds of computing lost to the decryption of so many bytes beside it."""
        return self.costs.contention * self._decrypt_s(to_gib(nbytes))

    def reclaim_s(self, weight_bytes: int, kv_bytes: int) -> float:
        """What it takes until memory that is given back is promised to its next owner."""
        return self.costs.reclaim_s(self.system, to_gib(weight_bytes + kv_bytes), to_gib(kv_bytes))

    def scrub_s(self, weight_bytes: int, kv_bytes: int) -> float:
        """How long after that it can be used."""
        return self.costs.scrub_s(self.system, to_gib(weight_bytes + kv_bytes), to_gib(kv_bytes))

    def use(self, model: str, rate: float, frequency: float, mean_prompt: float) -> ModelUse:
        """The model as the cache policy sees it."""
        parts = self.parts(model)
        gib = self.costs.weights_gib(model) / len(parts)
        load, decrypt = self.costs.load_s(gib), self._decrypt_s(gib)
        restore = max(load, decrypt) if self.system.overlap else load + decrypt
        compute = self.costs.prefill_s(model, max(1, mean_prompt), self.system.compute) / len(parts)
        return ModelUse(model, parts, rate, frequency, mean_prompt, restore, compute)

    def _decrypt_s(self, gib: float) -> float:
        return self.costs.decrypt_s(gib) if self.system.crypto == "software" else 0.0
