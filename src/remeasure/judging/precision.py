"""Are a case's intervals as narrow as it wants them? Asked between processes, and said where they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ..contracts import Case
from ..declared.claims import Claim
from ..declared.registry import Registry
from ..records.record import Record
from .guards import control
from .intervals import Interval
from .kinds import effects
from .samples import Samples
from .selection import DETERMINISTIC


def narrow_enough(found: Registry) -> Callable[[Sequence[Record]], bool]:
    """For `running.precision`: whether no pair that a claim of the case compares has too wide an interval."""

    def enough(records: Sequence[Record]) -> bool:
        one, *_ = records
        case = found.case(f"{one.system}/{one.case}")
        return not any(too_wide(case, found.system(case.system).claims.claim, records, one.profile))

    return enough


def too_wide(case: Case, claims: Iterable[Claim], records: Sequence[Record], profile: str) -> Iterator[str]:
    """What is wider than the case wants it, a few words each: pairs, and the A/A control behind them."""
    precision = case.profiles[profile].precision
    for name, wanted in precision.items():
        samples = Samples(tuple(records), name, DETERMINISTIC in case.tags)
        for claim in claims:
            if claim.case != case.name or case.metric(claim.metric).name != name:
                continue
            try:
                widths = [half_width(effect.interval) for effect in effects(claim, samples)]
            except ValueError:
                continue  # the claim says so itself
            if widths and max(widths) > wanted:
                yield f"{claim.id} is known to ± {max(widths):.2g}, ± {wanted:g} was wanted"
        try:
            noise = samples.noise()
        except ValueError:
            continue
        if noise and not control(noise, samples.meta.clock).ok:
            yield f"its A/A control is {noise.estimate:.3f} [{noise.lo:.3f}, {noise.hi:.3f}]"


def half_width(interval: Interval) -> float:
    """Relative where the interval is of a ratio or a time, else in the metric's unit."""
    if interval.logs:
        return float((interval.hi / interval.lo) ** 0.5 - 1)
    return (interval.hi - interval.lo) / 2
