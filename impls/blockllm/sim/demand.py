"""What operators know before they place models: how often each app is asked, and how long its prompts and answers are.

Means over the trace, the same for every system. Single lengths stay hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .batching import block_batch
from .catalogue import Catalogue
from .config import Serving
from .interfaces import IntArray, Requests
from .steps import Steps


@dataclass(frozen=True)
class Demand:
    """Means by app."""

    per_s: tuple[float, ...]
    prompt: tuple[float, ...]
    output: tuple[float, ...]

    @property
    def context(self) -> float:
        """Mean tokens that a decoding row looks at, over all apps."""
        tokens = sum(r * o for r, o in zip(self.per_s, self.output, strict=True))
        looked = sum(
            r * o * (p + o / 2) for r, p, o in zip(self.per_s, self.prompt, self.output, strict=True)
        )
        return looked / tokens if tokens else 1.0


def demand(trace: Requests, apps: int) -> Demand:
    """Rates as the workload is meant, lengths as they are in the trace; an app without requests has the mean of all."""
    n = np.bincount(trace.app, minlength=apps)
    rate = len(trace.app) / (60 * trace.minutes)

    def mean(values: IntArray) -> tuple[float, ...]:
        sums = np.bincount(trace.app, weights=values, minlength=apps)
        overall = float(values.mean()) if len(values) else 1.0
        return tuple(np.where(n > 0, sums / np.maximum(n, 1), overall).tolist())

    shares = trace.shares.tolist() + [0.0] * (apps - trace.apps)
    return Demand(tuple(rate * share for share in shares), mean(trace.prompt), mean(trace.output))


@dataclass(frozen=True)
class Load:
    """What apps ask of the segments of their chains, and what those take for it."""

    rows: tuple[float, ...]
    """Decoding rows a second, by app."""
    per_s: tuple[float, ...]
    """Prompts a second, by app."""
    tokens: tuple[float, ...]
    """Prompt tokens a second, by app."""
    prompt_s: tuple[tuple[float, ...], ...]
    """Share of a GPU's time that prompts take, by app and place in its chain."""
    read_s: tuple[float, ...]
    """Seconds of an iteration that do not depend on its rows, by segment."""
    row_s: tuple[float, ...]
    """Seconds that each decoding row adds, by segment."""
    full: tuple[int, ...]
    """Rows of a full batch, by segment."""
    seconds: tuple[float, ...]
    """GPU seconds a second with full batches only, by segment: the least there can be."""


def load(serving: Serving, content: Catalogue, steps: Sequence[Steps], expected: Demand) -> Load:
    """Expected load of every segment."""
    context = max(1, round(expected.context))
    rows = tuple(r * max(0.0, n - 1) for r, n in zip(expected.per_s, expected.output, strict=True))
    prompt_s = tuple(
        tuple(rate * steps[s].prompt_s(round(length)) for s in chain)
        for rate, length, chain in zip(expected.per_s, expected.prompt, content.chains, strict=True)
    )
    full = tuple(block_batch(serving, step, context) for step in steps)
    read: list[float] = []
    row: list[float] = []
    for segment, step, n in zip(content.segments, steps, full, strict=True):
        one, most = (step.decode_s(k, k * context, min(k, len(segment.deltas))) for k in (1, n))
        row.append((most - one) / max(1, n - 1))
        read.append(one - row[-1])
    seconds = [0.0] * len(steps)
    for app, chain in enumerate(content.chains):
        for s, busy in zip(chain, prompt_s[app], strict=True):
            seconds[s] += rows[app] * (read[s] / full[s] + row[s]) + busy
    tokens = tuple(r * n for r, n in zip(expected.per_s, expected.prompt, strict=True))
    return Load(rows, expected.per_s, tokens, prompt_s, tuple(read), tuple(row), full, tuple(seconds))
