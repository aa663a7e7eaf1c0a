"""A day under load, and requests behind a cache: what is measured of a decoder with drawn weights, and what follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ..decoder.context import Encoded
from ..decoder.steps import DecoderSteps
from ..engine.beam import BeamSearch
from ..engine.trie import pack
from ..serving.cache import ResultCache
from ..serving.questions import Cached, OneDay
from ..serving.simulation import Day, Machine, Served, adaptive, by_hour, fixed, serve
from ..serving.traffic import TABS
from ..serving.visits import Visits
from ..serving.widths import scaled
from .drawn import drawn, search_of

DAY_S, HOURS = 86400, 24
WINDOWS = 60
"""Choices of widths an hour."""


def day(asked: OneDay, data: Any, seed: int) -> dict[str, object]:
    """A day with the arrivals by hour of the data's purchases; the arms of a block see the same requests and times."""
    machine = measured(replace(asked, policy="adaptive", load=1.0), seed)
    service = float(machine.times[0].mean())
    hour = asked.hour * service
    rates = asked.load * machine.capacity() * by_hour_of_day(data.log.time)
    of_day = Day(tuple(rates.tolist()), seed, asked.slo * service, hour / WINDOWS, hour)
    requests = of_day.arrivals()
    widths = {
        "narrow": lambda: fixed(requests, 0),
        "wide": lambda: fixed(requests, len(machine.scale) - 1),
        "adaptive": lambda: adaptive(
            requests, machine, TABS(asked.ample * machine.capacity(), asked.factors[-1]), of_day.window
        ),
    }
    served = serve(of_day, machine, widths[asked.policy]())
    hours, total = by_hour(of_day, machine, served)
    return {
        "latency, p95": 1e3 * total.p95[0],
        "dropped": 100 * total.dropped[0],
        "lost": 100 * (total.dropped[0] + total.late[0]),
        "mean width": total.width[0],
        "value": 100 * total.value[0] / len(requests),
        "busy": 100 * busy(served, asked.threads * hour * HOURS),
        "extras": {
            "by hour": asdict(hours),
            "service time at each width, ms": 1e3 * np.median(machine.times, axis=1),
            "value of an answer at each width": machine.value,
            "requests": len(requests),
        },
    }


def by_hour_of_day(times: np.ndarray) -> np.ndarray:
    """float64 [24], events of each hour of the day, as a share of the busiest one's; times float64 [E], s."""
    counts = np.bincount((times % DAY_S // 3600).astype(np.int64), minlength=HOURS)
    shares: np.ndarray = counts / counts.max()
    return shares


def busy(served: Served, seconds: float) -> float:
    """Share of the threads' `seconds` in which they serve."""
    answered = np.isfinite(served.latency)
    return float((served.latency[answered] - served.wait[answered]).sum() / seconds)


@lru_cache(maxsize=2)
def measured(asked: OneDay, seed: int) -> Machine:
    """Service times of every width, and what its answers are worth.

    All threads work while a request is timed, each by its own CPU clock: what a neighbour takes from caches and memory
    counts, what other programs or Python's lock take does not.
    """
    decoder, contexts = drawn(asked.decoding, asked.samples, seed)
    codes, base = asked.decoding.codes, asked.decoding.widths
    searches = [search_of(asked.decoding, scaled(base, factor, codes)) for factor in asked.factors]
    widest = search_of(asked.decoding, scaled(base, asked.judged, codes))

    def ids(search: BeamSearch, context: Encoded) -> np.ndarray:
        with torch.inference_mode():
            found = search.search(DecoderSteps(decoder, context)).codes[0, : asked.k]
        return pack(found.numpy(), codes)

    def timed(one: tuple[BeamSearch, Encoded]) -> tuple[float, np.ndarray]:
        before = time.thread_time()
        found = ids(*one)
        return time.thread_time() - before, found

    with ThreadPoolExecutor(asked.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(timed, [(search, contexts[0]) for search in searches for _ in range(asked.threads)]))
        got = list(pool.map(timed, [(search, context) for context in contexts for search in searches]))
        best = list(pool.map(lambda context: ids(widest, context), contexts))
    times = np.array([seconds for seconds, _ in got]).reshape(len(contexts), -1)
    recall = [np.isin(best[at // len(searches)], found).mean() for at, (_, found) in enumerate(got)]
    value = np.reshape(recall, times.shape).mean(axis=0)
    return Machine(times.T, np.array(asked.factors), value, asked.threads)


def cached(asked: Cached, seed: int) -> Callable[[], dict[str, object]]:
    """What a round runs: all requests of the visits, each answered by the cache or by the decoder, X given."""
    decoder, (context,) = drawn(asked.decoding, 1, seed)
    search = search_of(asked.decoding, asked.decoding.widths)
    visits = Visits(asked.visits, asked.again, asked.gap)
    times, users = visits.requests(np.random.default_rng([3, seed]))
    requests = list(zip(times.tolist(), users.tolist(), strict=True))

    def decoded() -> object:
        return search.search(DecoderSteps(decoder, context))

    def served(answer: Callable[[], object]) -> tuple[float, int]:
        """CPU seconds of all requests, and how many of them hit."""
        cache: ResultCache[object] = ResultCache(asked.ttl)
        hits = 0
        before = time.process_time()
        for now, user in requests:
            if cache.get(user, now) is not None:
                hits += 1
            else:
                cache.put(user, answer(), now)
        return time.process_time() - before, hits

    def once() -> dict[str, object]:
        with torch.inference_mode():
            ready = decoded()
            seconds, hits = served(decoded)
        alone, _ = served(lambda: ready)
        return {
            "CPU of a request": 1e3 * seconds / len(requests),
            "CPU of the cache": 1e6 * alone / len(requests),
            "hits": 100 * hits / len(requests),
            "extras": {"requests": len(requests), "hits expected, %": 100 * visits.hit_share(asked.ttl)},
        }

    return once
