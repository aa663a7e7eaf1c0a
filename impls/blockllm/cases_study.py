"""The questions about real blocks: which may stand in for which, and what stitches, surrogates and speculation cost.

Sizes are cut to what one core does in minutes: a few layers, some hundred tokens of each tenant, whole documents as the
units that are drawn again for the intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from remeasure.contracts import Arm, At, Metric, case

from .cases_models import BYTES, MICRO, TENANTS
from .family import Which

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
    """One seed each: models, texts and what is drawn of them are fixed, and intervals are over documents."""
    found = {
        "tiny": At(seeds=(0,), set={**MICRO, **tiny}, evidence="scaled"),
        "standard": At(seeds=(0,)),
        "full": At(seeds=(0,), set=full),
    }
    if smoke is not None:
        found["smoke"] = At(seeds=(0,), set={**BYTES, **smoke}, evidence="scaled")
    return found


@dataclass(frozen=True)
class Swapped:
    """Swaps of a family's blocks, and a rule that allows some of them."""

    model: Which = "smollm2"
    """The family."""
    rule: Literal["cosine", "probe", "chain", "segments"] = "chain"
    """cosine: of the parameters, at least `cosine`; probe: what a linear probe reads behind the block, up to the
    largest divergence below which all is harmless on validation text; chain: KL divergence and agreement of the whole
    chain on validation text; segments: the same for the layers that the last-layers variants replaced, all at once."""
    cosine: float = 0.0
    """rule = cosine: the threshold."""
    most: Literal[0, 1] = 1
    """rule = chain: substitutions in a chain at once; 0: at all places where one is allowed."""
    layers: tuple[int, ...] = (2, 9, 16, 23, 28)
    """Where swaps are made."""
    swaps: int = 48
    """Swaps between two models at one place, drawn of all there are in these layers."""
    across: int = 6
    """Swaps between two layers of one model, as controls."""
    length: int = 64
    """Tokens of a document."""
    valid: int = 6
    """Documents of each tenant, at most, that thresholds are chosen on."""
    test: int = 8
    """Documents of each tenant, at most, that are reported."""
    fitted: int = 16
    """Documents that the probe is fitted on."""


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
    from .swap_runs import swapped

    return swapped(arm.config, data)


@dataclass(frozen=True)
class Stitched:
    """Chains that leave one model and go on in another, or in the same one further on."""

    model: Which = "bytes"
    """The family; chains begin in its foundation."""
    into: Literal["wider", "itself"] = "wider"
    """Where they go on: in a wider foundation, which SmolLM2 does not have, or in the same one."""
    variant: Literal["per cut", "shared", "position", "pad", "random"] = "per cut"
    """A matrix a cut, one for all, one for all and a vector a cut; cut off or filled up; a random projection."""
    epochs: int = 0
    """Of learning on the task after the fit."""
    cuts: tuple[tuple[int, int], ...] = ((1, 1), (2, 2), (3, 3))
    """Layers of the first model that run, and the number of the first layer of the second that runs."""
    length: int = 64
    """Tokens of a document."""
    fitted: int = 300
    """Documents that stitches are fitted on."""
    test: int = 12
    """Documents of each tenant, at most, that are reported."""


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
    from .stitch_runs import stitched

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
    from .stitch_runs import stitched

    return stitched(arm.config, data)
