"""The question about storage at the paper's size: arithmetic on shapes, nothing measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.tinyshakespeare.loader import Request

from ..questions import Weighed

STORAGE = Metric("storage", "GB", better="lower", kind="count")
SHARE = Metric("of separate models", "%", better="lower", kind="count")


SYSTEMS: tuple[tuple[Literal["pm", "ps", "blockllm"], str], ...] = (
    ("pm", "separate models"),
    ("ps", "shared backbones"),
    ("blockllm", "zoo of blocks"),
)
FULL_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of tenants with all weights changed; of the others two thirds have a small delta, as at 25 %."""


@case(
    # Every case names a data set; of this one nothing is read.
    dataset="tinyshakespeare",
    request=Request(),
    arms=tuple(
        Arm(
            name if full == 0.25 else f"{name}, {full:.0%} full fine-tunes",
            "strawman" if system == "pm" else "reference" if system == "blockllm" else "ablation",
            Weighed(system, pe=round((1 - full) * 2 / 3, 9), full=full),
            series=name,
            x=100 * full,
        )
        for system, name in SYSTEMS
        for full in FULL_SHARES
    ),
    metrics=(STORAGE, SHARE),
    profiles={name: At(seeds=(0,), evidence="modelled") for name in ("tiny", "smoke", "standard", "full")},
    axis="tenants with all weights changed, %",
    tags=("deterministic", "partial"),
)
def storage(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How many bytes do the models of 20 tenants take, 12 of LLaMA-2 7B and 8 of 13B: apart, sharing, in a zoo?"""
    from ..runs.storage import weighed

    return weighed(arm.config, seed)
