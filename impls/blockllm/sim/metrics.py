"""Figures of one simulation (spec §6): latencies, utilisation three ways, memory, traffic, what policies did.

Requests of the first tenth are left out; those refused or unfinished count as infinitely late, so a system cannot
improve its p95 by losing requests. Streaming-multiprocessor efficiency cannot be simulated: the three utilisations are
of time, of operations and of memory traffic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cost.gpu import A100, Gpu
from .interfaces import BoolArray, FloatArray
from .outcome import COMPLETED, REJECTED, Outcome

WARM_UP = 0.1
"""Share of the requests, from the first, that are left out."""
GROWING = 1.5
"""A backlog is growing where its mean in the last quarter of the trace is more than this times the second quarter's."""


@dataclass(frozen=True)
class Slo:
    """What a request needs to count for goodput."""

    first_s: float = 2.0
    """Until the first token, at most."""
    token_s: float = 0.1
    """For each further token in the mean, at most."""


def kept(outcome: Outcome, warm_up: float = WARM_UP) -> BoolArray:
    """Which requests count, bool [n]."""
    n = len(outcome.arrival_s)
    return np.arange(n) >= int(warm_up * n)


def latency_s(outcome: Outcome) -> FloatArray:
    """Seconds from arrival to the last token, inf where there is none, float64 [n]."""
    return np.where(outcome.status == COMPLETED, outcome.finish_s - outcome.arrival_s, np.inf)


def first_token_s(outcome: Outcome) -> FloatArray:
    """Seconds from arrival to the first token, inf where there is none, float64 [n]."""
    return np.where(outcome.first_s >= 0, outcome.first_s - outcome.arrival_s, np.inf)


def per_token_s(outcome: Outcome) -> FloatArray:
    """Mean seconds between tokens, inf where an answer is not complete, NaN where it has one token, float64 [n]."""
    seconds = np.where(outcome.status == COMPLETED, outcome.finish_s - outcome.first_s, np.inf)
    return np.where(outcome.output > 1, seconds / np.maximum(outcome.output - 1, 1), np.nan)


def quantile(values: FloatArray, share: float) -> float:
    """The smallest value that at least `share` of them do not exceed; NaN for none."""
    return float(np.quantile(values, share, method="inverted_cdf")) if len(values) else float("nan")


def by_app(outcome: Outcome, share: float = 0.95, warm_up: float = WARM_UP) -> FloatArray:
    """A quantile of each app's latency, float64 [apps]; NaN for an app without requests."""
    keep, late = kept(outcome, warm_up), latency_s(outcome)
    apps = int(outcome.app.max()) + 1 if len(outcome.app) else 0
    return np.array([quantile(late[keep & (outcome.app == app)], share) for app in range(apps)])


def cold(outcome: Outcome) -> BoolArray:
    """Requests of apps that are asked less than half as often as the mean app, bool [n]."""
    asked = np.bincount(outcome.app)
    seldom: BoolArray = asked < 0.5 * asked.sum() / np.count_nonzero(asked)
    return seldom[outcome.app]


def fairness(outcome: Outcome, warm_up: float = WARM_UP) -> float:
    """Jain's index of the apps' mean latencies a token: 1 where all are alike, 1/apps where one has it all."""
    keep = kept(outcome, warm_up) & (outcome.status == COMPLETED)
    asked = np.bincount(outcome.app[keep])
    slowness = np.bincount(outcome.app[keep], weights=(latency_s(outcome) / outcome.output)[keep])
    x = slowness[asked > 0] / asked[asked > 0]
    return float(x.sum() ** 2 / (len(x) * (x * x).sum())) if len(x) else float("nan")


def backlog(outcome: Outcome) -> tuple[float, float]:
    """Mean number of requests in the system in the second and in the last quarter of the time of arrivals."""
    end = float(outcome.arrival_s[-1]) if len(outcome.arrival_s) else 0.0
    gone = np.select(
        [outcome.status == COMPLETED, outcome.status == REJECTED],
        [outcome.finish_s, outcome.arrival_s],
        np.inf,
    )

    def mean(low: float, high: float) -> float:
        if high <= low:
            return 0.0
        inside = np.minimum(gone, high) - np.maximum(outcome.arrival_s, low)
        return float(np.maximum(inside, 0.0).sum() / (high - low))

    return mean(end / 4, end / 2), mean(3 * end / 4, end)


def growing(outcome: Outcome) -> bool:
    """Whether the system does not keep up: its latencies then say how long the trace was."""
    second, last = backlog(outcome)
    return last > GROWING * second + 5


def summary(
    outcome: Outcome, slo: Slo | None = None, gpu: Gpu = A100, warm_up: float = WARM_UP
) -> dict[str, float]:
    """Every figure by its name; plain numbers, the same bytes for the same outcome."""
    slo = slo or Slo()
    keep = kept(outcome, warm_up)
    late, first, token = (f(outcome)[keep] for f in (latency_s, first_token_s, per_token_s))
    token = token[~np.isnan(token)]
    done = outcome.status == COMPLETED
    good = (first <= slo.first_s) & ~(per_token_s(outcome)[keep] > slo.token_s)
    span = outcome.end_s or 1.0
    came_s = float(outcome.arrival_s[-1]) if len(outcome.arrival_s) else 1.0
    gpus, blocks, counts = outcome.gpus, outcome.blocks, outcome.counts
    capacity = span * len(gpus.busy_s)
    iterations = max(1, int(blocks.iterations.sum()))
    figures: dict[str, float] = {
        "latency median s": quantile(late, 0.5),
        "latency p95 s": quantile(late, 0.95),
        "latency p99 s": quantile(late, 0.99),
        "latency p95 s, cold apps": quantile(latency_s(outcome)[keep & cold(outcome)], 0.95),
        "TTFT median s": quantile(first, 0.5),
        "TTFT p95 s": quantile(first, 0.95),
        "TPOT median s": quantile(token, 0.5),
        "TPOT p95 s": quantile(token, 0.95),
        "requests/s": float(done.sum()) / span,
        "tokens/s": float(outcome.output[done].sum()) / span,
        "goodput requests/s": float(good.mean()) * len(outcome.arrival_s) / max(came_s, 1e-9)
        if len(good)
        else 0.0,
        "goodput share": float(good.mean()) if len(good) else float("nan"),
        "fairness": fairness(outcome, warm_up),
        "not completed": float((~done).sum()),
        "backlog growing": float(growing(outcome)),
        "utilisation, time": float(gpus.busy_s.sum()) / capacity,
        "utilisation, operations": float(gpus.flops.sum()) / capacity / gpu.peak_flops,
        "utilisation, bytes": float(gpus.nbytes.sum()) / capacity / gpu.peak_bytes_per_s,
        "rows per iteration": float(blocks.rows.sum()) / iterations,
        "weights GB": float(gpus.weight_bytes.sum()) / 1e9,
        "KV peak GB": float(gpus.kv_bytes.sum()) / 1e9,
        "dedup ratio": outcome.zoo_bytes / outcome.monolith_bytes,
        "KV owner hits": float(outcome.owner_hits),
        "KV recomputes": float(counts.recomputed),
        "substitutions": float(counts.substituted),
        "evictions": float(counts.evicted),
        "loads": float(counts.loads),
        "loaded GB": counts.loaded_bytes / 1e9,
        "copies added": float(counts.grown),
        "copies drained": float(counts.shrunk),
        "speculated": float(counts.drafted),
        "accepted": float(counts.accepted),
        "surrogate s": counts.draft_s,
        "heap pops": float(outcome.pops),
    }
    for link, name in ((1, "in node"), (2, "cross node")):
        figures[f"hops, {name}"] = float(counts.hops[link])
        figures[f"hop GB, {name}"] = counts.hop_bytes[link] / 1e9
        figures[f"KV transfers, {name}"] = float(counts.transfers[link])
        figures[f"KV GB, {name}"] = counts.transfer_bytes[link] / 1e9
    return figures
