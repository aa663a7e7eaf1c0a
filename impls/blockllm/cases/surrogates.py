"""The questions about surrogates: how near a pruned block is, what it saves, and what guessing with it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.tinyshakespeare.loader import Request as Plays

from ..questions import Pruned, Speculated, Stepped
from .models import FIVE, MICRO, TENANTS
from .study import AGREE, KL, profiles

COSINE = Metric("cosine of outputs", "", better="higher", kind="quality", per="document")
ADDED = Metric("cosine of what is added", "", better="higher", kind="quality", per="document")
ERROR = Metric("relative error", "%", better="lower", kind="quality", per="document")
STEP = Metric("time of 8 steps", "ms", better="lower", kind="time", per="round")
SAME = Metric("tokens unchanged", "%", better="higher", kind="quality", per="prompt")
ACCEPTED = Metric("acceptance", "%", better="higher", kind="quality", per="prompt")
PROMPT_KL = Metric("KL", "nat", better="lower", kind="quality", per="prompt")
PROMPT_AGREE = Metric("agreement", "%", better="higher", kind="quality", per="prompt")
PASSES = Metric("true passes a token", "", better="lower", kind="quality", per="prompt")


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=(
        Arm("feed-forward, 50 % by weights, not fitted", "strawman", Pruned(refit=False, score="weights")),
        Arm("feed-forward, 25 % removed", "reference", Pruned(removed=0.25)),
        Arm("feed-forward, 50 % removed", "reference", Pruned(removed=0.5)),
        Arm("feed-forward, 75 % removed", "reference", Pruned(removed=0.75)),
        Arm("attention, 1 of 3 heads removed", "reference", Pruned(half="attn", removed=0.25)),
        Arm("attention, 2 of 3 heads removed", "reference", Pruned(half="attn", removed=0.75)),
    ),
    metrics=(COSINE, ADDED, ERROR, KL, AGREE),
    profiles=profiles(
        {"layers": (0, 1), "length": 12, "fitted": 20, "test": 3},
        {"layers": tuple(range(1, 30, 3)), "fitted": 120, "test": 40},
    ),
    tags=("deterministic", "partial"),
)
def surrogates(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How near is a pruned block to the whole one, by its outputs and by what the chain says?"""
    from ..runs.surrogates import judged

    return judged(arm.config, data)


@case(
    dataset="tinyshakespeare",
    request=Plays(),
    arms=(
        Arm("feed-forward, whole", "strawman", Stepped()),
        Arm("feed-forward, 25 % removed", "reference", Stepped(removed=0.25)),
        Arm("feed-forward, 50 % removed", "reference", Stepped(removed=0.5)),
        Arm("feed-forward, 75 % removed", "reference", Stepped(removed=0.75)),
        Arm("attention, whole", "strawman", Stepped(half="attn")),
        Arm("attention, 1 of 3 heads removed", "reference", Stepped(half="attn", removed=0.25)),
        Arm("attention, 2 of 3 heads removed", "reference", Stepped(half="attn", removed=0.75)),
    ),
    metrics=(STEP,),
    profiles={
        "tiny": At(seeds=(0,), rounds=2, set=MICRO, evidence="scaled"),
        "smoke": At(seeds=(0,), rounds=10),
        "standard": At(seeds=FIVE, rounds=20),
        "full": At(seeds=FIVE, rounds=60),
    },
    tags=("partial",),
)
def surrogate_time(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """What does a step of decoding through a pruned block take, of one through the whole block?"""
    from ..runs.surrogates import stepped

    return stepped(arm.config, seed)


TOLERANCES = (0.06, 0.08, 0.1)
ANYTHING = 1e9
"""A tolerance that every error keeps within."""


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=(
        Arm("never", "strawman", Speculated(tolerance=-1.0)),
        Arm("always", "strawman", Speculated(tolerance=ANYTHING)),
        *(
            Arm(
                f"exact, drafts with {removed:.0%} removed",
                "reference",
                Speculated("smollm2", "exact", removed),
            )
            for removed in (0.25, 0.5, 0.75)
        ),
        *(
            Arm(
                f"tolerant, error up to {tolerance:g}",
                "reference",
                Speculated(tolerance=tolerance),
                series="tolerant",
                x=tolerance,
            )
            for tolerance in TOLERANCES
        ),
    ),
    metrics=(ACCEPTED, SAME, PROMPT_KL, PROMPT_AGREE, PASSES),
    profiles=profiles(
        {"layers": (0,), "layer": 0, "prompt": 6, "new": 4, "length": 12, "fitted": 20, "prompts": 1},
        {"prompts": 8, "new": 32},
    ),
    axis="tolerance",
    tags=("deterministic", "partial"),
)
def speculation(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How often is a surrogate's guess accepted, and what does accepting it cost in accuracy?"""
    from ..runs.speculation import speculated

    return speculated(arm.config, data)
