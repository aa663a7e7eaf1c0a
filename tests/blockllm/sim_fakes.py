"""A small world for the simulator's tests: linear costs, tiny models, traces by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from remeasure.impls.blockllm.sim.cluster import Cluster
from remeasure.impls.blockllm.sim.cost.network import Link
from remeasure.impls.blockllm.sim.cost.shapes import Shape
from remeasure.impls.blockllm.sim.tenants import Tenant

TINY = Shape("tiny", hidden=8, layers=4, ffn=16, heads=2, vocabulary=32, context=256)
WIDE = Shape("wide", hidden=16, layers=4, ffn=32, heads=2, vocabulary=32, context=256)
LONG = replace(TINY, context=20_000)


@cache
def line(read: float, token: float, most: int) -> list[float]:
    """0 rows take nothing."""
    return [0.0, *(read + token * n for n in range(1, most + 1))]


@dataclass(frozen=True)
class LinearTimes:
    """Milliseconds that are straight lines: a half layer reads its weights and takes so much a token."""

    shape: Shape
    read: float = 0.5
    token: float = 0.05
    embed: float = 0.0
    head: float = 0.25
    cached: float = 0.001
    scale: float = 1.0

    def _line(self, read: float, token: float) -> list[float]:
        return line(self.scale * read, self.scale * token, max(8192, self.shape.context))

    @property
    def attn_ms(self) -> list[float]:
        return self._line(self.read, self.token)

    @property
    def ffn_ms(self) -> list[float]:
        return self._line(self.read, self.token)

    @property
    def embed_ms(self) -> list[float]:
        return self._line(0.0, self.embed)

    @property
    def head_ms(self) -> list[float]:
        return self._line(0.0, self.head)

    def decode_attention_ms(self, batch: int, total_context: float) -> float:
        return self.scale * self.cached * total_context

    def prefill_attention_ms(self, new_tokens: int, past_tokens: int) -> float:
        return self.scale * self.cached * new_tokens * (past_tokens + new_tokens / 2)


@dataclass(frozen=True)
class Linear:
    """A cost model of straight lines for any shape."""

    read: float = 0.5
    token: float = 0.05
    head: float = 0.25
    cached: float = 0.001
    scale: float = 1.0

    def of(self, shape: Shape) -> LinearTimes:
        return LinearTimes(shape, self.read, self.token, 0.0, self.head, self.cached, self.scale)


ONLY_PROMPTS = Linear(read=0.0, token=0.125, head=0.0, cached=0.0)
"""With TINY and LONG, 8 half layers: a millisecond a token and nothing else."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A trace."""

    at_s: np.ndarray
    app: np.ndarray
    prompt: np.ndarray
    output: np.ndarray
    apps: int
    minutes: float = 1.0
    shares: np.ndarray = field(default_factory=lambda: np.zeros(0))


def asked(at_s, app, prompt, output, apps=None):
    """A trace from lists."""
    app = np.asarray(app, dtype=np.int64)
    apps = apps or int(app.max()) + 1
    at_s = np.asarray(at_s, dtype=np.float64)
    return Asked(
        at_s,
        app,
        np.asarray(prompt, dtype=np.int64),
        np.asarray(output, dtype=np.int64),
        apps,
        max(float(at_s[-1]), 1e-3) / 60,
        np.bincount(app, minlength=apps) / len(app),
    )


def random_trace(seed, requests=60, apps=4, per_s=40.0, prompt=60, output=25, least=1):
    """Poisson arrivals, uniform lengths that fit TINY's context."""
    rng = np.random.default_rng(seed)
    return asked(
        np.cumsum(rng.exponential(1 / per_s, requests)),
        rng.integers(apps, size=requests),
        rng.integers(1, prompt + 1, size=requests),
        rng.integers(least, output + 1, size=requests),
        apps,
    )


def cluster(*servers, room=1_000_000, cross=None, inside=None, loader=None):
    """Servers with so many GPUs; `room` bytes on each."""
    return Cluster(
        tuple(servers),
        gpu_bytes=room,
        cross_node=cross or Link(2e-3, 1e8),
        in_node=inside or Link(2e-4, 1e9),
        loader=loader or Link(0.0, 1e7),
    )


def tenants(*techniques, shape=TINY, top=0.25):
    """Apps of one family."""
    return tuple(Tenant(shape, technique, top) for technique in techniques)
