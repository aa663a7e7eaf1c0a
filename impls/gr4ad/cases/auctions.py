"""Auctions whose outcome is known to the last click: the oracle of what bidding code does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.ipinyou_rlb.request import Request

from ..questions import Bidding

CLICKS = Metric("clicks", "", better="higher", kind="count", per="round")
WON = Metric("won", "", better="higher", kind="count", per="round")
COST = Metric("cost", "", better="lower", kind="count", per="round")


@case(
    dataset="ipinyou_rlb",
    request=Request(),
    arms=(
        Arm("what a click cost", "strawman", Bidding("mcpc")),
        Arm("linear", "ablation", Bidding("lin_bid")),
        Arm("by value, click rates given", "reference", Bidding("rlb")),
        Arm("by value, one click rate", "ablation", Bidding("ss_mdp")),
    ),
    metrics=(CLICKS, WON, COST),
    profiles={
        "tiny": At(seeds=(0,), set={"episode": 50}, evidence="scaled"),
        "smoke": At(seeds=(0,)),
        "standard": At(seeds=(0,)),
        "full": At(seeds=(0,)),
    },
    tags=("deterministic", "partial"),
)
def auctions(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How many clicks does a budget buy on logged auctions, and is it what was published?"""
    from ..runs.auctions import replayed

    return replayed(arm.config, data)
