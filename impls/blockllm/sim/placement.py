"""Which GPU holds which block before serving begins (spec §2.6): greedy by demand, then exchanges of pairs.

What is minimised is an estimate of decoding requests in the system: tokens a second × seconds for a token. A token
takes a round of its GPU, over everything that is active there, and where its chain crosses to another GPU also a
round of that one, and the links. `locality` counts all of it, `balanced` leaves crossings out; `round_robin` and
`random` are what the paper's placement is held against.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from remeasure.errors import UserError

from .catalogue import Catalogue, Segment
from .cluster import Cluster
from .config import Serving
from .demand import Load

WARMTH = 0.2
"""Share of the first cost that a change for the worse may typically have when exchanges begin."""
ROUNDS = 6
"""Steps towards the length of a GPU's round: it grows with its batches, and they with it."""
BUSIEST = 0.95
"""Share of a GPU's time that prompts can take in the estimate."""


@dataclass(frozen=True)
class Spot:
    """A copy of a segment on a GPU; cold: its weights wait in host memory."""

    segment: int
    gpu: int
    cold: bool = False


class Problem:
    """What a placement is judged by."""

    def __init__(self, serving: Serving, content: Catalogue, load: Load, cluster: Cluster) -> None:
        self.content, self.load = content, load
        self.between, self.gpus = cluster.between(), cluster.gpus
        self.limit = cluster.gpu_bytes - max(
            serving.kv_reserve * cluster.gpu_bytes, max(s.context_bytes for s in content.segments)
        )
        """Bytes of weights on one GPU at most: one request of full length always has to fit beside them."""
        self.travels = serving.placement == "locality"
        self.near: dict[int, list[int]] = defaultdict(list)
        """Segments that exchange traffic with one."""
        self.on_links: dict[tuple[int, int], list[float]] = {}
        """Rows on the way between two segments, by link, if all their traffic took it; lower number first."""
        self.forward: dict[tuple[int, int], float] = {}
        """Decoding rows a second from a segment to a later one of its chain."""
        for (a, b), rate in load.steps.items():
            pair = (min(a, b), max(a, b))
            if pair not in self.on_links:
                self.near[a].append(b)
                self.near[b].append(a)
            costs = self.on_links.setdefault(pair, [0.0, 0.0, 0.0])
            hidden = content.segments[a].hidden_bytes
            for number, link in enumerate(cluster.links):
                tokens = load.tokens.get((a, b), 0.0)
                costs[number] += rate * link.seconds(hidden) + tokens * hidden / link.bytes_per_s
            if content.segments[b].low > content.segments[a].low:
                self.forward[a, b] = rate

    def round_s(self, held: Iterable[tuple[int, float]]) -> float:
        """Seconds of a round over segments on one GPU, each with its share of the segment's requests."""
        load = self.load
        rates = [(load.rows[s] * share, load.iteration_s[s]) for s, share in held]
        prefill = min(BUSIEST, sum(load.prefill_s[s] * share for s, share in held))
        seconds = sum(times[1] for _, times in rates)
        for _ in range(ROUNDS):
            total = 0.0
            for rate, times in rates:
                rows, full = rate * seconds, len(times) - 1
                if rows <= 1:
                    total += rows * times[1]
                elif rows <= full:
                    total += times[int(rows)]
                else:  # more than a batch: some wait for the next one
                    total += times[full] * rows / full
            seconds = total / (1 - prefill)
        return seconds

    def travel(self, a: int, b: int, at_a: Sequence[int], at_b: Sequence[int], rounds: list[float]) -> float:
        """Rows under way between two segments with copies on these GPUs, and waiting where they cross to.

        Requests choose paths, so each copy of the one with fewer copies has its traffic with the best of the other.
        """
        low, high = (a, b) if a < b else (b, a)
        at_low, at_high = (at_a, at_b) if a < b else (at_b, at_a)
        links = self.on_links[low, high]
        up, down = self.forward.get((low, high), 0.0), self.forward.get((high, low), 0.0)
        few_low = len(at_low) <= len(at_high)
        total = 0.0
        for x in at_low if few_low else at_high:
            best = float("inf")
            for y in at_high if few_low else at_low:
                g, h = (x, y) if few_low else (y, x)
                cost = links[self.between[g][h]]
                if g != h:
                    cost += up * rounds[h] + down * rounds[g]
                best = min(best, cost)
            total += best
        return total / min(len(at_low), len(at_high))


class Plan:
    """A placement that is being made or improved."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.segment: list[int] = []
        self.gpu: list[int] = []
        self.copies: dict[int, list[int]] = defaultdict(list)
        """Numbers of a segment's copies."""
        self.held: list[list[int]] = [[] for _ in range(problem.gpus)]
        """Segments by GPU."""
        self.bytes = [0] * problem.gpus
        self.planned: dict[int, int] = {}
        """Copies that a segment is going to have."""
        self.rounds = [0.0] * problem.gpus

    def put(self, segment: int, gpu: int) -> None:
        self.copies[segment].append(len(self.gpu))
        self.segment.append(segment)
        self.gpu.append(gpu)
        self._arrive(segment, gpu)

    def move(self, copy: int, gpu: int) -> None:
        segment, old = self.segment[copy], self.gpu[copy]
        self.held[old].remove(segment)
        self.bytes[old] -= self.problem.content.segments[segment].weight_bytes
        self.rounds[old] = self.round_s(old)
        self.gpu[copy] = gpu
        self._arrive(segment, gpu)

    def _arrive(self, segment: int, gpu: int) -> None:
        self.held[gpu].append(segment)
        self.bytes[gpu] += self.problem.content.segments[segment].weight_bytes
        self.rounds[gpu] = self.round_s(gpu)

    def share(self, segment: int) -> float:
        """Of a segment's requests that one copy serves."""
        return 1 / self.planned.get(segment, 1)

    def round_s(self, gpu: int, more: Sequence[int] = ()) -> float:
        held = sorted(
            [*self.held[gpu], *more]
        )  # in order: the sum's last bit must not hang on what came first
        return self.problem.round_s([(s, self.share(s)) for s in held])

    def fits(self, segment: int, gpu: int, without: int = 0) -> bool:
        """Whether a GPU has room and no copy of that segment, once `without` bytes have left."""
        need = self.bytes[gpu] - without + self.problem.content.segments[segment].weight_bytes
        return need <= self.problem.limit and segment not in self.held[gpu]

    def where(self, segment: int) -> list[int]:
        return [self.gpu[copy] for copy in self.copies[segment]]

    def cost(self) -> float:
        return self.around(range(self.problem.gpus))

    def around(self, gpus: Iterable[int]) -> float:
        """Requests on these GPUs, and under way to, from or between their blocks."""
        problem, load = self.problem, self.problem.load
        total = 0.0
        pairs: set[tuple[int, int]] = set()
        for gpu in gpus:
            begun = sum(load.rows[s] * self.share(s) for s in sorted(self.held[gpu]) if load.first[s])
            total += begun * self.rounds[gpu]
            if problem.travels:
                pairs |= {(min(a, b), max(a, b)) for a in self.held[gpu] for b in problem.near[a]}
        for a, b in sorted(pairs):
            if self.copies[a] and self.copies[b]:
                total += problem.travel(a, b, self.where(a), self.where(b), self.rounds)
        return total


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
    problem = Problem(serving, content, load, cluster)
    rng = np.random.default_rng([seed, 0x91A])
    plan = Plan(problem)
    order = sorted(content.segments, key=lambda segment: (-load.seconds[segment.id], segment.id))
    for segment in order:
        refuse_if_too_large(segment, cluster)
    further = replicas(serving, content, load, problem)
    counts = np.bincount([segment.id for segment in (*order, *further)], minlength=len(order))
    plan.planned = {s.id: int(counts[s.id]) for s in order}
    homeless = [segment for segment in order if not _put(serving, plan, segment, rng)]
    if homeless and not serving.swap:
        raise UserError(
            f"the {len(order)} blocks take {content.weight_bytes / 1e9:.0f} GB, more than {cluster.gpus} GPUs hold "
            f"beside their KV caches ({problem.limit * cluster.gpus / 1e9:.0f} GB): add GPUs or set swap."
        )
    if not homeless:
        for segment in further:
            _put(serving, plan, segment, rng)
    plan.planned = {segment: len(copies) for segment, copies in plan.copies.items()}
    plan.rounds = [plan.round_s(gpu) for gpu in range(problem.gpus)]
    if serving.placement in ("locality", "balanced"):
        improve(plan, serving.swaps, rng)
    spots = [Spot(segment, gpu) for segment, gpu in zip(plan.segment, plan.gpu, strict=True)]
    return _with_cold(content, spots, homeless, load, cluster)


def replicas(serving: Serving, content: Catalogue, load: Load, problem: Problem) -> list[Segment]:
    """Further copies in the order they are given out: always to the block whose copies have most to do."""
    room = max(0.0, problem.limit * problem.gpus - content.weight_bytes) * serving.replica_share
    copies = [1] * len(content.segments)
    given: list[Segment] = []
    while True:
        busiest = sorted(content.segments, key=lambda s: (-load.seconds[s.id] / copies[s.id], s.id))
        for segment in busiest:
            group = [segment, *_followers(serving, content, load, problem, segment)]
            group = [s for s in group if copies[s.id] <= copies[segment.id] < problem.gpus]
            need = sum(s.weight_bytes for s in group)
            if group and need <= room and load.seconds[segment.id]:
                break
        else:
            return given
        room -= need
        given += group
        for s in group:
            copies[s.id] += 1


def _followers(
    serving: Serving, content: Catalogue, load: Load, problem: Problem, segment: Segment
) -> list[Segment]:
    """Small blocks whose heaviest neighbour this is."""
    small = []
    for other in problem.near[segment.id]:
        neighbour = content.segments[other]
        heaviest = max(problem.near[other], key=lambda s: (content.segments[s].weight_bytes, -s))
        if heaviest == segment.id and neighbour.weight_bytes < serving.follow * segment.weight_bytes:
            small.append(neighbour)
    return sorted(small, key=lambda s: (-load.seconds[s.id], s.id))


def improve(plan: Plan, tries: int, rng: np.random.Generator) -> None:
    """Exchange two copies, or move one, `tries` seeded random proposals; the best placement seen stays.

    A change for the worse is accepted at first, ever less likely, so that two changes may do what one cannot.
    """
    copies, gpus = len(plan.gpu), plan.problem.gpus
    if copies < 1 or gpus < 2 or not tries:
        return
    sizes = [segment.weight_bytes for segment in plan.problem.content.segments]
    cost = least = plan.cost()
    best, warmth = list(plan.gpu), WARMTH * cost
    proposals = rng.integers(0, [copies, copies, 2 * gpus], size=(tries, 3)).tolist()
    for number, (first, second, target) in enumerate(proposals):
        exchange = target >= gpus
        a, b = plan.gpu[first], plan.gpu[second] if exchange else target
        moved, back = plan.segment[first], plan.segment[second] if exchange else -1
        if a == b or not plan.fits(moved, b, sizes[back] if exchange else 0):
            continue
        if exchange and not plan.fits(back, a, sizes[moved]):
            continue
        before = plan.around((a, b))
        plan.move(first, b)
        if exchange:
            plan.move(second, a)
        change = plan.around((a, b)) - before
        if change > -warmth * (1 - number / tries) ** 2 * log(1 - rng.random()):
            plan.move(first, a)
            if exchange:
                plan.move(second, b)
            continue
        cost += change
        if cost < least - 1e-12:
            least, best = cost, list(plan.gpu)
    for copy, gpu in enumerate(best):
        plan.move(copy, gpu)


def refuse_if_too_large(segment: Segment, cluster: Cluster) -> None:
    """Raises UserError for a block that cannot serve one request of full length on one GPU."""
    need = segment.weight_bytes + segment.context_bytes
    if need > cluster.gpu_bytes:
        raise UserError(
            f"{_named(segment)} needs {need / 1e9:.1f} GB with the KV cache of one full context, "
            f"a GPU has {cluster.gpu_bytes / 1e9:.1f} GB: cut the model into smaller blocks or take larger GPUs."
        )


def _put(serving: Serving, plan: Plan, segment: Segment, rng: np.random.Generator) -> bool:
    """Give a copy the best GPU with room; False: there is none."""
    where = [gpu for gpu in range(plan.problem.gpus) if plan.fits(segment.id, gpu)]
    if serving.resident_models:
        held = np.bincount(plan.gpu, minlength=plan.problem.gpus) if plan.gpu else [0] * plan.problem.gpus
        where = [gpu for gpu in where if held[gpu] < serving.resident_models]
    if not where:
        return False
    if serving.placement == "random":
        gpu = int(rng.choice(where))
    elif serving.placement == "round_robin":
        turn = len(plan.gpu) % plan.problem.gpus
        gpu = min(where, key=lambda g: (g - turn) % plan.problem.gpus)
    else:
        gpu = min(where, key=lambda g: (_added(plan, segment.id, g), g))
    plan.put(segment.id, gpu)
    return True


def _added(plan: Plan, segment: int, gpu: int) -> float:
    """What putting a copy there adds to the cost, with its neighbours as they stand."""
    problem, load = plan.problem, plan.problem.load
    after = plan.round_s(gpu, [segment])
    begun = sum(load.rows[s] * plan.share(s) for s in plan.held[gpu] if load.first[s])
    added = begun * (after - plan.rounds[gpu])
    if load.first[segment]:
        added += load.rows[segment] * plan.share(segment) * after
    if problem.travels:
        rounds = [after if g == gpu else r for g, r in enumerate(plan.rounds)]
        for other in problem.near[segment]:
            if plan.copies[other]:
                added += plan.share(segment) * problem.travel(
                    segment, other, [gpu], plan.where(other), rounds
                )
    return added


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
