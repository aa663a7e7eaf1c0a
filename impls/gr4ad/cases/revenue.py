"""Revenue in the simulated world, arm by arm: what learning from value and from preferences gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from remeasure.contracts import Arm, At, case
from remeasure.datasets.adsim.request import Request

from ..baselines.cascade.config import Cascade
from ..baselines.config import Popularity
from ..questions import Generating
from .lists import THREE, TINY
from .metrics import FIT, HR_10, HR_50, REVENUE, SERVE

NTP = Generating(history=10, sizes=(256, 32, 32), steps=900)
TOKEN = replace(NTP, bins=16, order="token")
VSL = replace(TOKEN, weights=True)
PREFERRING = replace(VSL, objective="rspo")
KNOWN = replace(VSL, order="known")


@case(
    dataset="adsim",
    request=Request(),
    simulated=True,
    arms=(
        Arm("popularity by value", "strawman", Popularity(by="value")),
        Arm("cascade", "ablation", Cascade(size=10)),
        Arm("NTP", "ablation", NTP),
        Arm("+ value token", "ablation", TOKEN),
        Arm("VSL", "ablation", VSL),
        Arm("VSL + DPO", "ablation", replace(PREFERRING, objective="dpo")),
        Arm("VSL + S-DPO", "ablation", replace(PREFERRING, objective="s-dpo")),
        Arm("VSL + GRPO", "ablation", replace(PREFERRING, objective="grpo", beta=0.04)),
        Arm("VSL + RSPO", "ablation", PREFERRING),
        Arm("UVR", "reference", replace(PREFERRING, mix="unified")),
        Arm("VSL, value known", "ablation", KNOWN),
    ),
    metrics=(REVENUE, HR_10, HR_50, FIT, SERVE),
    profiles={
        "tiny": At(seeds=(0,), set=TINY | {"ads": 60, "users": 60, "requests": 12}, evidence="scaled"),
        "standard": At(seeds=THREE),
        "full": At(seeds=THREE),
    },
    times_itself=True,
    isolated=False,
    tags=("partial",),
)
def revenue(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What share of the best lists' revenue does each way of learning reach, in a world whose truth is known?"""
    from ..runs.revenue import paid

    return paid(arm.config, data, seed)
