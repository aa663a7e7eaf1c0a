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
POSITIVE = ("direction only", "reproduced", "reproduced, stronger")
"""The words of a clear effect for the treatment."""
TOLERANCE = 1.25
SMALLEST_RESOLUTION = 0.02
SMALLEST_DIFFERENCE = 0.005

FOR, AGAINST, UNCLEAR = "favours the treatment", "favours the baseline", "not clear"


def resolution(noise_lo: float = 1.0, noise_hi: float = 1.0) -> float:
    """δ: the smallest relative effect that is told from noise, given the A/A control's 95 % interval."""
    return max(SMALLEST_RESOLUTION, abs(noise_lo - 1), abs(noise_hi - 1))


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
        return below_resolution(reason)
    if hi < 1 / clear:
        return Verdict(word="contradicted", direction=AGAINST, size="excluded")
    if lo > clear:
        return _sized(lo, hi, lower, upper)
    if lo <= clear and hi < lower:
        return Verdict(word="not reproduced", direction=UNCLEAR, size="the claimed size is excluded")
    return Verdict(word="inconclusive", direction=UNCLEAR, size="not resolved")


def difference_verdict(
    lo: float, hi: float, smallest: float = SMALLEST_DIFFERENCE, claimed: float | None = None
) -> Verdict:
    """A difference in the metric's unit, > 0 favours the treatment. First row that holds:

    contradicted            hi < 0
    not reproduced          lo ≤ 0 and hi < smallest difference that matters
    reproduced              lo > 0
    inconclusive            everything else

    claimed: the size counts too, from half to twice the claimed one, with the words of `ratio_verdict`.
    """
    if hi < 0:
        return Verdict(word="contradicted", direction=AGAINST)
    if lo > 0:
        if claimed is None or claimed <= 0:
            return Verdict(word="reproduced", direction=FOR, size="only the sign is claimed")
        return _sized(lo, hi, claimed / 2, claimed * 2)
    if lo <= 0 and hi < smallest:
        size = f"less than {smallest:g}, the smallest difference that matters"
        return Verdict(word="not reproduced", direction=UNCLEAR, size=size)
    return Verdict(word="inconclusive", direction=UNCLEAR, size="not resolved")


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


def value_verdict(estimate: float, lo: float, hi: float, claimed: float, tolerance: float) -> Verdict:
    """A number beside a claimed one, with an absolute tolerance. First row that holds:

    not reproduced          the interval lies wholly outside claimed ± tolerance
    reproduced              the estimate within the tolerance, the interval within twice the tolerance
    inconclusive            everything else
    """
    off = estimate - claimed
    size = f"{off:+.4g} from the claimed value, tolerance {tolerance:g}"
    if _more(claimed - hi, tolerance) or _more(lo - claimed, tolerance):
        return Verdict(word="not reproduced", size=size)
    if _more(abs(off), tolerance) or _more(claimed - lo, 2 * tolerance) or _more(hi - claimed, 2 * tolerance):
        return Verdict(word="inconclusive", size=size)
    # NaN is in none of these comparisons.
    word: Word = "reproduced" if lo <= estimate <= hi else "inconclusive"
    return Verdict(word=word, size=size)


def _more(distance: float, allowed: float) -> bool:
    """0.98 - 0.97 is a little more than 0.01 in binary; that is not what a tolerance is about."""
    return distance > allowed and not math.isclose(distance, allowed)


def property_verdict(held: bool) -> Verdict:
    """A property was proved or refuted by its test."""
    word: Word = "reproduced" if held else "contradicted"
    return Verdict(word=word, size="its test passed" if held else "its test failed")


def few_seeds(verdict: Verdict, seeds: int) -> Verdict:
    """The verdict as far as one or two seeds of something random carry it."""
    reason = (
        f"{'One seed' if seeds == 1 else 'Two seeds'} of something random; at least 3 are needed for a word."
    )
    word: Word = "direction only" if verdict.word in POSITIVE and verdict.direction == FOR else "inconclusive"
    return Verdict(word=word, direction=verdict.direction, size=verdict.size, reason=reason)


def below_resolution(reason: str) -> Verdict:
    return Verdict(word="below resolution", reason=reason)


def _sized(lo: float, hi: float, lower: float, upper: float) -> Verdict:
    """The word of a clear effect by its size."""
    if lo > upper:
        return Verdict(word="reproduced, stronger", direction=FOR, size="larger than claimed")
    if lo >= lower:
        size = "as claimed, upper end open" if hi > upper else "as claimed"
        return Verdict(word="reproduced", direction=FOR, size=size)
    size = "smaller than claimed" if hi < lower else "not resolved"
    return Verdict(word="direction only", direction=FOR, size=size)
