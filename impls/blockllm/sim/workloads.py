"""Workloads W1, W2 and W3 (spec §5.4): when which app is asked, with how many tokens in and out.

The paper's trace and apps are unknown. W1 replays public requests and draws the app of each, since the trace has none.
W2 takes tenants with rates and bursts of their own, rescaled together. W3 is synthetic. What is too long for the
model's context loses the beginning of its prompt (Decision 6), and the share of such requests is reported.

Each part of a workload has a random stream of its own: the same seed gives the same arrivals whatever lengths are
asked for, and at a higher load the same requests, closer together, and then more of them. So loads and arms are paired.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from remeasure.datasets.azure_llm_2023 import loader as azure_llm_2023
from remeasure.datasets.azure_llm_2023.loader import Service, Services
from remeasure.datasets.servegen.loader import Clients
from remeasure.errors import UserError

from .draws import FloatArray, IntArray, lognormal, pick, renewals, sample, zipf

CONTEXT = 4096
"""Tokens of prompt and answer together that a model takes."""
PROMPT_LAW = (1020.0, 1155.0)
"""W3: median and mean of prompt tokens, lognormal; those of Azure's conv."""
OUTPUT_LAW = (129.0, 211.0)
"""W3: the same of answers."""
# Streams of random numbers, by what they decide.
WINDOW, APP, ARRIVAL, PROMPT, OUTPUT = range(5)


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in the order they come."""

    at_s: FloatArray
    """float64 [n], seconds from the start of the trace, ascending, at least 0 and before its end."""
    app: IntArray
    """int64 [n], 0 to apps - 1."""
    prompt: IntArray
    """int64 [n], tokens, at least 1; with `output` at most the context."""
    output: IntArray
    """int64 [n], tokens, at least 1."""
    apps: int
    clipped: float
    """Share of requests that were cut to the context."""
    label: str
    minutes: float
    """How long the trace is."""
    shares: FloatArray
    """float64 [apps], sum 1: each app's share of requests as the workload is meant, not as it was drawn."""

    def __len__(self) -> int:
        return len(self.at_s)

    @property
    def rate_rps(self) -> float:
        """Requests a second."""
        return len(self) / (60 * self.minutes)

    def scaled(self, factor: float) -> Trace:
        """The same requests at `factor` times the rate, in a trace that is as much shorter."""
        _check(factor=factor)
        return replace(
            self,
            at_s=self.at_s / factor,
            minutes=self.minutes / factor,
            label=f"{self.label}, sped up {factor:g}×",
        )


def w1(
    azure: Services,
    *,
    seed: int,
    apps: int = 20,
    alpha: float = 1.0,
    rate: float = 1.0,
    minutes: float = 5.0,
    context: int = CONTEXT,
) -> Trace:
    """All services of a trace merged, replayed at `rate` times their mean rate; apps by Zipf, 0 the most asked.

    The window begins at a random request and holds as many as `minutes` have at that rate, so every seed has the same
    load; one linear clock makes it last so long, which keeps the bursts. After the last request comes the first again.

    Raises UserError for numbers out of range and for a trace without two different times.
    """
    _check(apps=apps, rate=rate, minutes=minutes, context=context)
    at_s, prompt, output = (
        np.concatenate(columns)
        for columns in zip(*((s.at_s, s.prompt, s.output) for s in azure.services), strict=True)
    )
    order = np.argsort(at_s, kind="stable")
    held = len(order)
    span_s = float(at_s[order[-1]] - at_s[order[0]])
    if span_s <= 0:
        raise UserError(f"{azure.label} has no two requests at different times; give a longer trace.")
    # One round takes the span and a mean gap.
    round_s = span_s * held / (held - 1)
    n = max(1, round(rate * held / round_s * 60 * minutes))
    first = int(_stream(seed, WINDOW).integers(held))
    rounds, place = np.divmod(first + np.arange(n + 1), held)
    clock = at_s[order[place]] + rounds * round_s
    clock -= clock[0]
    if clock[-1] <= 0:
        raise UserError(f"{azure.label}: {n} requests in a row have the same time; ask for more minutes.")
    shares = zipf(apps, alpha)
    chosen = order[place[:-1]]
    return _trace(
        clock[:-1] * (60 * minutes / clock[-1]),
        pick(_stream(seed, APP), shares, n),
        prompt[chosen],
        output[chosen],
        shares=shares,
        minutes=minutes,
        context=context,
        label=f"W1: {azure.label}, {rate:g}× its rate, {apps} apps drawn by Zipf {alpha:g}",
    )


def w2(
    servegen: Clients,
    *,
    seed: int,
    load_rps: float,
    lengths: Literal["own", "conv"] = "own",
    conv: Service | None = None,
    minutes: float = 5.0,
    context: int = CONTEXT,
) -> Trace:
    """Tenants with the rates and bursts of ServeGen's clients, all scaled by one factor to `load_rps` together.

    App i is client i. A client's gaps have the law and the shape of its window, and its rate; the shape alone sets how
    they vary. lengths: own (W2a): the client's distributions, prompt and answer drawn apart, and where it has none
    those of `conv`; conv (W2b): of `conv` for all, prompt and answer of one request together. conv: a service whose
    requests serve as the distribution; None: one drawn from the quantiles of Azure's conv.

    Raises UserError for numbers out of range and where nothing comes in so short a time.
    """
    _check(load_rps=load_rps, minutes=minutes, context=context)
    if lengths not in ("own", "conv"):
        raise UserError(f"W2 has no lengths {lengths!r}; say own or conv.")
    source = conv.name if conv else "the quantiles of Azure's conv"
    if conv is None:
        conv = azure_llm_2023.load(azure_llm_2023.Request(), None).service("conv")
    factor = load_rps / servegen.rate_rps
    parts = []
    for client in servegen.clients:
        at_s = renewals(
            _stream(seed, ARRIVAL, client.id),
            client.family,
            client.shape,
            client.rate_rps * factor,
            60 * minutes,
        )
        if lengths == "own" and client.prompts and client.outputs:
            prompt = sample(_stream(seed, PROMPT, client.id), client.prompts, len(at_s))
            output = sample(_stream(seed, OUTPUT, client.id), client.outputs, len(at_s))
        else:
            rows = _stream(seed, PROMPT, client.id).integers(len(conv.prompt), size=len(at_s))
            prompt, output = conv.prompt[rows], conv.output[rows]
        parts.append((at_s, prompt, output))
    at_s, prompt, output = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return _trace(
        at_s,
        _owners(parts),
        prompt,
        output,
        shares=np.array([client.rate_rps for client in servegen.clients]) / servegen.rate_rps,
        minutes=minutes,
        context=context,
        label=f"W2{'b' if lengths == 'conv' else 'a'}: {servegen.label} at {load_rps:g} req/s, "
        f"lengths {'' if lengths == 'conv' else 'their own, else '}of {source}",
    )


def w3(
    *,
    cv: float,
    rate_rps: float,
    seed: int,
    apps: int = 20,
    alpha: float = 1.0,
    minutes: float = 5.0,
    together: bool = False,
    context: int = CONTEXT,
) -> Trace:
    """Gamma gaps with coefficient of variation `cv`, lognormal lengths, rates of apps by Zipf.

    together=False: each app bursts for itself, which is what sharing evens out; True: all apps in one stream, whose
    bursts everybody feels.

    Raises UserError for numbers out of range and where nothing comes in so short a time.
    """
    _check(cv=cv, rate_rps=rate_rps, apps=apps, minutes=minutes, context=context)
    shares = zipf(apps, alpha)
    parts = []
    for place, share in enumerate([1.0] if together else shares.tolist()):
        at_s = renewals(_stream(seed, ARRIVAL, place), "Gamma", cv**-2, rate_rps * share, 60 * minutes)
        prompt = lognormal(_stream(seed, PROMPT, place), *PROMPT_LAW, len(at_s))
        parts.append((at_s, prompt, lognormal(_stream(seed, OUTPUT, place), *OUTPUT_LAW, len(at_s))))
    at_s, prompt, output = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    app = pick(_stream(seed, APP), shares, len(at_s)) if together else _owners(parts)
    return _trace(
        at_s,
        app,
        prompt,
        output,
        shares=shares,
        minutes=minutes,
        context=context,
        label=f"W3: Gamma, CV {cv:g} {'in one stream' if together else 'per app'}, {rate_rps:g} req/s, "
        f"{apps} apps by Zipf {alpha:g}",
    )


def _owners(parts: list[tuple[FloatArray, IntArray, IntArray]]) -> IntArray:
    """Which part each request comes from."""
    return np.repeat(np.arange(len(parts)), [len(at_s) for at_s, _, _ in parts])


def _trace(
    at_s: FloatArray,
    app: IntArray,
    prompt: IntArray,
    output: IntArray,
    *,
    shares: FloatArray,
    minutes: float,
    context: int,
    label: str,
) -> Trace:
    """In the order of time and within the context: an answer leaves its prompt at least one token."""
    if not len(at_s):
        raise UserError(
            f"{label}: no request comes in {minutes:g} minutes; ask for more minutes or a higher rate."
        )
    order = np.argsort(at_s, kind="stable")
    answer = np.clip(output[order], 1, context - 1)
    whole = np.maximum(prompt[order], 1)
    return Trace(
        at_s=at_s[order],
        app=app[order].astype(np.int64),
        prompt=np.minimum(whole, context - answer).astype(np.int64),
        output=answer.astype(np.int64),
        apps=len(shares),
        clipped=float(np.mean(whole + output[order] > context)),
        label=label,
        minutes=minutes,
        shares=shares,
    )


def _stream(seed: int, *what: int) -> np.random.Generator:
    return np.random.default_rng([seed, *what])


def _check(**values: float) -> None:
    for name, value in values.items():
        least = 2 if name == "context" else 1 if name == "apps" else 0
        if not least <= value < np.inf or value == 0:
            raise UserError(f"{name} is {value:g}; it must be {f'at least {least}' if least else 'above 0'}.")
