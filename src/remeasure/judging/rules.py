"""Which word a measured interval earns. Pure functions on numbers; every rule of the project is on this page.

Direction (is there an effect, and which way?) and size (is it what was claimed?) are two questions; their
answers map to one word. All functions are total, and monotone: an interval that moves up as a whole never
earns a weaker word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .judged import Verdict, Word

STRENGTH: tuple[Word, ...] = (
    "contradicted",
    "not reproduced",
    "inconclusive",
    "direction only",
    "reproduced",
    "reproduced, stronger",
)
"""The words of a judged effect, in the order in which they come as the interval moves up."""
TOLERANCE = 1.25
SMALLEST_RESOLUTION = 0.02
SMALLEST_DIFFERENCE = 0.005

FOR, AGAINST, UNCLEAR = "favours the treatment", "favours the baseline", "not clear"


def resolution(noise_lo: float = 1.0, noise_hi: float = 1.0) -> float:
    """δ: the smallest relative effect that is told from noise, given the A/A interval."""
    return max(SMALLEST_RESOLUTION, (noise_hi - noise_lo) / 2)


def ratio_bounds(claimed: float, tolerance: float = TOLERANCE) -> tuple[float, float]:
    """[L, U]: the ratios that count as the claimed size."""
    return (
        max(claimed / tolerance, 1 + (claimed - 1) / 2),
        min(claimed * tolerance, 1 + 2 * (claimed - 1)),
    )


def ratio_verdict(
    lo: float,
    hi: float,
    claimed: float,
    delta: float = SMALLEST_RESOLUTION,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """A ratio oriented so that > 1 favours the treatment. First row that holds:

    below resolution        L < 1+δ
    contradicted            hi < 1/(1+δ)
    not reproduced          lo ≤ 1+δ and hi < L      claimed size excluded, no clear effect
    direction only          lo > 1+δ and lo < L      hi < L: smaller; else size not resolved
    reproduced              lo > 1+δ and L ≤ lo ≤ U  hi > U: upper end open
    reproduced, stronger    lo > 1+δ and lo > U
    inconclusive            everything else
    """
    lower, upper = ratio_bounds(claimed, tolerance)
    clear = 1 + delta
    if lower < clear:
        reason = f"The claimed size begins at {lower:.3g}; less than {clear:.3g} is not told from noise."
        return Verdict(word="below resolution", reason=reason)
    if hi < 1 / clear:
        return Verdict(word="contradicted", direction=AGAINST, size="excluded")
    if lo > clear:
        return _sized(lo, hi, lower, upper)
    if lo <= clear and hi < lower:
        return Verdict(word="not reproduced", direction=UNCLEAR, size="the claimed size is excluded")
    return Verdict(word="inconclusive", direction=UNCLEAR, size="not resolved")


def difference_verdict(
    lo: float,
    hi: float,
    mean: float,
    seed_range: float | None,
    smallest: float = SMALLEST_DIFFERENCE,
    claimed: float | None = None,
) -> Verdict:
    """A difference in the metric's unit, > 0 favours the treatment. First row that holds:

    contradicted            hi < 0
    not reproduced          lo ≤ 0 and hi < smallest difference that matters
    reproduced              lo > 0 and mean > seed range
    inconclusive            everything else

    seed_range None: one seed, so that rule cannot be checked and the word is `direction only` at most. 0 where a seed
    is a sample of a simulation: the interval is over seeds then.
    claimed: the size counts too, from half to twice the claimed one, with the words of `ratio_verdict`.
    """
    rule = 0.0 if seed_range is None else seed_range
    if hi < 0:
        verdict = Verdict(word="contradicted", direction=AGAINST)
    elif lo <= 0 and hi < smallest:
        size = f"less than {smallest:g}, the smallest difference that matters"
        verdict = Verdict(word="not reproduced", direction=UNCLEAR, size=size)
    elif lo > 0 and mean > rule:
        if claimed is None or claimed <= 0:
            verdict = Verdict(word="reproduced", direction=FOR, size="only the sign is claimed")
        else:
            verdict = _sized(lo, hi, claimed / 2, claimed * 2)
    elif lo > 0:
        reason = f"The seeds differ by {rule:.3g}, which is no less than the mean."
        verdict = Verdict(word="inconclusive", direction=UNCLEAR, reason=reason)
    else:
        verdict = Verdict(word="inconclusive", direction=UNCLEAR, size="not resolved")
    return verdict if seed_range is not None else one_seed(verdict)


def sign_verdict(lo: float, hi: float, delta: float = SMALLEST_RESOLUTION) -> Verdict:
    """A ratio of which only the sign is claimed: its whole interval is beyond the resolution, or not."""
    if hi < 1 / (1 + delta):
        return Verdict(word="contradicted", direction=AGAINST)
    if lo > 1 + delta:
        return Verdict(word="reproduced", direction=FOR, size="only the sign is claimed")
    return Verdict(word="inconclusive", direction=UNCLEAR)


def ordering_verdict(pairs: Sequence[Verdict]) -> Verdict:
    """An order holds as far as its weakest pair does."""
    return min(pairs, key=lambda verdict: STRENGTH.index(verdict.word))


def bound_verdict(lo: float, hi: float, limit: float, at_most: bool = False) -> Verdict:
    """The whole interval must lie at or above the limit; at_most: at or below it."""
    within, beyond = (hi <= limit, lo > limit) if at_most else (lo >= limit, hi < limit)
    size = f"limit: at {'most' if at_most else 'least'} {limit:.4g}"
    if within:
        return Verdict(word="reproduced", direction="within the bound", size=size)
    if beyond:
        return Verdict(word="contradicted", direction="beyond the bound", size=size)
    return Verdict(word="inconclusive", direction=UNCLEAR, size=size)


def value_verdict(estimate: float, claimed: float, tolerance: float) -> Verdict:
    """A number within a stated absolute tolerance of the claimed one."""
    off = estimate - claimed
    size = f"{off:+.4g} from the claimed value, tolerance {tolerance:g}"
    # 0.98 - 0.97 is a little more than 0.01 in binary; that is not what the tolerance is about.
    within = abs(off) <= tolerance or math.isclose(abs(off), tolerance)
    return Verdict(word="reproduced" if within else "not reproduced", size=size)


def property_verdict(held: bool) -> Verdict:
    """A property was proved or refuted by its test."""
    word: Word = "reproduced" if held else "contradicted"
    return Verdict(word=word, size="its test passed" if held else "its test failed")


def one_seed(verdict: Verdict) -> Verdict:
    """The verdict as far as one seed can carry it."""
    reason = "One seed: whether the effect exceeds the spread of seeds cannot be checked."
    word: Word = verdict.word
    if word in ("reproduced", "reproduced, stronger"):
        word = "direction only"
    return Verdict(word=word, direction=verdict.direction, size=verdict.size, reason=reason)


def _sized(lo: float, hi: float, lower: float, upper: float) -> Verdict:
    """The word of a clear effect by its size."""
    if lo > upper:
        return Verdict(word="reproduced, stronger", direction=FOR, size="larger than claimed")
    if lo >= lower:
        size = "as claimed, upper end open" if hi > upper else "as claimed"
        return Verdict(word="reproduced", direction=FOR, size=size)
    size = "smaller than claimed" if hi < lower else "not resolved"
    return Verdict(word="direction only", direction=FOR, size=size)
