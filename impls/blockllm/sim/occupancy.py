"""What a placement is judged by (spec §2.6): an estimate of the requests that are in the system at a time.

A GPU takes turns: a round is one iteration of every block that has rows. A block has rows in it with the probability
of a Poisson number of them, whose mean is the block's rate × the time that a row stays: the round of all others, the
iteration that it is in, and what prompts take of the time. A chain's token visits every GPU on its way, waits there for
a round (who is let through first makes others wait) and crosses the links between them. By Little's law the sum over
all tokens is the number of requests that decode, which is what users wait for.

Blocks that the same chains have in the same order are one bundle: nothing is gained by parting them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp

from .catalogue import Catalogue
from .cluster import Cluster
from .config import Serving
from .demand import Load

ROUNDS = 5
"""Steps towards the length of a GPU's round: it grows with its batches, and they with it."""
BUSIEST = 0.9
"""Share of a GPU's time that it can be asked for; what is more makes everything slower in proportion."""

Where = tuple[tuple[int, ...], ...]
"""GPUs with a copy, ascending, by bundle; none: it has no place yet."""


@dataclass(frozen=True)
class Bundle:
    """Segments that are placed as one."""

    segments: tuple[int, ...]
    nbytes: int
    """Of weights."""
    read_s: float
    """Of one iteration of each, whatever its rows."""
    row_s: float
    full: int
    seconds: float
    """GPU seconds a second at least."""


@dataclass(frozen=True)
class Route:
    """A chain as bundles, and what all apps that share it ask of it a second."""

    bundles: tuple[int, ...]
    rows: float
    prompt_s: tuple[float, ...]
    """GPU seconds for prompts, by place."""
    parts: tuple[float, ...]
    """Share of each place in the time of a token."""
    on_links: tuple[float, ...]
    """Rows and prompts on their way, by link, if all that is between two bundles took it."""
    back: tuple[float, ...]
    """Likewise from the last bundle to the first: tokens, whose size is nothing."""


@dataclass(frozen=True)
class Flow:
    """What comes to one bundle on one GPU from a route."""

    gpu: int
    bundle: int
    rows: float
    busy: float
    """Share of the GPU's time that prompts take."""
    turns: float
    """Of the rows, those that wait for a turn of the GPU here."""


@dataclass(frozen=True)
class Way:
    """How a route's requests go, all copies together."""

    flows: tuple[Flow, ...]
    on_links: float
    """Rows and prompts on their way."""


def runs_of(content: Catalogue) -> list[list[int]]:
    """Runs of segments that the same chains have one after the other."""
    runs: list[list[int]] = []
    known: set[int] = set()
    for chain in content.chains:
        before: int | None = None
        for s in chain:
            if s in known:
                before = None
                continue
            if before is not None and content.segments[before].apps == content.segments[s].apps:
                runs[-1].append(s)
            else:
                runs.append([s])
            known.add(s)
            before = s
    return runs


def bundled(content: Catalogue, load: Load, runs: Sequence[Sequence[int]]) -> tuple[Bundle, ...]:
    """Runs of segments with what they weigh and take."""
    return tuple(
        Bundle(
            tuple(run),
            sum(content.segments[s].weight_bytes for s in run),
            sum(load.read_s[s] for s in run),
            sum(load.row_s[s] for s in run),
            min(load.full[s] for s in run),
            sum(load.seconds[s] for s in run),
        )
        for run in runs
    )


class Occupancy:
    """Costs of placements of bundles; parts that placements have in common are computed once."""

    def __init__(
        self, serving: Serving, content: Catalogue, load: Load, cluster: Cluster, bundles: Sequence[Bundle]
    ) -> None:
        self.bundles, self.gpus = tuple(bundles), cluster.gpus
        self.between = cluster.between()
        self.local = serving.placement != "balanced"
        """Whether crossings count."""
        self.routes = _routes(content, load, cluster, self.bundles)
        self._ways: dict[tuple[int, Where], Way] = {}
        self._stays: dict[tuple[object, ...], tuple[float, float]] = {}

    def cost(self, where: Sequence[tuple[int, ...]]) -> float:
        """Requests in the system; bundles without a place are left out."""
        rows: list[dict[int, float]] = [{} for _ in range(self.gpus)]
        busy, turns = [0.0] * self.gpus, [0.0] * self.gpus
        total = 0.0
        for number in range(len(self.routes)):
            way = self.way(number, where)
            total += way.on_links
            for flow in way.flows:
                gpu = flow.gpu
                there = rows[gpu]
                there[flow.bundle] = there.get(flow.bundle, 0.0) + flow.rows
                busy[gpu] += flow.busy
                turns[gpu] += flow.turns
        for gpu, there in enumerate(rows):
            if there:
                round_s, own = self._stay(there, busy[gpu])
                total += turns[gpu] * round_s + own
        return total

    def way(self, number: int, where: Sequence[tuple[int, ...]]) -> Way:
        """Where a route goes: its rarest bundle's copies share the requests, others are taken as near as they are."""
        route = self.routes[number]
        key = (number, tuple([where[bundle] for bundle in route.bundles]))
        found = self._ways.get(key)
        if found is None:
            places = [place for place, gpus in enumerate(key[1]) if gpus]
            homes = min((key[1][place] for place in places), key=len, default=())
            flows: list[Flow] = []
            on_links = 0.0
            for home in homes:
                gpus = [
                    min(key[1][place], key=lambda g: (self.between[home][g], (g - home) % self.gpus))
                    for place in places
                ]
                flows += self._flows(route, places, gpus, 1 / len(homes))
                if self.local:
                    for a, b in pairwise(gpus):
                        on_links += route.on_links[self.between[a][b]] / len(homes)
                    on_links += route.back[self.between[gpus[-1]][gpus[0]]] / len(homes)
            found = self._ways[key] = Way(tuple(flows), on_links)
        return found

    def _flows(self, route: Route, places: list[int], gpus: list[int], share: float) -> list[Flow]:
        """Of a share of a route's requests that finds its places on these GPUs."""
        flows: list[Flow] = []
        before = -1
        rows = share * route.rows
        for place, gpu in zip(places, gpus, strict=True):
            turns = 0.0
            if not self.local:  # as if every part of a step waited for its part of a round
                turns = rows * route.parts[place]
            elif gpu != before:
                turns = rows
            flows.append(Flow(gpu, route.bundles[place], rows, share * route.prompt_s[place], turns))
            before = gpu
        return flows

    def _stay(self, rows: dict[int, float], busy: float) -> tuple[float, float]:
        """Seconds of a GPU's round, and the requests that are there for what their own iterations and prompts add."""
        key = (busy, *rows.items())
        found = self._stays.get(key)
        if found is None:
            found = self._stays[key] = self._turns(rows, busy)
        return found

    def _turns(self, rows: dict[int, float], busy: float) -> tuple[float, float]:
        held = [
            (self.bundles[b].read_s, self.bundles[b].row_s, self.bundles[b].full, r) for b, r in rows.items()
        ]
        asked = busy + sum([rate * (read / full + row) for read, row, full, rate in held])
        over = max(1.0, asked / BUSIEST)
        held = [(read, row, full, rate / over) for read, row, full, rate in held]
        stretch = 1 / (1 - busy / over)
        growing = stretch * sum([row * rate for _, row, _, rate in held])
        """What rows that come during a round add to it, as a share of it."""
        stays = [(read + row) * stretch for read, row, _, _ in held]
        for _ in range(ROUNDS):
            round_s = 0.0
            alone: list[float] = []
            for (read, row, full, rate), stay in zip(held, stays, strict=True):
                n = rate * stay
                idle = exp(-n)
                own = read * idle + row
                alone.append(own)
                round_s += read * max(1 - idle, n / full) + stretch * rate * row * own
            round_s /= 1 - growing
            stays = [(round_s + own) * stretch for own in alone]
        own_rows = sum([rate * own for (_, _, _, rate), own in zip(held, alone, strict=True)])
        # Without end beyond its capacity; here along the tangent of 1 / (1 - asked).
        slower = stretch * (1 + BUSIEST / (1 - BUSIEST) * (over - 1)) * over
        return round_s * slower, (own_rows + busy / over) * slower


def _routes(
    content: Catalogue, load: Load, cluster: Cluster, bundles: tuple[Bundle, ...]
) -> tuple[Route, ...]:
    of = {segment: number for number, bundle in enumerate(bundles) for segment in bundle.segments}
    apps: dict[tuple[int, ...], list[int]] = {}
    for app, chain in enumerate(content.chains):
        apps.setdefault(chain, []).append(app)
    routes: list[Route] = []
    for chain, users in apps.items():
        path = tuple(dict.fromkeys(of[s] for s in chain))
        prompt_s = dict.fromkeys(path, 0.0)
        for app in users:
            for s, seconds in zip(chain, load.prompt_s[app], strict=True):
                prompt_s[of[s]] += seconds
        rows, prompts, tokens = (
            sum(values[app] for app in users) for values in (load.rows, load.per_s, load.tokens)
        )
        hidden = content.segments[chain[0]].hidden_bytes
        read = sum(bundles[b].read_s for b in path)
        routes.append(
            Route(
                path,
                rows,
                tuple(prompt_s.values()),
                tuple(bundles[b].read_s / read for b in path),
                tuple(
                    rows * link.seconds(hidden)
                    + prompts * link.latency_s
                    + tokens * hidden / link.bytes_per_s
                    for link in cluster.links
                ),
                tuple(rows * link.latency_s for link in cluster.links),
            )
        )
    return tuple(routes)
