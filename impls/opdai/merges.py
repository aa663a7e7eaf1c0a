"""Which markets are merged into a corpus (OPDAI specification §1.2): from roles, never from names."""

from collections.abc import Sequence
from itertools import combinations


def merges(target: str, co_targets: Sequence[str], sources: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The market combinations that pre-rankers are fitted on, without duplicates, each led by the target.

    The target alone; all targets; everything; and the target with every non-empty subset of the sources when
    there are at most three, else with each single source, each set that leaves one out, and all of them.
    """
    n = len(sources)
    sizes = range(1, n + 1) if n <= 3 else (1, n - 1, n)
    chosen = [
        (target,),
        (target, *co_targets),
        (target, *co_targets, *sources),
        *((target, *some) for size in sizes for some in combinations(sources, size)),
    ]
    return tuple(dict.fromkeys(chosen))
