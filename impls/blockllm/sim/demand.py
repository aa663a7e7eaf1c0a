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
    """What a catalogue's segments have to do; per second, by segment."""

    rows: tuple[float, ...]
    """Decoding rows."""
    prefill_s: tuple[float, ...]
    """GPU seconds for prompts."""
    seconds: tuple[float, ...]
    """GPU seconds for both, decoding in full batches: the least there can be."""
    iteration_s: tuple[tuple[float, ...], ...]
    """Seconds of an iteration by decoding rows, up to a full batch."""
    first: tuple[bool, ...]
    """Whether the segment begins a chain."""
    steps: dict[tuple[int, int], float]
    """Decoding rows from a segment to the next one of its chain; the last one's next is the first."""
    tokens: dict[tuple[int, int], float]
    """Prompt tokens likewise; none go back."""


def load(serving: Serving, content: Catalogue, steps: Sequence[Steps], expected: Demand) -> Load:
    """Expected load of every segment."""
    context = max(1, round(expected.context))
    rows: list[float] = []
    prefill: list[float] = []
    seconds: list[float] = []
    iterations: list[tuple[float, ...]] = []
    for segment, step in zip(content.segments, steps, strict=True):
        rows.append(sum(expected.per_s[app] * max(0.0, expected.output[app] - 1) for app in segment.apps))
        prefill.append(
            sum(expected.per_s[app] * step.prompt_s(round(expected.prompt[app])) for app in segment.apps)
        )
        full = block_batch(serving, step, context)
        groups = len(segment.deltas)
        times = [step.decode_s(n, n * context, min(n, groups)) for n in range(1, full + 1)]
        iterations.append((0.0, *times))
        seconds.append(rows[-1] * times[-1] / full + prefill[-1])
    moved: dict[tuple[int, int], float] = {}
    tokens: dict[tuple[int, int], float] = {}
    for app, chain in enumerate(content.chains):
        for a, b in zip(chain, (*chain[1:], chain[0]), strict=True):
            if a != b:
                moved[a, b] = moved.get((a, b), 0.0) + expected.per_s[app] * expected.output[app]
                if b != chain[0]:
                    tokens[a, b] = tokens.get((a, b), 0.0) + expected.per_s[app] * expected.prompt[app]
    first = {chain[0] for chain in content.chains}
    return Load(
        tuple(rows),
        tuple(prefill),
        tuple(seconds),
        tuple(iterations),
        tuple(s.id in first for s in content.segments),
        moved,
        tokens,
    )
