"""What continual learning gives: simulated days with drift, and Online Retail month by month."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from remeasure.contracts import Arm, At, Metric, Role, case
from remeasure.datasets.adsim.request import Request as Adsim
from remeasure.datasets.uci_online_retail.request import Request as Retail

from ..online.questions import Learning, Online

SHARE = Metric("revenue share", "", better="higher", kind="quality", per="user")
FIRST_CLICKS = Metric("loss on the first days' clicks", "nats", better="lower", kind="quality", per="user")
WAIT = Metric("wait of a new ad", "d", better="lower", kind="quality", per="ad")
SHOWN = Metric("new ads shown", "", better="higher", kind="quality", per="ad")
VR_50 = Metric("VR@50", "", better="higher", kind="quality", per="user")
HR_10 = Metric("HR@10", "", better="higher", kind="quality", per="user")

HOUR, DAY = 1, 24
"""In steps of simulated days."""
LEARNERS: dict[str, tuple[Learning, Role]] = {
    "frozen": ("frozen", "strawman"),
    "retrained": ("scratch", "ablation"),
    "NTP": ("ntp", "ablation"),
    "VSL": ("vsl", "ablation"),
    "fixed mixture": ("fixed", "ablation"),
    "UVR": ("uvr", "reference"),
}
THIRDS: dict[Literal[1, 2, 3], str] = {1: ", first third", 2: ", second third", 3: ""}


def curves(asked: Online, retrained: int) -> list[Arm]:
    """Every way of learning over every third of the stream; those of the last third have the plain names.

    From scratch it is learned every `retrained` steps only.
    """
    return [
        Arm(
            name + words,
            role if third == 3 else "ablation",
            replace(asked, learning=how, third=third, every=retrained if how == "scratch" else asked.every),
            series=name,
            x=third,
        )
        for name, (how, role) in LEARNERS.items()
        for third, words in THIRDS.items()
    ]


def often(asked: Online, every: Sequence[tuple[str, int]]) -> list[Arm]:
    """VSL with other times between updates."""
    return [
        Arm(f"VSL, {name}", "ablation", replace(asked, learning="vsl", every=steps)) for name, steps in every
    ]


SIZE = Online(
    scheme="mr+business",
    sizes=(64, 16, 64),
    d=64,
    layers=2,
    parallel=1,
    bins=16,
    weights=True,
    widths=(16, 32, 64),
)
"""Two content levels small enough that a new ad mostly shares its prefix with known ones. The rate of updates did
better than 1e-3 for VSL and UVR on the second of the months, before the last third was looked at."""
DAYS = replace(SIZE, history=10, steps=300, order="known", every=DAY, steps_served=6 * DAY)
MONTHS = replace(SIZE, history=20, steps=500, widths=(32, 64, 128), offers=16)
FEW = ("frozen", "VSL", "UVR")
SMALL = {
    "sizes": (16, 8, 8), "dims": 8, "history": 4, "d": 16, "layers": 2, "parallel": 1, "heads": 2, "bins": 4,
    "steps": 4, "widths": (4, 8, 16), "steps_served": 3,
}  # fmt: skip
"""A stream of three steps."""


@case(
    dataset="adsim",
    request=Adsim(users=2_500, requests=30),
    simulated=True,
    arms=(*curves(DAYS, 3 * DAY), *often(DAYS, (("hourly", HOUR), ("every 3 days", 3 * DAY)))),
    metrics=(SHARE, FIRST_CLICKS, SHOWN, WAIT),
    profiles={
        "tiny": At(
            seeds=(0,),
            set={**SMALL, "ads": 100, "users": 60, "requests": 12, "steps_served": DAY + 1},
            evidence="scaled",
        ),
        "smoke": At(seeds=(0,), set={"steps": 40, "steps_served": DAY + 1}, evidence="scaled", arms=FEW),
        "standard": At(seeds=(0, 1), evidence="scaled"),
        "full": At(seeds=tuple(range(5)), set={"steps": 900, "steps_served": 21 * DAY}, evidence="scaled"),
    },
    axis="third of the days",
    tags=("partial",),
)
def online_adsim(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """Tastes drift and 5 % of the ads are replaced daily: what does learning from the log of every day give?"""
    from ..runs.online import on_days

    return on_days(arm.config, data, seed)


@case(
    dataset="uci_online_retail",
    request=Retail(),
    arms=tuple(curves(MONTHS, 2)),
    metrics=(VR_50, HR_10),
    profiles={
        "tiny": At(seeds=(0,), set={**SMALL, "customers": 150, "products": 120}, evidence="scaled"),
        "smoke": At(seeds=(0,), set={"steps": 20, "steps_served": 3}, evidence="scaled", arms=FEW),
        "standard": At(seeds=(0, 1, 2), evidence="scaled"),
        "full": At(seeds=tuple(range(5)), set={"steps": 900}, evidence="scaled"),
    },
    axis="third of the months",
    tags=("partial",),
)
def online_retail(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """Trained to a month, tested on the next: what does learning from every month's invoices give?"""
    from ..runs.online import on_months

    return on_months(arm.config, data, seed)
