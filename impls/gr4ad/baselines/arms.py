"""The baselines of every data set before tuning, and over which values each is tuned. Plain data.

Every arm gets the last events that the others get: 10 on Office Products, as published, 64 of baskets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config import Baseline, Frequency, Neighbours, Popularity, Sasrec

LIMITS: Mapping[str, tuple[float, float]] = {
    "decay": (0.0, 1.0),
    "back": (0.0, 1.0),
    "evenly": (0.0, 1.0),
    "reach": (1, float("inf")),
    "text": (0.0, float("inf")),
    "together": (0.0, float("inf")),
    "dropout": (0.0, 0.9),
}
"""Where the values of a field end by nature: a best trial there asks for no wider grid."""


@dataclass(frozen=True)
class Grid:
    """An arm to be tuned."""

    base: Baseline
    space: Mapping[str, tuple[Any, ...]]
    """Values by field, swept one field after another; numbers ascending, after None where it is one of them."""
    passes: int = 2
    """How often all fields are swept."""


@dataclass(frozen=True)
class Question:
    """What the arms of a data set are asked."""

    slices: tuple[str, ...]
    """Slices of the targets, each with its own choice; `new` is answered without what the history holds."""
    metric: str
    """What chooses: a name of `measures`."""
    arms: Mapping[str, Grid]


COUNTED = ("events", "users", "value")

QUESTIONS: Mapping[str, Question] = {
    "amazon18_office": Question(
        slices=("all",),
        metric="NDCG@10",
        arms={
            "popularity": Grid(Popularity(), {"by": ("events", "users")}),
            "neighbours": Grid(
                Neighbours(size=10),
                {
                    "text": (0.3, 1.0, 3.0, 10.0),
                    "decay": (0.3, 0.5, 0.7, 0.9),
                    "reach": (1, 3, 9),
                    "back": (0.0, 0.25, 0.5, 1.0),
                    "evenly": (0.0, 0.25, 0.5),
                },
            ),
            "sasrec": Grid(
                Sasrec(size=10, learning_rate=2e-3),
                {"dropout": (0.3, 0.5, 0.7), "learning_rate": (1e-3, 2e-3, 4e-3)},
                passes=1,
            ),
        },
    ),
    "uci_online_retail": Question(
        slices=("new", "all"),
        metric="VR@50",
        arms={
            "popularity": Grid(Popularity(), {"by": COUNTED}),
            "popularity, 30 days": Grid(Popularity(days=30), {"by": COUNTED}),
            "recent popularity": Grid(
                Popularity(days=30, by="value"), {"days": (7, 14, 30, 60), "by": COUNTED}
            ),
            "personal frequency": Grid(
                Frequency(days=30),
                {"decay": (0.8, 0.9, 1.0), "days": (None, 7, 14, 30, 60), "by": COUNTED},
            ),
            "neighbours": Grid(
                Neighbours(half_life=4, together=1.0, evenly=0.5),
                {
                    "half_life": (None, 2, 4, 8, 16, 32),
                    "evenly": (0.0, 0.5, 1.0),
                    "text": (0.0, 0.03, 0.1, 0.3, 1.0),
                    "together": (0.0, 0.5, 1.0, 2.0),
                    "decay": (0.3, 0.6, 0.9),
                    "reach": (1, 2, 4),
                    "back": (0.0, 0.5, 1.0),
                },
                passes=1,
            ),
            "sasrec": Grid(
                Sasrec(learning_rate=2e-3, half_life=16, epochs=60),
                {"half_life": (None, 8, 16, 32), "dropout": (0.1, 0.3, 0.5)},
                passes=1,
            ),
        },
    ),
}
