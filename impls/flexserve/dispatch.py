"""Mean TTFT of two models that share a cache, for many devices at little cost (June §7.4, Fig 8).

The server is run once, on the nominal device, and the layers that each request found in memory are noted. Another
device sees the same requests in the same states: the server's mean is multiplied by how much their prefills change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .config import System
from .sim.costs import GIB, Costs
from .sim.server import simulate
from .sim.timeline import prefill
from .workloads import dispatched

if TYPE_CHECKING:
    from remeasure.datasets.ondevice.loader import Stream, Workloads

KNOTS = 12
"""Prompt lengths at which a prefill is computed; between them it is a straight line."""


class Curves:
    """TTFT over prompt lengths on one device, each state computed once."""

    def __init__(self, costs: Costs, shortest: int, longest: int) -> None:
        self.costs = costs
        self.tokens = np.unique(np.rint(np.geomspace(shortest, longest, KNOTS)))
        self._known: dict[tuple[System, str, int], np.ndarray] = {}

    def ttft_s(self, system: System, model: str, layers: int, tokens: np.ndarray) -> np.ndarray:
        """Seconds float64 [n] for prompts of `tokens` [n], with the first `layers` in memory."""
        state = (system, model, layers)
        if state not in self._known:
            self._known[state] = np.array(
                [
                    prefill(system, model, int(n), self.costs, cached_parts=layers).ttft_s
                    for n in self.tokens.tolist()
                ]
            )
        return np.asarray(np.interp(tokens, self.tokens, self._known[state]))


@dataclass(frozen=True, eq=False)
class _Served:
    """A stream as the server went through it."""

    mean_ttft_s: float
    states: tuple[tuple[str, int, np.ndarray], ...]
    """(model, layers in memory, which requests)."""
    nominal_s: float
    """Mean of these states' prefills on the nominal device."""


@dataclass(frozen=True, eq=False)
class Dispatch:
    """Every stream under every system that is asked about."""

    served: dict[tuple[str, str, System], _Served]

    @classmethod
    def of(cls, data: Workloads, systems: Iterable[System], costs: Costs, pause_s: float) -> Dispatch:
        """Run the server with the data's cache on all streams; `costs` are those of the nominal device."""
        served = {}
        for system in systems:
            for stream in data.streams:
                curves = Curves(costs, stream.shortest_tokens, stream.longest_tokens)
                served[_key(stream, system)] = _serve(stream, system, curves, data.cache_gib, pause_s)
        return cls(served)

    def mean_ttft_s(self, stream: Stream, system: System, curves: Curves, factor: float) -> float:
        """Mean TTFT of the stream's requests in the states of the nominal device, prompts' median times `factor`."""
        known = self.served[_key(stream, system)]
        seconds = _mean(stream, system, known.states, curves, factor)
        return known.mean_ttft_s * seconds / known.nominal_s


def _key(stream: Stream, system: System) -> tuple[str, str, System]:
    return stream.group.name, stream.lengths.name, system


def _serve(stream: Stream, system: System, curves: Curves, cache_gib: float, pause_s: float) -> _Served:
    outcome = simulate(system, dispatched(stream, pause_s), curves.costs, cache_gib=cache_gib)
    names = np.array(stream.group.models)[stream.model]
    layers = np.array(
        [
            round(nbytes / (curves.costs.weights_gib(model) * GIB) * curves.costs.layers(model))
            for model, nbytes in zip(names.tolist(), outcome.hit_bytes.tolist(), strict=True)
        ]
    )
    states = tuple(
        (model, int(count), np.flatnonzero((names == model) & (layers == count)))
        for model in stream.group.models
        for count in np.unique(layers[names == model])
    )
    return _Served(float(outcome.ttft_s.mean()), states, _mean(stream, system, states, curves, 1.0))


def _mean(
    stream: Stream,
    system: System,
    states: Iterable[tuple[str, int, np.ndarray]],
    curves: Curves,
    factor: float,
) -> float:
    tokens = stream.prompt_tokens(factor)
    total = sum(
        float(curves.ttft_s(system, model, layers, tokens[which]).sum()) for model, layers, which in states
    )
    return total / len(tokens)
