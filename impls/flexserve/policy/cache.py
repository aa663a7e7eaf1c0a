"""Dynamic caching (June §5.2): which models stay, how many bytes each may hold, and which of its parts these are.

Pure functions of what was asked for and when. The host and the device model call `desired` after a request, or when a
time-out ends, and keep, load or release the difference to what they hold.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ..config import Kept, System
from .invocations import InvocationLog as InvocationLog

PROMPT_SCALE = 256.0
"""Tokens of mean prompt that halve a model's weight; the paper publishes no weighting, this is our choice."""


@dataclass(frozen=True)
class ModelUse:
    """A model as the cache sees it: its size, how it is used, how fast it loads and computes."""

    name: str
    part_bytes: tuple[int, ...]
    """Bytes of every part in order of computation; 0 where a part shares an earlier part's weights."""
    rate: float
    """Its share of the recent invocations, 0 to 1."""
    frequency: float
    """Its recent invocations per second."""
    mean_prompt: float
    """Mean length of its recent prompts in tokens."""
    load_s_per_part: float
    """Mean seconds to restore one part: those of the slower of load and decrypt where they overlap, else their sum."""
    compute_s_per_part: float
    """Mean seconds to compute one part at the mean prompt length."""

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(self.part_bytes)

    @property
    def weight(self) -> float:
        """Its claim on the cache: used often counts for it, long prompts (which hide loading) against it."""
        return self.rate * self.frequency / (1 + self.mean_prompt / PROMPT_SCALE)


def zero_stall_prefix(layers: int, load_s: float, compute_s: float) -> int:
    """How many of `layers` equal layers must be in memory for compute never to wait for the others' loading.

    Loading of the first absent layer starts together with the compute of the first layer. At least one layer, which
    removes the bubble at the start; 0 where nothing takes time to load. Exact for the floats that are given.
    """
    if load_s <= 0 or layers == 0:
        return 0
    needed = layers - (layers - 1) * Fraction(compute_s) / Fraction(load_s)
    return min(layers, max(1, math.ceil(needed)))


def budgets(
    uses: Sequence[ModelUse], total_bytes: int, rule: Literal["invocations", "uniform"]
) -> dict[str, int]:
    """Bytes of cache for every model, at most its size; nothing is left over while a model could use it.

    invocations: shares by weight, first up to each model's zero-stall prefix, what then remains up to the whole
    model. uniform: equal shares up to the whole model.
    """
    whole = {use.name: use.nbytes for use in uses}
    if rule == "uniform":
        return _pour(total_bytes, whole, dict.fromkeys(whole, 1.0))
    weights = {use.name: use.weight for use in uses}
    first = _pour(total_bytes, {use.name: _without_stall(use) for use in uses}, weights)
    spilled = _pour(total_bytes - sum(first.values()), {n: whole[n] - first[n] for n in whole}, weights)
    return {name: first[name] + spilled[name] for name in whole}


def _without_stall(use: ModelUse) -> int:
    """Bytes of the model's zero-stall prefix."""
    held = [nbytes for nbytes in use.part_bytes if nbytes]
    return sum(held[: zero_stall_prefix(len(held), use.load_s_per_part, use.compute_s_per_part)])


def _pour(total: int, room: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, int]:
    """Shares of `total` by weight, none above its room; what one cannot hold goes to the others by their weights.

    Exact: the shares' sum is the smaller of `total` and all room. Where all weights left are 0, equal shares.
    """
    given = dict.fromkeys(room, 0)
    thirsty = sorted((name for name in room if room[name] > 0), key=lambda name: (-weights[name], name))
    while thirsty and total > 0:
        sum_of_weights = sum(Fraction(weights[name]) for name in thirsty)
        shares = {
            name: Fraction(weights[name]) / sum_of_weights if sum_of_weights else Fraction(1, len(thirsty))
            for name in thirsty
        }
        full = [name for name in thirsty if shares[name] * total >= room[name]]
        if not full:
            given.update({name: int(shares[name] * total) for name in thirsty})
            rest = total - sum(given[name] for name in thirsty)
            for name in thirsty[:rest]:  # each share lost less than one byte to rounding
                given[name] += 1
            break
        for name in full:
            given[name] = room[name]
            total -= room[name]
        thirsty = [name for name in thirsty if name not in full]
    return given


def kept_parts(use: ModelUse, budget_bytes: int, kept: Kept, seed: int) -> tuple[int, ...]:
    """Indices, ascending, of the parts that fit a budget, taken in an order until the next one does not fit.

    prefix: from the first part on. lru: from the last one backwards, which is what evicting the least recently used
    part leaves of a model that is always run from front to back. random: in an order drawn from the seed and the
    model's name. A larger budget keeps all that a smaller one keeps.
    """
    order = [index for index, nbytes in enumerate(use.part_bytes) if nbytes]
    if kept == "lru":
        order.reverse()
    elif kept == "random":
        random.Random(f"{seed} {use.name}").shuffle(order)
    taken: list[int] = []
    for index in order:
        budget_bytes -= use.part_bytes[index]
        if budget_bytes < 0:
            break
        taken.append(index)
    return tuple(sorted(taken))


def kept_histories(
    kv_bytes: Mapping[str, int], rates: Mapping[str, float], spare_bytes: int
) -> tuple[str, ...]:
    """Prompts' KV caches worth keeping in what the weights leave over, those invoked most first, whole ones only.

    `kv_bytes` and `rates` are keyed by whatever names a history (model or model and prompt); one without a rate counts
    as never invoked.
    """
    chosen: list[str] = []
    for name in sorted(kv_bytes, key=lambda name: (-rates.get(name, 0.0), name)):
        if 0 < kv_bytes[name] <= spare_bytes:
            chosen.append(name)
            spare_bytes -= kv_bytes[name]
    return tuple(chosen)


def desired(
    system: System,
    log: InvocationLog,
    uses: Iterable[ModelUse],
    total_bytes: int,
    now: float,
    seed: int = 0,
) -> dict[str, tuple[int, ...]]:
    """Parts that should be in memory after the requests so far; a model that should have none is absent.

    none: nothing. always: the most recently used whole models that fit together, as an LRU cache of models would hold
    them. timeout: those of them that were used within `system.timeout_s`; ask again when `log.last_used` says so.
    cooperative: parts inside each kept model's budget; only this policy may ask for parts that were released before.
    """
    known = {use.name: use for use in uses}
    if system.cache == "none":
        return {}
    if system.cache == "cooperative":
        keep = [known[name] for name in log.models_to_keep(now) if name in known]
        shares = budgets(keep, total_bytes, system.budgets)
        parts = {use.name: kept_parts(use, shares[use.name], system.kept, seed) for use in keep}
        return {name: indices for name, indices in parts.items() if indices}
    lasting = math.inf if system.cache == "always" else system.timeout_s
    whole: dict[str, tuple[int, ...]] = {}
    for name, used_s in log.latest_first():
        if name not in known or known[name].nbytes > total_bytes:
            continue  # it was never in the cache, so it pushed nothing out
        if now - used_s >= lasting or known[name].nbytes > total_bytes - sum(known[n].nbytes for n in whole):
            break
        whole[name] = kept_parts(known[name], known[name].nbytes, "prefix", seed)
    return whole
