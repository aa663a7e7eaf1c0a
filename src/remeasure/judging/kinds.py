"""From a claim and its samples to an effect and a verdict, kind by kind. Guards were asked before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

from ..declared.claims import Claim
from . import rules
from .judged import Verdict
from .samples import Effect, Samples
from .stats import spread

NO_INTERVAL = "One sample has no interval; measure more seeds."


@dataclass(frozen=True)
class Assessed:
    """What the samples say about a claim."""

    effect: Effect
    verdict: Verdict
    claimed: float | None
    """The claimed number, on the scale of the effect."""
    is_ratio: bool = False
    """The effect is a ratio, whatever the unit of the metric."""
    has_interval: bool = True
    """False for a single sample of something that another seed would change."""


def assess(claim: Claim, samples: Samples, deterministic: bool) -> Assessed:
    """deterministic: the case is declared to give the same numbers with every seed.

    Raises ValueError where the samples cannot be compared.
    """
    kinds = {
        "ratio": _ratio,
        "difference": _difference,
        "value": _value,
        "ordering": _ordering,
        "bound": _bound,
    }
    found = kinds[claim.kind](claim, samples, deterministic)
    if not found.effect.interval.finite:
        raise ValueError("a sample is not finite")
    if found.effect.interval.n > 1 or deterministic or samples.meta.kind == "count":
        return found
    word = Verdict(word="inconclusive", direction=rules.UNCLEAR, reason=NO_INTERVAL)
    return replace(found, verdict=found.verdict if claim.kind == "value" else word, has_interval=False)


def compared(claim: Claim) -> tuple[str, ...]:
    """The arms that a claim names."""
    if claim.kind == "ordering":
        return tuple(claim.order)
    return tuple(arm for arm in (claim.treatment, claim.baseline) if arm)


def _ratio(claim: Claim, samples: Samples, deterministic: bool) -> Assessed:
    """Of two arms; without a baseline the metric itself is a ratio, such as a mean of speedups."""
    both = claim.treatment, claim.baseline
    effect = samples.ratio(*both) if claim.baseline else samples.level(claim.treatment)
    claimed = claim.value or 1.0
    word = rules.ratio_verdict(
        effect.interval.lo,
        effect.interval.hi,
        claimed,
        _resolution(samples),
        claim.tolerance or rules.TOLERANCE,
    )
    return Assessed(effect, word, claimed, is_ratio=True)


def _difference(claim: Claim, samples: Samples, deterministic: bool) -> Assessed:
    effect, word = _pair(claim, samples, claim.treatment, claim.baseline, deterministic, claim.value)
    return Assessed(effect, word, claim.value)


def _value(claim: Claim, samples: Samples, deterministic: bool) -> Assessed:
    effect = samples.level(claim.treatment)
    if claim.value is None or claim.tolerance is None:
        reason = "The claim states no absolute tolerance, so a value can only be shown."
        return Assessed(effect, Verdict(word="shown, not judged", reason=reason), claim.value)
    word = rules.value_verdict(effect.interval.estimate, claim.value, claim.tolerance)
    return Assessed(effect, word, claim.value)


def _bound(claim: Claim, samples: Samples, deterministic: bool) -> Assessed:
    """Against a baseline the margin is the loss allowed: relative for times, else in the metric's unit.

    Without one it is the limit of the arm's own number.
    """
    margin = claim.margin or 0.0
    if not claim.baseline:
        effect, limit, at_most = samples.level(claim.treatment), margin, samples.meta.better == "lower"
    elif _by_ratio(samples):
        effect, limit, at_most = samples.ratio(claim.treatment, claim.baseline), 1 / (1 + margin), False
    else:
        effect, limit, at_most = samples.difference(claim.treatment, claim.baseline), -margin, False
    word = rules.bound_verdict(effect.interval.lo, effect.interval.hi, limit, at_most)
    return Assessed(effect, word, limit, is_ratio=bool(claim.baseline) and _by_ratio(samples))


def _ordering(claim: Claim, samples: Samples, deterministic: bool) -> Assessed:
    """Every pair must have the claimed sign; the weakest pair is shown."""
    pairs: list[tuple[str, Effect, Verdict]] = []
    for better, worse in combinations(claim.order, 2):
        if _by_ratio(samples):
            effect = samples.ratio(better, worse)
            word = rules.sign_verdict(effect.interval.lo, effect.interval.hi, _resolution(samples))
        else:
            effect, word = _pair(claim, samples, better, worse, deterministic, None)
        pairs.append((f"{better} over {worse}", effect, word))
    weakest = rules.ordering_verdict([word for _, _, word in pairs])
    alike = [pair for pair in pairs if pair[2].word == weakest.word]
    name, effect, word = min(alike, key=lambda pair: pair[1].interval.lo)
    shown = Verdict(
        word=word.word, direction=word.direction, size=f"weakest pair: {name}", reason=word.reason
    )
    return Assessed(effect, shown, None, is_ratio=_by_ratio(samples))


def _pair(
    claim: Claim, samples: Samples, treatment: str, baseline: str, deterministic: bool, claimed: float | None
) -> tuple[Effect, Verdict]:
    effect = samples.difference(treatment, baseline)
    interval = effect.interval
    seed_range: float | None = 0.0
    if len(effect.per_seed) == 1:
        seed_range = 0.0 if deterministic else None
    elif interval.n > len(effect.per_seed) or samples.meta.kind == "quality":
        seed_range = spread(effect.per_seed)  # which an interval over users does not hold
    word = rules.difference_verdict(
        interval.lo, interval.hi, interval.estimate, seed_range, claim.smallest, claimed
    )
    return effect, word


def _by_ratio(samples: Samples) -> bool:
    """Times are compared by ratios of rounds, all else by differences of means."""
    return samples.meta.kind in ("time", "virtual-time")


def _resolution(samples: Samples) -> float:
    noise = samples.noise()
    return rules.resolution(noise.lo, noise.hi) if noise else rules.resolution()
