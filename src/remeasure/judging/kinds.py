"""From a claim and its samples to an effect and a verdict, kind by kind. Guards were asked before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

from ..declared.claims import Claim
from . import rules
from .intervals import Interval
from .judged import Verdict
from .multiplicity import holm
from .samples import Effect, Samples

MIN_PROCESSES = 5
"""Processes below which no word is given about a time: their interval would be wider than what it is about."""
MIN_ROUNDS = 5
"""Rounds of a process below which its median is no better than a round."""
MIN_SEEDS = 3
"""Seeds of something random below which a clear effect is a direction at most."""
NO_INTERVAL = "One sample has no interval; measure more seeds."
NO_SPREAD = "All samples are equal, which says nothing of their spread; measure more seeds or units."
INEXACT = "A single sample of something that changes from run to run; measure more seeds."


@dataclass(frozen=True)
class Assessed:
    """What the samples say about a claim."""

    effect: Effect
    verdict: Verdict
    claimed: float | None
    """The claimed number, on the scale of the effect."""
    is_ratio: bool = False
    """The effect is a ratio, whatever the unit of the metric."""
    null: float | None = None
    """What the effect is told from: 1, 0 or a limit; None where nothing is tested."""
    p: float | None = None
    """Two-sided, against `null`; of an order the largest of its pairs, None where one of them has none."""


def assess(claim: Claim, samples: Samples) -> Assessed:
    """Raises ValueError where the samples cannot be compared."""
    kinds: dict[str, Callable[[Claim, Samples], Assessed]] = {
        "ratio": _ratio,
        "difference": _difference,
        "value": _value,
        "ordering": _ordering,
        "bound": _bound,
    }
    found = kinds[claim.kind](claim, samples)
    interval = found.effect.interval
    if not interval.finite:
        raise ValueError("a sample is not finite")
    if claim.kind == "ordering":
        return found  # every pair was asked on its own
    p = None if found.null is None else interval.p(found.null)
    return replace(found, verdict=carried(found.verdict, found.effect, samples), p=p)


def carried(verdict: Verdict, effect: Effect, samples: Samples) -> Verdict:
    """The verdict as far as so many processes, rounds and seeds carry it."""
    interval, kind = effect.interval, samples.meta.kind
    if (
        verdict.word in ("shown, not judged", "below resolution")
        or interval.kind == "range"
        or not effect.random
    ):
        return verdict
    if kind == "time":
        if interval.n >= MIN_PROCESSES and effect.rounds >= MIN_ROUNDS:
            return verdict
        have = f"{_many(interval.n, 'process', 'processes')} of {_many(effect.rounds, 'round', 'rounds')}"
        reason = f"{have}; {MIN_PROCESSES} processes of {MIN_ROUNDS} rounds are needed."
        return Verdict(word="inconclusive", direction=verdict.direction, size=verdict.size, reason=reason)
    if not samples.meta.exact and interval.n < 2:
        return Verdict(word="shown, not judged", reason=INEXACT)
    if interval.kind == "none":
        reason = NO_INTERVAL if interval.n < 2 else NO_SPREAD
        return Verdict(word="inconclusive", direction=rules.UNCLEAR, reason=reason)
    if effect.seeded and len(effect.per_seed) < MIN_SEEDS:
        return rules.few_seeds(verdict, len(effect.per_seed))
    return verdict


def compared(claim: Claim) -> tuple[str, ...]:
    """The arms that a claim names."""
    if claim.kind == "ordering":
        return tuple(claim.order)
    return tuple(arm for arm in (claim.treatment, claim.baseline) if arm)


def effects(claim: Claim, samples: Samples) -> list[Effect]:
    """What a claim compares, an effect a pair; raises ValueError where the samples cannot be compared."""
    if claim.kind == "ordering":
        return [_pair(samples, *pair) for pair in combinations(claim.order, 2)]
    if not claim.baseline:
        return [samples.level(claim.treatment, fixed=claim.over == "seeds")]
    ratio = claim.kind == "ratio" or (claim.kind == "bound" and _by_ratio(samples))
    return [(samples.ratio if ratio else samples.difference)(claim.treatment, claim.baseline)]


def _ratio(claim: Claim, samples: Samples) -> Assessed:
    """Of two arms; without a baseline the metric itself is a ratio, such as a mean of speedups."""
    (effect,) = effects(claim, samples)
    claimed = claim.value or 1.0
    word = rules.ratio_verdict(
        effect.interval.lo,
        effect.interval.hi,
        claimed,
        resolution(samples),
        claim.tolerance or rules.TOLERANCE,
    )
    return Assessed(effect, word, claimed, is_ratio=True, null=1.0)


def _difference(claim: Claim, samples: Samples) -> Assessed:
    (effect,) = effects(claim, samples)
    word = rules.difference_verdict(effect.interval.lo, effect.interval.hi, claim.smallest, claim.value)
    return Assessed(effect, word, claim.value, null=0.0)


def _value(claim: Claim, samples: Samples) -> Assessed:
    (effect,) = effects(claim, samples)
    if claim.value is None or claim.tolerance is None:
        reason = "The claim states no absolute tolerance, so a value can only be shown."
        return Assessed(effect, Verdict(word="shown, not judged", reason=reason), claim.value)
    interval = effect.interval
    word = rules.value_verdict(interval.estimate, interval.lo, interval.hi, claim.value, claim.tolerance)
    return Assessed(effect, word, claim.value)


def _bound(claim: Claim, samples: Samples) -> Assessed:
    """Against a baseline the margin is the loss allowed: relative for times, else in the metric's unit.

    Without one it is the limit of the arm's own number.
    """
    margin = claim.margin or 0.0
    (effect,) = effects(claim, samples)
    lo, hi = effect.interval.lo, effect.interval.hi
    if not claim.baseline:
        at_most = samples.meta.better == "lower"
        return Assessed(effect, rules.bound_verdict(lo, hi, margin, at_most), margin, null=margin)
    if not _by_ratio(samples):
        return Assessed(effect, rules.bound_verdict(lo, hi, -margin), -margin, null=-margin)
    limit, delta = 1 / (1 + margin), resolution(samples)
    if margin == 0:
        word = rules.sign_verdict(lo, hi, delta)
    elif abs(margin) < delta:
        word = rules.below_resolution(
            f"A margin of {margin:g} is less than the {delta:.3g} that are told from noise."
        )
    else:
        word = rules.bound_verdict(lo, hi, limit)
    return Assessed(effect, word, limit, is_ratio=True, null=limit)


def _ordering(claim: Claim, samples: Samples) -> Assessed:
    """Every pair must have the claimed sign; the weakest pair is shown."""
    delta = resolution(samples)
    names = [f"{better} over {worse}" for better, worse in combinations(claim.order, 2)]
    found = effects(claim, samples)
    ratio = _by_ratio(samples)
    words = [carried(_sign(effect.interval, claim, delta, ratio), effect, samples) for effect in found]
    # Against is only what stays against when all pairs are asked together.
    edge = 1 / (1 + delta) if ratio else 0.0
    surely = holm([effect.interval.p(edge) for effect in found])
    words = [
        word if word.word != "contradicted" or sure else Verdict(word="inconclusive", direction=rules.UNCLEAR)
        for word, sure in zip(words, surely, strict=True)
    ]
    weakest = rules.ordering_verdict(words)
    alike = [one for one in zip(names, found, words, strict=True) if one[2].word == weakest.word]
    name, effect, word = min(alike, key=lambda one: one[1].interval.lo)
    shown = replace_size(word, f"weakest pair: {name}")
    null = 1.0 if ratio else 0.0
    every = [effect.interval.p(null) for effect in found]
    known = [p for p in every if p is not None]
    return Assessed(
        effect, shown, None, is_ratio=ratio, null=null, p=max(known) if len(known) == len(every) else None
    )


def replace_size(verdict: Verdict, size: str) -> Verdict:
    return Verdict(word=verdict.word, direction=verdict.direction, size=size, reason=verdict.reason)


def _sign(interval: Interval, claim: Claim, delta: float, ratio: bool) -> Verdict:
    if ratio:
        return rules.sign_verdict(interval.lo, interval.hi, delta)
    return rules.difference_verdict(interval.lo, interval.hi, claim.smallest)


def _pair(samples: Samples, better: str, worse: str) -> Effect:
    return samples.ratio(better, worse) if _by_ratio(samples) else samples.difference(better, worse)


def _by_ratio(samples: Samples) -> bool:
    """Times are compared by ratios of rounds, all else by differences of means."""
    return samples.meta.kind in ("time", "virtual-time")


def resolution(samples: Samples) -> float:
    """δ of these samples, by their A/A control."""
    noise = samples.noise()
    return rules.resolution(noise.lo, noise.hi) if noise else rules.resolution()


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
