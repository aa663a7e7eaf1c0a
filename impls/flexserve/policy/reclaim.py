"""What is given back when the normal world wants memory (June §5, the two stages of LLM-aware reclaim).

Stage 1, here, takes what is cheapest to give up. Stage 2 is the cache policy's `desired` on what memory is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Victim:
    """Pages that are given back together: one part's weights, or all of a model's KV cache."""

    model: str
    kind: Literal["weight", "kv"]
    part: int | None
    """Index of the part whose weights they are; None for KV."""
    nbytes: int


def select(
    cached: Mapping[str, Sequence[int]],
    kv_bytes: Mapping[str, int],
    rates: Mapping[str, float],
    request_bytes: int,
    *,
    swapped_out: Collection[str] = (),
    cheapest_first: bool = True,
) -> list[Victim]:
    """Victims that make up the request, in the order they are taken; everything there is if that is too little.

    `cached[model][i]` is what part i holds in memory (0: nothing), `kv_bytes` what the idle models' KV caches hold,
    `rates` how often each model is invoked (none: never). Weights only need zeroing, KV must be encrypted and written
    back first, so all weights go before any KV: of the least invoked model first, its last layer first, which leaves
    a prefix. KV of a model in `swapped_out` has its encrypted copy already and counts as cheap.
    A part is taken whole, for a part that lacks a page cannot be computed; the excess is less than one victim.

    cheapest_first=False is reclaim without stages: it shrinks the cache model by model, KV and weights alike.
    """
    victims: list[Victim] = []
    for victim in _in_order(cached, kv_bytes, rates, swapped_out, cheapest_first):
        if request_bytes <= 0:
            break
        victims.append(victim)
        request_bytes -= victim.nbytes
    return victims


def _in_order(
    cached: Mapping[str, Sequence[int]],
    kv_bytes: Mapping[str, int],
    rates: Mapping[str, float],
    swapped_out: Collection[str],
    cheapest_first: bool,
) -> Iterator[Victim]:
    models = sorted({*cached, *kv_bytes}, key=lambda model: (rates.get(model, 0.0), model))
    costly: list[Victim] = []
    for model in models:
        kv = [Victim(model, "kv", None, n) for n in [kv_bytes.get(model, 0)] if n]
        parts = list(enumerate(cached.get(model, ())))
        weights = [Victim(model, "weight", part, n) for part, n in reversed(parts) if n]
        if not cheapest_first:
            yield from kv + weights
        elif model in swapped_out:
            yield from weights + kv
        else:
            yield from weights
            costly += kv
    yield from costly
