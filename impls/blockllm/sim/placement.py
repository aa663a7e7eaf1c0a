"""Which GPU holds which block before serving begins (spec §2.6): greedy by demand, then exchanges.

Two beginnings are tried, every block by itself, busiest first, and every chain as a whole, with a copy of what it
shares on each GPU; further copies go to the chain whose blocks have most to do, while that makes the estimate better.
The better beginning is improved. `locality` counts all that `occupancy.py` does, `balanced` leaves crossings out;
`round_robin` and `random` are what the paper's placement is held against.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from remeasure.errors import UserError

from .catalogue import Catalogue, Segment
from .cluster import Cluster
from .config import Serving
from .demand import Load
from .exchanges import Moves, Room, improve
from .occupancy import Bundle, Occupancy, Where, bundled, runs_of


@dataclass(frozen=True)
class Spot:
    """A copy of a segment on a GPU; cold: its weights wait in host memory."""

    segment: int
    gpu: int
    cold: bool = False


def place(
    serving: Serving,
    content: Catalogue,
    load: Load,
    cluster: Cluster,
    seed: int,
) -> list[Spot]:
    """A spot for every copy: one of each segment, and further ones as far as the system's share of memory goes.

    Raises UserError for a block that no GPU holds, and, without swapping, for blocks that do not fit together.
    """
    for segment in content.segments:
        refuse_if_too_large(segment, cluster)
    room = room_of(serving, content, cluster)
    rng = np.random.default_rng([seed, 0x91A])
    if serving.placement in ("random", "round_robin"):
        bundles = bundled(content, load, [[segment.id] for segment in content.segments])
        where = scattered(bundles, room, cluster.gpus, rng if serving.placement == "random" else None)
    else:
        bundles, where = _improved(serving, content, load, cluster, room, rng)
    spots = [
        Spot(segment, gpu)
        for bundle, gpus in zip(bundles, where, strict=True)
        for segment in bundle.segments
        for gpu in gpus
    ]
    spots.sort(key=lambda spot: (spot.segment, spot.gpu))
    homeless = [
        content.segments[s]
        for bundle, gpus in zip(bundles, where, strict=True)
        if not gpus
        for s in bundle.segments
    ]
    if homeless and not serving.swap:
        raise UserError(
            f"the {len(content.segments)} blocks take {content.weight_bytes / 1e9:.0f} GB, more than {cluster.gpus} "
            f"GPUs hold beside their KV caches ({room.gpu_bytes * cluster.gpus / 1e9:.0f} GB): add GPUs or set swap."
        )
    return _with_cold(content, spots, homeless, load, cluster)


def room_of(serving: Serving, content: Catalogue, cluster: Cluster) -> Room:
    """What weights may take: one request of full length always has to fit beside them."""
    largest = max(segment.context_bytes for segment in content.segments)
    each = cluster.gpu_bytes - max(serving.kv_reserve * cluster.gpu_bytes, largest)
    left = max(0.0, each * cluster.gpus - content.weight_bytes)
    return Room(each, left * serving.replica_share, serving.resident_models or len(content.segments))


def _improved(
    serving: Serving,
    content: Catalogue,
    load: Load,
    cluster: Cluster,
    room: Room,
    rng: np.random.Generator,
) -> tuple[tuple[Bundle, ...], Where]:
    """Bundles as large as they find room, and where they are."""
    # Stages are cut to be placed apart; other blocks that are always used together stay together.
    runs = [[segment.id] for segment in content.segments] if serving.stages > 1 else runs_of(content)
    while True:
        bundles = bundled(content, load, runs)
        occupancy = Occupancy(serving, content, load, cluster, bundles)
        starts = [by_bundle(occupancy, room), by_chain(occupancy, room)]
        best = min(starts, key=lambda where: (_homeless(bundles, where), occupancy.cost(where)))
        parts = [_parts(run, bool(gpus)) for run, gpus in zip(runs, best, strict=True)]
        if all(len(part) == 1 for part in parts):
            break
        runs = [run for part in parts for run in part]
    if all(best):
        best = min((copied(occupancy, room, where) for where in starts if all(where)), key=occupancy.cost)
    return bundles, improve(occupancy, room, best, serving.swaps, rng) if cluster.gpus > 1 else best


def _parts(run: list[int], placed: bool) -> list[list[int]]:
    """A run, or halves of one for which there was no room in one piece."""
    half = len(run) // 2
    return [run] if placed or not half else [run[:half], run[half:]]


def _homeless(bundles: Sequence[Bundle], where: Where) -> float:
    """Work of the bundles without a place."""
    return sum(bundle.seconds + 1e-9 for bundle, gpus in zip(bundles, where, strict=True) if not gpus)


def by_bundle(occupancy: Occupancy, room: Room) -> Where:
    """Bundles one after the other, the busiest first, each where it costs least with those that stand."""
    where: Where = ((),) * len(occupancy.bundles)
    for number in _busiest_first([bundle.seconds for bundle in occupancy.bundles]):
        options = [(*where[:number], (gpu,), *where[number + 1 :]) for gpu in range(occupancy.gpus)]
        where = _least(occupancy, room, options) or where
    return where


def by_chain(occupancy: Occupancy, room: Room) -> Where:
    """Chains one after the other, the busiest first, each as a whole where it costs least, or what is new of it."""
    moves = Moves(occupancy)
    where: Where = ((),) * len(occupancy.bundles)
    for number in _busiest_first([_work(occupancy, route.bundles) for route in occupancy.routes]):
        missing = [bundle for bundle in occupancy.routes[number].bundles if not where[bundle]]
        options = [moves.with_chain(where, number, gpu) for gpu in range(occupancy.gpus)]
        options += [
            tuple((gpu,) if bundle in missing else gpus for bundle, gpus in enumerate(where))
            for gpu in range(occupancy.gpus)
        ]
        found = _least(occupancy, room, options)
        if found is None:  # not in one piece
            for bundle in missing:
                options = [(*where[:bundle], (gpu,), *where[bundle + 1 :]) for gpu in range(occupancy.gpus)]
                where = _least(occupancy, room, options) or where
        else:
            where = found
    return where


def copied(occupancy: Occupancy, room: Room, where: Where) -> Where:
    """Further copies of whole chains: to the one whose blocks have most to do, as long as the estimate gets better."""
    moves, cost = Moves(occupancy), occupancy.cost(where)
    done: set[int] = set()
    while True:
        routes = [number for number in range(len(occupancy.routes)) if number not in done]
        if not routes:
            return where
        busiest = max(
            routes,
            key=lambda r: (
                max(occupancy.bundles[b].seconds / len(where[b]) for b in occupancy.routes[r].bundles),
                -r,
            ),
        )
        options = [moves.with_chain(where, busiest, gpu) for gpu in range(occupancy.gpus)]
        found = _least(occupancy, room, [option for option in options if option != where])
        if found is None or occupancy.cost(found) >= cost:
            done.add(busiest)
            continue
        where, cost = found, occupancy.cost(found)


def scattered(bundles: Sequence[Bundle], room: Room, gpus: int, rng: np.random.Generator | None) -> Where:
    """Every bundle on any GPU with room, or in turn without a generator; then copies of the busiest likewise."""
    where: list[tuple[int, ...]] = [()] * len(bundles)
    used, held, further, turn = [0] * gpus, [0] * gpus, room.copies_bytes, 0

    def put(number: int) -> bool:
        nonlocal turn
        free = [
            gpu
            for gpu in range(gpus)
            if gpu not in where[number]
            and used[gpu] + bundles[number].nbytes <= room.gpu_bytes
            and held[gpu] < room.copies
        ]
        if not free:
            return False
        gpu = int(rng.choice(free)) if rng else min(free, key=lambda g: (g - turn) % gpus)
        turn += 1
        used[gpu] += bundles[number].nbytes
        held[gpu] += 1
        where[number] = tuple(sorted((*where[number], gpu)))
        return True

    order = _busiest_first([bundle.seconds for bundle in bundles])
    if not all([put(number) for number in order]):
        return tuple(where)
    while True:
        order = _busiest_first([b.seconds / len(gpus) for b, gpus in zip(bundles, where, strict=True)])
        for number in order:
            if bundles[number].nbytes <= further and bundles[number].seconds and put(number):
                further -= bundles[number].nbytes
                break
        else:
            return tuple(where)


def _busiest_first(seconds: Sequence[float]) -> list[int]:
    return sorted(range(len(seconds)), key=lambda number: (-seconds[number], number))


def _work(occupancy: Occupancy, bundles: Sequence[int]) -> float:
    return sum(occupancy.bundles[bundle].seconds for bundle in bundles)


def _least(occupancy: Occupancy, room: Room, options: Sequence[Where]) -> Where | None:
    """The best of those that have room."""
    return min(
        (option for option in options if room.holds(occupancy, option)), key=occupancy.cost, default=None
    )


def refuse_if_too_large(segment: Segment, cluster: Cluster) -> None:
    """Raises UserError for a block that cannot serve one request of full length on one GPU."""
    need = segment.weight_bytes + segment.context_bytes
    if need > cluster.gpu_bytes:
        raise UserError(
            f"{_named(segment)} needs {need / 1e9:.1f} GB with the KV cache of one full context, "
            f"a GPU has {cluster.gpu_bytes / 1e9:.1f} GB: cut the model into smaller blocks or take larger GPUs."
        )


def _with_cold(
    content: Catalogue,
    spots: list[Spot],
    homeless: Sequence[Segment],
    load: Load,
    cluster: Cluster,
) -> list[Spot]:
    """Blocks without room get the least loaded GPU on which they may be exchanged.

    The blocks of a chain have to be there at the same time. Raises UserError where that cannot be.
    """
    copies = Counter(spot.segment for spot in spots)
    loads = [0.0] * cluster.gpus
    for spot in spots:
        loads[spot.gpu] += load.seconds[spot.segment] / copies[spot.segment]
    for segment in homeless:
        where = [
            gpu for gpu in range(cluster.gpus) if _beside(content, spots, segment, gpu) <= cluster.gpu_bytes
        ]
        if not where:
            raise UserError(
                f"{_named(segment)} fits no GPU together with what its chains have there: "
                "add GPUs or take larger ones."
            )
        gpu = min(where, key=lambda g: (loads[g], g))
        loads[gpu] += load.seconds[segment.id]
        spots.append(Spot(segment.id, gpu, cold=True))
    return spots


def _beside(content: Catalogue, spots: Sequence[Spot], segment: Segment, gpu: int) -> int:
    """Bytes of a segment, its chains' other segments on a GPU, and one request's KV cache."""
    there = {spot.segment for spot in spots if spot.gpu == gpu}
    most = 0
    for chain in content.chains:
        if segment.id in chain:
            most = max(most, sum(content.segments[s].weight_bytes for s in set(chain) & there))
    return most + segment.weight_bytes + segment.context_bytes


def _named(segment: Segment) -> str:
    return f"block {segment.id} ({segment.shape.name}, layers {segment.low / 2:g} to {segment.high / 2:g})"
