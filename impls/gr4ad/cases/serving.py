"""What serving does under load, behind a cache, and while new ads come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from remeasure.contracts import Arm, At, Metric, Role, case
from remeasure.datasets.adsim.request import Request as AdSim
from remeasure.datasets.complete_journey.request import Request as Journey

from ..serving.questions import Cached, OneDay, UnderWay, Updating

TINY = {"d": 32, "layers": 3, "parallel": 2, "codes": (16, 8, 8), "widths": (8, 8, 8), "history": 7}
EIGHT, FIVE = tuple(range(8)), tuple(range(5))


def inside(prefix: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of a part of a configuration."""
    return {f"{prefix}.{name}": value for name, value in fields.items()}


# --- a day under load ----------------------------------------------------------------------------------------------

LOADS = (0.3, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3)
POLICIES: tuple[tuple[str, Role, Literal["narrow", "wide", "adaptive"]], ...] = (
    ("narrow", "strawman", "narrow"),
    ("wide", "ablation", "wide"),
    ("TABS", "reference", "adaptive"),
)


def virtual(name: str, unit: str, better: Literal["lower", "higher"]) -> Metric:
    """Of the simulated day; the service times behind it are measured anew in each process."""
    return Metric(name, unit, better, kind="virtual-time", exact=False)


@case(
    dataset="complete_journey",
    request=Journey(),
    arms=[
        Arm(f"{name}, {load:g}", role, OneDay(policy, load), series=name, x=load)
        for name, role, policy in POLICIES
        for load in LOADS
    ],
    metrics=(
        virtual("value", "%", "higher"),
        virtual("latency, p95", "ms", "lower"),
        virtual("dropped", "%", "lower"),
        virtual("lost", "%", "lower"),
        virtual("mean width", "×", "higher"),
        virtual("busy", "%", "lower"),
    ),
    profiles={
        "tiny": At(
            seeds=(0,), set={**inside("decoding", TINY), "hour": 20.0, "samples": 3}, evidence="modelled"
        ),
        "smoke": At(
            seeds=(0, 1, 2),
            set={"hour": 500.0, "samples": 6},
            arms=tuple(f"{name}, 1" for name, _, _ in POLICIES),
            evidence="modelled",
        ),
        "standard": At(seeds=EIGHT, evidence="modelled"),
        "full": At(seeds=EIGHT, set={"hour": 40000.0, "samples": 100}, evidence="modelled"),
    },
    isolated=True,
    axis="load of the busiest hour",
    tags=("modelled", "partial"),
)
def day(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What do narrow, wide and traffic-aware widths give over a day of real shape: value, latency, dropped requests?"""
    from ..runs import serving

    serving.measured(replace(arm.config, policy="adaptive", load=1.0), seed)
    return lambda: serving.day(arm.config, data, seed)


# --- a result cache ------------------------------------------------------------------------------------------------

LIVES: tuple[tuple[str, Role, float], ...] = (
    ("no cache", "strawman", 0.0),
    ("15 s", "ablation", 15.0),
    ("60 s", "reference", 60.0),
    ("240 s", "ablation", 240.0),
)


@case(
    dataset="adsim",
    request=AdSim(ads=300, users=60, requests=4),
    simulated=True,
    arms=[Arm(name, role, Cached(ttl), series="cache", x=ttl) for name, role, ttl in LIVES],
    metrics=(
        Metric("CPU of a request", "ms", better="lower", kind="time", per="round"),
        Metric("CPU of the cache", "µs", better="lower", kind="time", per="round"),
        Metric("hits", "%", better="higher", kind="count"),
    ),
    profiles={
        "tiny": At(seeds=(0,), rounds=2, set={**inside("decoding", TINY), "visits": 30}, evidence="modelled"),
        "smoke": At(seeds=(0, 1), rounds=2, set={"visits": 60}, evidence="modelled"),
        "standard": At(seeds=FIVE, rounds=5, evidence="modelled"),
        "full": At(seeds=EIGHT, rounds=10, set={"visits": 1000}, evidence="modelled"),
    },
    times_itself=True,
    axis="time to live, s",
    tags=("modelled", "partial"),
)
def cache(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What does a result cache save where 27.8 % of the requests hit, and what does it cost itself?"""
    from ..runs.serving import cached

    return cached(arm.config, seed)


# --- new ads -------------------------------------------------------------------------------------------------------

CATALOGUE = Journey(products=20_000)
"""Where the real catalogue is out of reach, one that is large enough for the codebooks."""
SMALL = {"ads": 20, "singles": 2, "sizes": (16, 8, 8), "lists": 8, "iterations": 2}
"""For a simulated shop of few products."""
TINY_WAY = {**inside("decoding", TINY), **SMALL}
MINILM = "SID index, put in, MiniLM"


@case(
    dataset="complete_journey",
    request=CATALOGUE,
    arms=(
        Arm("IVF, built anew", "strawman", Updating("ivf", "built anew", singles=1)),
        Arm("IVF, put in", "ablation", Updating("ivf")),
        Arm("SID index, built anew", "ablation", Updating("sid", "built anew", singles=1)),
        Arm("SID index, put in", "reference", Updating()),
        Arm(MINILM, "ablation", Updating(encoder="minilm", before=8000, singles=5)),
    ),
    metrics=(
        Metric("CPU of all new ads", "s", better="lower", kind="time", per="round"),
        Metric("CPU of one ad, p50", "ms", better="lower", kind="time", per="round"),
        Metric("entries unlike a rebuild", "", better="lower", kind="count"),
    ),
    profiles={
        "tiny": At(
            seeds=(0,),
            rounds=2,
            set={"products": 300, **TINY_WAY},
            arms=("IVF, built anew", "IVF, put in", "SID index, built anew", "SID index, put in"),
            evidence="scaled",
        ),
        "smoke": At(
            seeds=(0,),
            rounds=2,
            set={"before": 5000, "sizes": (256, 64, 64), "ads": 100},
            arms=("IVF, built anew", "SID index, put in"),
            evidence="scaled",
        ),
        "standard": At(
            seeds=FIVE,
            rounds=5,
            arms=("IVF, built anew", "IVF, put in", "SID index, built anew", "SID index, put in"),
            evidence="scaled",
        ),
        "full": At(seeds=EIGHT, rounds=5, evidence="scaled"),
    },
    times_itself=True,
    tags=("partial",),
)
def updates(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What do 1,000 new ads cost from their text until they can be generated, and what does a rebuild cost?"""
    from ..runs.updates import updating

    return updating(arm.config, data, seed)


@case(
    dataset="complete_journey",
    request=CATALOGUE,
    arms=(
        Arm("no updates", "strawman", UnderWay("nowhere")),
        Arm("every 0.25 s, in a process", "reference", UnderWay("process")),
        Arm("every 0.25 s, in a thread", "ablation", UnderWay("thread")),
        Arm("without a pause, in a process", "ablation", UnderWay("process", every=0.0)),
    ),
    metrics=(
        Metric("latency, p95", "ms", better="lower", kind="time", clock="wall", per="round"),
        Metric("latency, p50", "ms", better="lower", kind="time", clock="wall", per="round"),
        Metric("updates meanwhile", "", better="higher", kind="count", per="round", exact=False),
    ),
    profiles={
        "tiny": At(
            seeds=(0,),
            rounds=2,
            set={"products": 300, **inside("updating", TINY_WAY), "requests": 8},
            arms=("no updates", "every 0.25 s, in a process", "every 0.25 s, in a thread"),
            evidence="scaled",
        ),
        "smoke": At(
            seeds=(0,),
            rounds=2,
            set={**inside("updating", {"before": 5000, "sizes": (256, 64, 64)}), "requests": 40},
            evidence="scaled",
        ),
        "standard": At(seeds=FIVE, rounds=5, evidence="scaled"),
        "full": At(seeds=EIGHT, rounds=10, evidence="scaled"),
    },
    times_itself=True,
    tags=("partial",),
)
def updates_under_way(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What do requests notice of 1,000 new ads at a time that come in meanwhile?"""
    from ..runs.updates import under_way

    return under_way(arm.config, data, seed)
