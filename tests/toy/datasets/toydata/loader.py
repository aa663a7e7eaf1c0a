"""Ratings of users in groups: four seen ones and one to predict; from `scores.tsv` or simulated.

numpy is imported where it is needed: cases import `Request` from here, and listing them must stay light.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remeasure.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Request:
    """What to load."""

    users: int = 120
    """Users simulated, or read from the top of the file."""
    generator_seed: int = 7
    """Seed of the simulator; the file has none."""


@dataclass(frozen=True, eq=False)
class Ratings:
    """groups int64 [U]; seen float64 [U, 4]; target float64 [U]"""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    groups: np.ndarray
    seen: np.ndarray
    target: np.ndarray


def simulate(request: Request) -> np.ndarray:
    """int64 [U, 6]: group, four seen ratings, the target; 0 to 100."""
    import numpy as np

    rng = np.random.default_rng(request.generator_seed)
    groups = rng.integers(0, 5, request.users)
    taste = 20 * groups + rng.normal(0, 6, request.users)
    ratings = np.clip(taste[:, None] + rng.normal(10, 3, (request.users, 5)), 0, 100)
    return np.column_stack([groups, ratings.round()]).astype(np.int64)


def load(request: Request, root: Path | None) -> Ratings:
    import numpy as np

    if root is None:
        table, label, notes = (
            simulate(request),
            f"{request.users} simulated users",
            ("toydata is simulated.",),
        )
    else:
        file = root / "scores.tsv"
        if not file.is_file():
            raise UserError(f"{root.name}/scores.tsv is missing; give a folder that holds it.")
        table = np.loadtxt(file, dtype=np.int64, delimiter="\t", skiprows=1, ndmin=2)[: request.users]
        label, notes = f"first {len(table)} users of scores.tsv", ()
        if (root / "more.tsv").is_file():
            notes = ("with more.tsv",)
    return Ratings(
        label=label,
        simulated=root is None,
        notes=notes,
        groups=table[:, 0],
        seen=table[:, 1:5].astype(float),
        target=table[:, 5].astype(float),
    )
