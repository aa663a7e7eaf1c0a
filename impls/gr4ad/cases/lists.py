"""Who recommends best on other people's data: published rows of Office Products, and invoices of Online Retail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remeasure.contracts import Arm, At, Role, case
from remeasure.datasets.amazon18_office.request import Request as Office
from remeasure.datasets.uci_online_retail.request import Request as Retail

from ..baselines.cascade.config import Cascade
from ..baselines.tiger.config import Tiger
from ..questions import Generating
from ..tuned import chosen, tuning
from .metrics import (
    FIT,
    HR_10,
    HR_10_COLD,
    HR_10_EVERY,
    HR_50,
    NDCG_10,
    NDCG_10_COLD,
    SERVE,
    VR_50,
    VR_50_EVERY,
    VR_50_RAW,
)

THREE = (0, 1, 2)
TINY: dict[str, Any] = {
    "sizes": (16, 8, 8),
    "d": 16,
    "layers": 2,
    "parallel": 1,
    "steps": 4,
    "batch": 16,
    "widths": (8, 16, 32),
    "preference_steps": 2,
    "epochs": 1,
    "dim": 8,
    "codes": 16,
    "encoder": 1,
    "decoder": 1,
    "towers.epochs": 1,
    "trees.rounds": 5,
    "din.epochs": 1,
    "users": 80,
    "products": 60,
    "customers": 80,
}

OFFICE_NTP = Generating(history=10, dims=64, steps=300)
RETAIL_NTP = Generating(half_life=14)


def tuned(dataset: str, arm: str, name: str, role: Role = "optimized") -> Arm:
    """A baseline as it was chosen on the validation rows."""
    return Arm(arm, role, chosen(dataset, arm, name), tuning(dataset, arm, name))


@case(
    dataset="amazon18_office",
    request=Office(),
    arms=(
        tuned("amazon18_office", "popularity", "all", "strawman"),
        tuned("amazon18_office", "neighbours", "all"),
        tuned("amazon18_office", "sasrec", "all"),
        Arm("TIGER, not tuned", "ablation", Tiger(epochs=16)),
        Arm("cascade, not tuned", "ablation", Cascade(size=10)),
        Arm("generative, AR", "reference", OFFICE_NTP),
    ),
    metrics=(HR_10, NDCG_10, HR_10_COLD, NDCG_10_COLD, FIT, SERVE),
    profiles={
        "tiny": At(seeds=(0,), set=TINY, evidence="scaled"),
        "standard": At(seeds=THREE),
        "full": At(seeds=THREE),
    },
    times_itself=True,
    isolated=False,
)
def office(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """Does generating ids find the next product better than rules and id models, on published test rows?"""
    from ..runs.lists import office as judged

    return judged(arm.config, data, seed)


@case(
    dataset="uci_online_retail",
    request=Retail(),
    arms=(
        tuned("uci_online_retail", "popularity, 30 days", "new", "strawman"),
        tuned("uci_online_retail", "recent popularity", "new"),
        tuned("uci_online_retail", "personal frequency", "all"),
        tuned("uci_online_retail", "neighbours", "new"),
        Arm("cascade, not tuned", "ablation", Cascade(size=64, half_life=14)),
        Arm("generative, AR", "reference", RETAIL_NTP),
    ),
    metrics=(VR_50, HR_10, NDCG_10, HR_50, VR_50_RAW, VR_50_EVERY, HR_10_EVERY, FIT, SERVE),
    profiles={
        "tiny": At(seeds=(0,), set=TINY, evidence="scaled"),
        "standard": At(seeds=THREE),
        "full": At(seeds=THREE),
    },
    times_itself=True,
    isolated=False,
)
def retail(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """Which items that he never had does a customer buy next, by value?"""
    from ..runs.lists import retail as judged

    return judged(arm.config, data, seed)
