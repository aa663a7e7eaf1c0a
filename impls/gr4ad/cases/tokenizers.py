"""What a tokenizer buys and costs on a whole catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remeasure.contracts import Arm, At, case
from remeasure.datasets.complete_journey.request import Request

from ..questions import Tokenizing
from .metrics import BALANCE, COLLIDED, CPR, EMPTY, EXCESS, FIT, LARGEST, UTIL

FIVE = (0, 1, 2, 3, 4)


@case(
    dataset="complete_journey",
    request=Request(products=20_000),
    arms=(
        Arm("RQ-Kmeans", "strawman", Tokenizing("rq")),
        Arm("balanced, falling levels", "ablation", Tokenizing("mr")),
        Arm("+ hash of account and type", "ablation", Tokenizing("mr+business")),
        Arm("+ hash of the item", "reference", Tokenizing("mr+item")),
        Arm("+ counter", "ablation", Tokenizing("mr+counter")),
        Arm("RQ-VAE + counter", "ablation", Tokenizing("rqvae+counter")),
        Arm(
            "hashes alone",
            "control",
            Tokenizing("random"),
            invalid="Ids without content; nothing separates better.",
        ),
    ),
    metrics=(CPR, COLLIDED, EXCESS, UTIL, LARGEST, BALANCE, EMPTY, FIT),
    profiles={
        "tiny": At(seeds=(0,), set={"sizes": (16, 8, 8), "dims": 8, "products": 120}, evidence="scaled"),
        "standard": At(seeds=FIVE, evidence="scaled"),
        "full": At(seeds=FIVE, evidence="scaled"),
    },
    times_itself=True,
    isolated=False,
    tags=("partial",),
)
def tokenizers(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How well do ids tell 92,331 products apart at one code space, and which part of the tokenizer does it?"""
    from ..runs.tokenizers import tokenized

    return tokenized(arm.config, data.items, seed)
