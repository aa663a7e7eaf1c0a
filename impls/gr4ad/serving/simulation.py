"""A day of requests in a few seconds: what beam widths cost when the machine is full, and bring when it is not (§5).

Requests arrive by the hour's rate, wait in one line for one of several threads, and are dropped when their turn would
come too late. A policy chooses the widths of each window of time from the arrivals before it; how long a request then
takes is drawn from measured times. One seed gives one day, the same for all policies.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from remeasure.errors import UserError

from .traffic import TABS

HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class Machine:
    """What was measured of the widths that a policy may choose from, narrowest first."""

    times: np.ndarray
    """float64 [widths, samples], s, above 0: measured service times of one thread while all threads work."""
    scale: np.ndarray
    """float64 [widths], ascending: each width relative to the narrowest, which is 1."""
    value: np.ndarray
    """float64 [widths]: what an answer at each width is worth, in any unit."""
    threads: int = 1
    """Requests served at the same time."""

    def __post_init__(self) -> None:
        if not (len(self.times) == len(self.scale) == len(self.value) and self.times.size):
            raise ValueError("times, scale and value must have one row for each width")
        if not (self.times > 0).all() or self.threads < 1:
            raise UserError("service times and the number of threads must be above 0; measure them again.")

    def capacity(self, width: int = 0) -> float:
        """Requests/s at which every thread works all the time."""
        return self.threads / float(self.times[width].mean())


@dataclass(frozen=True)
class Day:
    """Whose requests come when."""

    rates: tuple[float, ...]
    """Requests/s of each hour, at least 0: 24 of them for a day."""
    seed: int
    """Of arrivals and of the draws of service times."""
    slo: float
    """s from arrival to answer; a request whose turn comes later than that after its arrival is dropped."""
    window: float = 10.0
    """s between a policy's choices."""
    hour: float = HOUR
    """s that an hour lasts; a shorter one keeps the day's shape with fewer requests."""

    def __post_init__(self) -> None:
        if not self.rates or not all(0 <= rate < np.inf for rate in self.rates):
            raise UserError("give the requests/s of every hour, each at least 0.")
        if not (self.slo > 0 and self.window > 0 and self.hour > 0):
            raise UserError(
                f"slo is {self.slo} s, the window {self.window} s, an hour {self.hour} s; give more than 0."
            )

    def arrivals(self) -> np.ndarray:
        """float64 [requests], s, ascending: a Poisson process with the hours' rates."""
        rng = np.random.default_rng([0, self.seed])
        counts = rng.poisson(np.array(self.rates) * self.hour)
        hour = np.repeat(np.arange(len(counts)), counts)
        arrivals: np.ndarray = np.sort((hour + rng.random(len(hour))) * self.hour)
        return arrivals


@dataclass(frozen=True, eq=False)
class Served:
    """What became of every request, in order of arrival."""

    arrival: np.ndarray
    """float64 [requests], s."""
    width: np.ndarray
    """int64 [requests], which of the machine's widths was chosen."""
    wait: np.ndarray
    """float64 [requests], s from arrival to its turn; infinite for a dropped one."""
    latency: np.ndarray
    """float64 [requests], s from arrival to answer; infinite for a dropped one."""


@dataclass(frozen=True)
class Hours:
    """A day hour by hour, and `total` for all of it; a share of nothing is nan."""

    load: list[float]
    """Arriving work at the narrowest width over what the threads can do; 1 is full."""
    width: list[float]
    """Mean scale of the width, over all requests."""
    p95: list[float]
    """s, 95th percentile of the latency of answered requests."""
    dropped: list[float]
    """Share of requests."""
    late: list[float]
    """Share of requests that were answered after the objective."""
    value: list[float]
    """Sum over requests answered in time."""


def fixed(requests: np.ndarray, width: int) -> np.ndarray:
    """The same width for all requests, int64 [requests]."""
    return np.full(len(requests), width)


def adaptive(requests: np.ndarray, machine: Machine, controller: TABS, window: float) -> np.ndarray:
    """Each request's width, int64 [requests]: the widest whose scale is at most f of the window it comes in."""
    place = (requests // window).astype(np.int64)
    rates = np.bincount(place) / window
    chosen = np.searchsorted(machine.scale, controller.factors(rates) + 1e-9, side="right") - 1
    return np.maximum(chosen, 0)[place]


def serve(day: Day, machine: Machine, width: np.ndarray) -> Served:
    """The day's requests with given widths, int64 [requests], first come, first served."""
    arrival = day.arrivals()
    # One quantile a request, whatever its width, so that two policies differ by their choices alone.
    samples = machine.times.shape[1]
    draw = np.random.default_rng([1, day.seed]).integers(samples, size=len(arrival))
    service = np.sort(machine.times, axis=1)[width, draw]
    wait = waits(arrival, service, machine.threads, day.slo)
    return Served(arrival, width, wait, wait + service)


def waits(arrival: np.ndarray, service: np.ndarray, threads: int, patience: float) -> np.ndarray:
    """s until each request's turn, float64 [requests]; infinite, and no work done, where that exceeds `patience`.

    Whether a request is dropped depends on all before it, so this goes request by request.
    """
    free = [0.0] * threads
    result = np.full(len(arrival), np.inf)
    for at, (now, work) in enumerate(zip(arrival.tolist(), service.tolist(), strict=True)):
        begin = free[0] if free[0] > now else now
        if begin - now <= patience:
            result[at] = begin - now
            heapq.heapreplace(free, begin + work)
    return result


def by_hour(day: Day, machine: Machine, served: Served) -> tuple[Hours, Hours]:
    """What happened in each hour, and in all of the day as lists of one."""
    hours = len(day.rates)
    hour = np.minimum((served.arrival // day.hour).astype(np.int64), hours - 1)
    return _summary(day, machine, served, hour, hours), _summary(day, machine, served, hour * 0, 1, hours)


def _summary(
    day: Day, machine: Machine, served: Served, group: np.ndarray, groups: int, hours: int = 1
) -> Hours:
    answered = np.isfinite(served.latency)
    in_time = served.latency <= day.slo
    counts = np.bincount(group, minlength=groups)

    def share(what: np.ndarray) -> list[float]:
        with np.errstate(invalid="ignore"):
            shares: list[float] = (np.bincount(group, weights=what, minlength=groups) / counts).tolist()
        return shares

    parts = [served.latency[answered & (group == g)] for g in range(groups)]
    worth = np.where(in_time, machine.value[served.width], 0.0)
    return Hours(
        load=(counts / (day.hour * hours * machine.capacity())).tolist(),
        width=share(machine.scale[served.width]),
        p95=[float(np.quantile(part, 0.95)) if len(part) else np.nan for part in parts],
        dropped=share(~answered),
        late=share(answered & ~in_time),
        value=np.bincount(group, weights=worth, minlength=groups).tolist(),
    )
