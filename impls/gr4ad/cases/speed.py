"""What a request costs: decoders, widths, keys and values, the choice of the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.adsim.request import Request

from ..questions import Decoding, TopK

CPU = Metric("CPU of a request", "ms", better="lower", kind="time", per="round")
MACS = Metric("MACs of a request", "GMAC", better="lower", kind="count", per="round")
PICK = Metric("CPU of a choice", "ms", better="lower", kind="time", per="round")

NO_DATA = Request(ads=300, users=60, requests=4)
"""Weights and contexts are drawn: speed does not depend on what was learned."""
DYNAMIC = (128, 256, 512)
LARGE = (16384, 4096, 1024)
"""The paper's codebooks (§1.2)."""
TINY = {"d": 32, "layers": 3, "parallel": 2, "codes": (16, 8, 8), "widths": (8, 8, 8), "history": 7}
EIGHT = tuple(range(8))


def profiles(tiny: dict[str, Any], rounds: int) -> dict[str, At]:
    return {
        "tiny": At(seeds=(0,), rounds=2, set=tiny, evidence="scaled"),
        "smoke": At(seeds=(0, 1), rounds=2, evidence="scaled"),
        "standard": At(seeds=EIGHT, rounds=rounds, evidence="scaled"),
        "full": At(seeds=EIGHT, rounds=2 * rounds, evidence="scaled"),
    }


ARMS = (
    Arm("AR, copied K/V, 512×3", "strawman", Decoding(kv="replicated")),
    Arm("AR, 512×3", "ablation", Decoding()),
    Arm("AR, 128-256-512", "ablation", Decoding(widths=DYNAMIC)),
    Arm("LazyAR 6/9, 512×3", "ablation", Decoding(parallel=6)),
    Arm("LazyAR 6/9, 128-256-512", "reference", Decoding(parallel=6, widths=DYNAMIC)),
)


@case(
    dataset="adsim",
    request=NO_DATA,
    simulated=True,
    arms=(
        *ARMS,
        Arm("AR, products alone", "control", Decoding(only="products"), invalid="It gives no result."),
    ),
    metrics=(CPU, MACS),
    profiles=profiles(TINY, 6),
    tags=("partial",),
)
def decoding(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What does a request cost with and without LazyAR, dynamic widths and shared keys and values?"""
    from ..runs.decoding import decoded

    return decoded(arm.config, seed)


@case(
    dataset="adsim",
    request=NO_DATA,
    simulated=True,
    arms=(
        Arm("AR, 512×3", "ablation", Decoding(codes=LARGE)),
        Arm("LazyAR 6/9, 512×3", "reference", Decoding(codes=LARGE, parallel=6)),
    ),
    metrics=(CPU, MACS),
    profiles=profiles(TINY, 6),
    tags=("partial",),
)
def decoding_large(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """The same with the paper's codebooks, where heads weigh more."""
    from ..runs.decoding import decoded

    return decoded(arm.config, seed)


@case(
    dataset="adsim",
    request=NO_DATA,
    simulated=True,
    arms=(
        Arm("torch.topk", "strawman", TopK("torch")),
        Arm("in each beam, then all", "ablation", TopK("precut")),
        Arm("pruned", "reference", TopK("pruned")),
    ),
    metrics=(PICK,),
    profiles={**profiles({"beams": 16, "codes": 64, "keep": 16}, 20), "asv": At(seeds=(0,), rounds=10)},
    tags=("tracked", "partial"),
)
def best_of_beams(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """What does the choice of 512 among 512 × 4,096 candidates take?"""
    from ..runs.decoding import picked

    return picked(arm.config, seed)
