"""The questions about real blocks: which may stand in for which, and what stitches, surrogates and speculation cost.

Sizes are cut to what one core does in minutes: a few layers, some hundred tokens of each tenant, whole documents as the
units of the intervals, and tenants as their clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from remeasure.contracts import Arm, At, Metric, case

from ..questions import Stitched, Swapped
from .models import BYTES, MICRO, TENANTS

KL = Metric("KL", "nat", better="lower", kind="quality", per="document")
AGREE = Metric("agreement", "%", better="higher", kind="quality", per="document")
PERPLEXITY = Metric("perplexity change", "%", better="lower", kind="quality", per="document")
WORST_KL = Metric("KL, worst chain", "nat", better="lower", kind="count")
WORST_AGREE = Metric("agreement, worst chain", "%", better="higher", kind="count")
ALLOWED = Metric("allowed swaps", "%", better="higher", kind="count")
WRONGLY = Metric("allowed but harmful", "%", better="lower", kind="count")
ALONE_KL = Metric("KL of an allowed swap", "nat", better="lower", kind="count")
FIRST_KL = Metric("KL from the first model", "nat", better="lower", kind="quality", per="document")
SECOND_KL = Metric("KL from the second model", "nat", better="lower", kind="quality", per="document")
FIRST_AGREE = Metric("agreement with the first", "%", better="higher", kind="quality", per="document")
SECOND_AGREE = Metric("agreement with the second", "%", better="higher", kind="quality", per="document")
RESIDUAL = Metric("residual", "%", better="lower", kind="count")
PARAMETERS = Metric("parameters", "k", better="lower", kind="count")


def profiles(
    tiny: dict[str, Any], full: dict[str, Any], smoke: dict[str, Any] | None = None
) -> dict[str, At]:
    """One seed each: models, texts and what is drawn of them are fixed; intervals are over documents by tenant."""
    found = {
        "tiny": At(seeds=(0,), set={**MICRO, **tiny}, evidence="scaled"),
        "standard": At(seeds=(0,)),
        "full": At(seeds=(0,), set=full),
    }
    if smoke is not None:
        found["smoke"] = At(seeds=(0,), set={**BYTES, **smoke}, evidence="scaled")
    return found


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=(
        Arm("cosine at least 0.98", "strawman", Swapped(rule="cosine", cosine=0.98)),
        Arm("cosine at least 0.99999", "ablation", Swapped(rule="cosine", cosine=0.99999)),
        Arm("probe", "ablation", Swapped(rule="probe")),
        Arm("KL and agreement", "reference", Swapped()),
        Arm("KL and agreement, all at once", "ablation", Swapped(most=0)),
        Arm("KL and agreement, whole segments", "ablation", Swapped(rule="segments")),
    ),
    metrics=(KL, AGREE, PERPLEXITY, WORST_KL, WORST_AGREE, ALLOWED, WRONGLY, ALONE_KL),
    profiles=profiles(
        {"layers": (0, 1), "swaps": 10, "across": 2, "length": 12, "valid": 3, "test": 3, "fitted": 4},
        {"layers": tuple(range(1, 30, 3)), "swaps": 240, "across": 24, "valid": 12, "test": 40},
        {"layers": (0, 1, 2, 3), "swaps": 60, "fitted": 60},
    ),
    tags=("deterministic", "partial"),
)
def equivalence(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """Which blocks of a family may stand in for which, and how far is a chain from itself with the worst of them?"""
    from ..runs.swap import swapped

    return swapped(arm.config, data)


VARIANTS: tuple[tuple[str, Literal["strawman", "reference", "ablation"], dict[str, Any]], ...] = (
    ("cut off or padded", "strawman", {"variant": "pad"}),
    ("random projection", "strawman", {"variant": "random"}),
    ("one stitch a cut", "reference", {}),
    ("one shared stitch", "ablation", {"variant": "shared"}),
    ("one shared stitch with positions", "ablation", {"variant": "position"}),
)
LEARNED = ("one stitch a cut, trained on", "ablation", {"epochs": 2})


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=tuple(Arm(name, role, Stitched(**fields)) for name, role, fields in (*VARIANTS, LEARNED)),  # type: ignore[arg-type]
    metrics=(SECOND_KL, FIRST_KL, SECOND_AGREE, FIRST_AGREE, PERPLEXITY, RESIDUAL, PARAMETERS),
    profiles=profiles({"cuts": ((1, 1),), "length": 12, "fitted": 30, "test": 3}, {"test": 40}),
    tags=("deterministic", "partial"),
)
def stitching_widths(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How well does a stitch lead from the middle of a model into the middle of a wider one?"""
    from ..runs.stitch import stitched

    return stitched(arm.config, data)


SKIPS: dict[str, Any] = {
    "model": "smollm2",
    "into": "itself",
    "cuts": ((10, 11), (10, 12), (20, 22)),
    "fitted": 40,
    "test": 8,
}


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=tuple(Arm(name, role, Stitched(**{**SKIPS, **fields})) for name, role, fields in VARIANTS),
    metrics=(SECOND_KL, SECOND_AGREE, PERPLEXITY, RESIDUAL, PARAMETERS),
    profiles=profiles(
        {"cuts": ((0, 1),), "length": 12, "fitted": 30, "test": 3},
        {
            "cuts": tuple((leave, leave + skip) for leave in (4, 10, 16, 22) for skip in (1, 2, 4)),
            "fitted": 120,
        },
    ),
    tags=("deterministic", "partial"),
)
def stitching_layers(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How well does a stitch stand for the layers of a model that it skips?"""
    from ..runs.stitch import stitched

    return stitched(arm.config, data)
