"""Which blocks there are and which of them make each app's model (spec §1.3, §2.4).

A model is cut into halves of layers, attention and feed-forward in turn; the embedding belongs to the first, the head
to the last, so no chain hops for them. A half is the foundation's or an app's own. Where users differ, blocks end. Of a
pipeline's stages each is a segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .config import Serving
from .cost.shapes import Shape
from .tenants import Tenant

LORA_RANK = 16
"""Of the deltas on q and v of apps fine-tuned by a small delta (spec §1.3)."""


@dataclass(frozen=True)
class Segment:
    """A run of half layers [low, high) that is placed, batched and scaled as one."""

    id: int
    shape: Shape
    low: int
    high: int
    apps: tuple[int, ...]
    """Apps whose chains hold it."""
    deltas: frozenset[int]
    """Apps that apply a delta of their own to it."""
    whole: bool
    """All of a model."""
    attns: int
    ffns: int
    embed: bool
    head: bool
    weight_bytes: int
    """With the deltas."""
    kv_bytes: int
    """Of one token; with its input, where that is kept."""
    context_bytes: int
    """KV cache of one request of full length, with all blocks of its chain."""
    hidden_bytes: int
    """Of one token's activation, as it leaves for the next segment."""
    share: float
    """Of the model's layers."""


@dataclass(frozen=True)
class Catalogue:
    """Segments, the chain of every app, and which segments may stand in for which."""

    segments: tuple[Segment, ...]
    chains: tuple[tuple[int, ...], ...]
    """By app."""
    equivalents: Mapping[int, tuple[int, ...]]
    """Segments that may replace one, in order of id; directed."""

    @property
    def weight_bytes(self) -> int:
        """One copy of everything."""
        return sum(segment.weight_bytes for segment in self.segments)


def catalogue(serving: Serving, tenants: Sequence[Tenant], seed: int) -> Catalogue:
    """Cut the apps' models into segments as a system shares them."""
    keys = [_halves(serving, app, tenant) for app, tenant in enumerate(tenants)]
    users: dict[object, set[int]] = {}
    for app, halves in enumerate(keys):
        for key in halves:
            users.setdefault(key, set()).add(app)
    segments: list[Segment] = []
    known: dict[object, int] = {}
    chains: list[tuple[int, ...]] = []
    for halves in keys:
        links: list[int] = []
        for low, high in _runs(serving, [frozenset(users[key]) for key in halves]):
            run = (halves[low], low, high)
            if run not in known:
                known[run] = len(segments)
                segments.append(_segment(len(segments), low, high, users[halves[low]], serving, tenants))
            links.append(known[run])
        chains.append(tuple(links))
    for chain in chains:
        held = segments[chain[0]].shape.context * sum(segments[s].kv_bytes for s in chain)
        for s in chain:
            segments[s] = replace(segments[s], context_bytes=max(held, segments[s].context_bytes))
    return Catalogue(tuple(segments), tuple(chains), _equivalents(serving, segments, seed))


def _halves(serving: Serving, app: int, tenant: Tenant) -> list[tuple[str, int, int]]:
    """Whose each half layer is: (family, owner, place); the foundation's owner is -1."""
    n = 2 * tenant.shape.layers
    shared = {"family": n, "none": 0}.get(serving.share, n)
    if serving.share == "blocks":
        if tenant.technique == "full":
            shared = 0
        elif tenant.technique == "top":
            # A whole model is one unit: with any layer of its own it cannot be shared.
            shared = (
                0
                if serving.granularity == "model"
                else n - 2 * max(1, round(tenant.top * tenant.shape.layers))
            )
    return [(tenant.shape.name, -1 if place < shared else app, place) for place in range(n)]


def _runs(serving: Serving, users: Sequence[frozenset[int]]) -> list[tuple[int, int]]:
    """Where segments begin and end."""
    every = {"half": 1, "layer": 2}.get(serving.granularity, len(users))
    cuts = [p for p in range(1, len(users)) if users[p] != users[p - 1] or p % every == 0]
    units = list(pairwise([0, *cuts, len(users)]))
    if serving.granularity in ("layer", "half"):
        return units
    return [run for low, high in units for run in _stages(low, high, serving.stages)]


def _stages(low: int, high: int, stages: int) -> list[tuple[int, int]]:
    """A unit's layers in so many runs of nearly equal length; no more than there are layers."""
    layers = (high - low) // 2
    parts = min(stages, layers)
    return list(pairwise([low + 2 * (layers * part // parts) for part in range(parts + 1)]))


def _segment(
    number: int, low: int, high: int, apps: set[int], serving: Serving, tenants: Sequence[Tenant]
) -> Segment:
    shape = tenants[min(apps)].shape
    attns, n = (high + 1) // 2 - (low + 1) // 2, 2 * shape.layers
    ffns = high - low - attns
    # An app with its own copy of a model adds its delta to the weights; only shared weights leave deltas apart.
    shared = serving.share == "blocks" and len(apps) > 1
    deltas = frozenset(app for app in apps if shared and tenants[app].technique == "pe")
    lora = 2 * 2 * LORA_RANK * shape.hidden_bytes_per_token
    weights = attns * (shape.attn_bytes + len(deltas) * lora) + ffns * shape.ffn_bytes
    weights += (low == 0) * shape.embed_bytes + (high == n) * shape.head_bytes
    kept = shape.hidden_bytes_per_token if serving.recompute == "boundary_cache" and low else 0
    return Segment(
        id=number,
        shape=shape,
        low=low,
        high=high,
        apps=tuple(sorted(apps)),
        deltas=deltas,
        whole=high - low == n,
        attns=attns,
        ffns=ffns,
        embed=low == 0,
        head=high == n,
        weight_bytes=weights,
        kv_bytes=attns * shape.kv_bytes_per_token_layer + kept,
        context_bytes=0,
        hidden_bytes=shape.hidden_bytes_per_token,
        share=(high - low) / n,
    )


def _equivalents(serving: Serving, segments: Sequence[Segment], seed: int) -> dict[int, tuple[int, ...]]:
    """Directed pairs at the same place of the same family that pass, drawn at the rate measured on real models."""
    rng = np.random.default_rng([seed, 0xE9])
    allowed: dict[int, tuple[int, ...]] = {}
    at_place: dict[tuple[str, int, int], list[Segment]] = {}
    for a in segments:
        at_place.setdefault((a.shape.name, a.low, a.high), []).append(a)
    for a in segments:
        same = [b for b in at_place[a.shape.name, a.low, a.high] if b is not a]
        passed = rng.random(len(same)) < serving.equivalent_share
        # Another whole model is another model, not a substitute.
        allowed[a.id] = () if a.whole else tuple(b.id for b, ok in zip(same, passed, strict=True) if ok)
    return allowed
