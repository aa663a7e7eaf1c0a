"""Which question is asked of which market. Importing this loads nothing else."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Request:
    """Which question is asked of which market."""

    target: str = "t1"
    """The market whose users are judged."""
    sources: tuple[str, ...] | None = None
    """Source markets; None: every other market that is not a co-target."""
    co_targets: tuple[str, ...] | None = None
    """Other targets; None: the configured targets without `target` if `target` is one of them, else none."""
    lists: Literal["official", "resampled", "holdout"] = "official"
    """The published lists; lists redrawn around the published labels; or pairs held out of the training data,
    for choosing a configuration: then the target's own labels are not in the data at all."""
    candidates: int = 100
    """Length of resampled and holdout lists."""
    seed: int = 0
    """Seed of resampled and holdout lists, and of simulated markets."""
    scale: Literal["tiny", "smoke", "standard"] = "standard"
    """Size of the simulated markets where there are no real data."""
