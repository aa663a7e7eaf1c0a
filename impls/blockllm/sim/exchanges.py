"""Improving a placement by seeded random proposals (spec §2.6: "pair swaps"), judged by the occupancy.

Copies of bundles move, change places, come and go; and so do whole chains, because a block alone away from its chain
costs more than it gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from .occupancy import Occupancy, Where

WARMTH = 0.05
"""Share of the first cost that a change for the worse may typically have when exchanges begin."""


@dataclass(frozen=True)
class Room:
    """What a placement has to keep to."""

    gpu_bytes: float
    """Weights on a GPU at most."""
    copies_bytes: float
    """Weights of all further copies at most."""
    copies: int
    """Of blocks on a GPU at most."""

    def holds(self, occupancy: Occupancy, where: Sequence[tuple[int, ...]]) -> bool:
        """Whether a placement does."""
        used, held, further = [0] * occupancy.gpus, [0] * occupancy.gpus, 0
        for bundle, gpus in zip(occupancy.bundles, where, strict=True):
            further += bundle.nbytes * max(0, len(gpus) - 1)
            for gpu in gpus:
                used[gpu] += bundle.nbytes
                held[gpu] += len(bundle.segments)
        return max(used) <= self.gpu_bytes and further <= self.copies_bytes and max(held) <= self.copies


def improve(occupancy: Occupancy, room: Room, where: Where, tries: int, rng: np.random.Generator) -> Where:
    """The best placement among `tries` proposals.

    A change for the worse is accepted at first, ever less likely, so that two changes may do what one cannot.
    """
    moves = Moves(occupancy)
    cost = least = occupancy.cost(where)
    best, warmth = where, WARMTH * cost
    for number in range(tries):
        proposal = moves.propose(where, rng)
        if proposal == where or not room.holds(occupancy, proposal) or not _same_placed(where, proposal):
            continue
        found = occupancy.cost(proposal)
        if found - cost > -warmth * (1 - number / tries) ** 2 * log(1 - rng.random()):
            continue
        where, cost = proposal, found
        if cost < least - 1e-12:
            best, least = where, cost
    return best


class Moves:
    """Changes of a placement."""

    def __init__(self, occupancy: Occupancy) -> None:
        self.occupancy = occupancy
        self.near: list[set[int]] = [set() for _ in occupancy.bundles]
        """Bundles that share a chain with one."""
        for route in occupancy.routes:
            for bundle in route.bundles:
                self.near[bundle] |= set(route.bundles) - {bundle}

    def propose(self, where: Where, rng: np.random.Generator) -> Where:
        """One of six changes, at random; it may be none at all, or one for which there is no room."""
        kind, first, second, gpu, other = rng.random(5).tolist()
        routes, bundles, gpus = len(self.occupancy.routes), len(where), self.occupancy.gpus
        target = int(gpu * gpus)
        if kind < 1 / 2:  # copies
            a, b = int(first * bundles), int(second * bundles)
            if not where[a] or not where[b]:
                return where
            source = where[a][int(other * len(where[a]))]
            if kind < 1 / 4:
                return _changed(where, (a, source, target))
            target = where[b][int(gpu * len(where[b]))]
            return _changed(where, (a, source, target), (b, target, source))
        a, b = int(first * routes), int(second * routes)
        homes, others = self._homes(where, a), self._homes(where, b)
        if not homes or not others:
            return where
        if kind < 5 / 8:
            return self.with_chain(where, a, target)
        source = homes[int(other * len(homes))]
        if kind < 3 / 4:
            return self.without_chain(where, a, source)
        moved = self.with_chain(self.without_chain(where, a, source, True), a, target)
        if kind < 7 / 8:
            return moved
        target = others[int(gpu * len(others))]
        gone = self.without_chain(self.without_chain(where, a, source, True), b, target, True)
        return self.with_chain(self.with_chain(gone, a, target), b, source)

    def with_chain(self, where: Where, route: int, gpu: int) -> Where:
        """All of a chain on a GPU: copies of what is not there."""
        changed = list(where)
        for bundle in self.occupancy.routes[route].bundles:
            if gpu not in changed[bundle]:
                changed[bundle] = tuple(sorted((*changed[bundle], gpu)))
        return tuple(changed)

    def without_chain(self, where: Where, route: int, gpu: int, elsewhere: bool = False) -> Where:
        """A chain's copies on a GPU are gone, unless another chain has need of them or, but if it is going to be
        `elsewhere`, they are the last ones."""
        changed = list(where)
        chain = self.occupancy.routes[route].bundles
        for bundle in chain:
            others = self.near[bundle].difference(chain)
            needed = any(gpu in where[other] for other in others)
            if gpu in changed[bundle] and not needed and (elsewhere or len(changed[bundle]) > 1):
                changed[bundle] = tuple(g for g in changed[bundle] if g != gpu)
        return tuple(changed)

    def _homes(self, where: Where, route: int) -> list[int]:
        """GPUs that hold any of a chain."""
        return sorted({gpu for bundle in self.occupancy.routes[route].bundles for gpu in where[bundle]})


def _same_placed(a: Where, b: Where) -> bool:
    """Whether the same bundles have a place: what waits in host memory goes on waiting there."""
    return all([bool(x) == bool(y) for x, y in zip(a, b, strict=True)])


def _changed(where: Where, *moves: tuple[int, int, int]) -> Where:
    """A placement with copies of bundles moved; the same one if a copy would come to where one is."""
    changed = list(where)
    for bundle, source, target in moves:
        if source not in changed[bundle] or target in changed[bundle]:
            return where
        changed[bundle] = tuple(sorted((target, *(g for g in changed[bundle] if g != source))))
    return tuple(changed)
