"""The picture of the study: every swap as a point, KL divergence against parameter cosine, and who lets it through.

Plain lists and numbers, ready to be stored beside a case's samples.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .decision import Thresholds, let_through, rank_correlations
from .equivalence import Row, Swap
from .joint import KL, Joint
from .text import Floats

COSINES = (0.9, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999)
"""Thresholds that a cosine alone might be given."""


LEAST = 1e-7
"""Of 1 − cosine in the picture, where matrices are equal and the swap differs by a delta that the cosine cannot see."""


def scatter(
    rows: Sequence[Row],
    allowed: Collection[Swap],
    techniques: Mapping[str, str],
    probes: Sequence[Floats] | None = None,
) -> dict[str, list[Any]]:
    """A column each; techniques: by model, such as lora, and base for the foundation.

    allowed: what was decided, on other text. probes: `probe_kl` of the same swaps.
    """
    swaps = [row.swap for row in rows]
    found: dict[str, list[Any]] = {
        "swap": [str(swap) for swap in swaps],
        "kind": [swap.place.kind for swap in swaps],
        "layer": [swap.place.layer for swap in swaps],
        "same layer": [swap.same_layer for swap in swaps],
        "technique": [f"{techniques[swap.original]} ← {techniques[swap.substitute]}" for swap in swaps],
        "matrices equal": [row.likeness.blind for row in rows],
        "cosine": [row.likeness.cosine for row in rows],
        "distance": [row.likeness.distance for row in rows],
        "KL": [row.kl for row in rows],
        "agreement": [row.agree for row in rows],
        "cosine of probabilities": [float(row.apart.cosine.mean()) for row in rows],
        "allowed": [swap in allowed for swap in swaps],
    }
    if probes is not None:
        found["KL of probes"] = [float(values.mean()) for values in probes]
    return found


def picture(points: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The columns of `scatter` as the report draws them: KL divergence of each swap over its cosine, by kind."""
    kinds = [
        "other layer" if not same else f"same layer, {kind}"
        for same, kind in zip(points["same layer"], points["kind"], strict=True)
    ]
    return {
        "x": f"1 − cosine of the parameters ({LEAST:g}: matrices equal)",
        "y": "KL, nat",
        "points": [
            (max(1 - x, LEAST), y, kind, swap)
            for x, y, kind, swap in zip(points["cosine"], points["KL"], kinds, points["swap"], strict=True)
        ],
        "lines": {"allowed at most": KL},
    }


def cosine_table(
    rows: Sequence[Row], thresholds: Thresholds, cosines: Sequence[float] = COSINES
) -> list[dict[str, Any]]:
    """For each threshold of the cosine what it would do: counts, and the worst that it lets through."""
    table = []
    for cosine in cosines:
        found = let_through(rows, cosine, thresholds)
        worst = found.wrongly[0] if found.wrongly else None
        table.append(
            {
                "cosine": cosine,
                "accepted": len(found.accepted),
                "wrongly": len(found.wrongly),
                "missed": len(found.missed),
                "worst": str(worst.swap) if worst else "",
                "worst KL": worst.kl if worst else 0.0,
                "least agreement": min((row.agree for row in found.wrongly), default=1.0),
            }
        )
    return table


def sweep_table(swept: Sequence[Joint], judged: int) -> list[dict[str, Any]]:
    """For each pair of thresholds what it allows, of `judged` swaps, and where a chain with all of it ends up."""
    return [
        {
            "KL": joint.thresholds.kl,
            "agreement": joint.thresholds.agree,
            "allowed": len(joint.allowed),
            "allowed share": len(joint.allowed) / judged,
            "made": max((len(swaps) for swaps in joint.made.values()), default=0),
            "joint KL": joint.kl,
            "joint agreement": joint.agree,
            "sum of KL": max(joint.summed.values(), default=0.0),
        }
        for joint in swept
    ]


def correlations(rows: Sequence[Row]) -> dict[str, float | None]:
    """`rank_correlations`, with None for what cannot be ranked."""
    return {name: None if value != value else value for name, value in rank_correlations(rows).items()}
