"""What the cases of stitching run: stitches fitted on training text of all tenants, judged on documents held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..chain import Block, Chain
from ..family import Same, Which, foundation, wider
from ..study.learning import learn
from ..study.ridge import Halves
from ..study.stitching import Cut, Stitched, fit, judge, moments
from ..study.text import Floats, Text, joined
from ..zoo.assemble import chain_of
from .study import by_tenant, change, documents, mixed

if TYPE_CHECKING:
    from ..questions import Stitched as Config

BATCH = 8
"""Documents a step where a stitch goes on learning."""


def stitched(config: Config, data: Any) -> Callable[[], dict[str, object]]:
    """What is returned fits one variant of stitches and judges it; means over the cuts, by document."""
    first, second = _models(config.model, config.into, Same(data))
    cuts = tuple(Cut(*cut) for cut in config.cuts)
    of = by_tenant(first.config, data, "test", config.length, config.test)
    test = joined(list(of.values()))

    def run() -> dict[str, object]:
        text, heard = _heard(config.model, config.into, Same(data), cuts, config.length, config.fitted)
        made = fit(config.variant, heard)
        if config.epochs:
            made = learn(made, first, second, text, epochs=config.epochs, batch=BATCH)
        # In SmolLM2 the first tokens' norms are all that a plain mean would be about.
        own, rows = judge(first, second, [made], test, "norm")
        return {
            **documents(of),
            **_means(first, second, own, rows),
            "parameters": made.parameters / 1000,
            "extras": {"by cut": [_row(one) for one in rows]},
        }

    return run


@lru_cache(maxsize=1)
def _models(which: Which, into: str, data: Same) -> tuple[Chain, Chain]:
    """Where chains begin and where they go on."""
    blocks: dict[str, Block] = {}
    first = chain_of(foundation(which, data.data), blocks)
    return first, first if into == "itself" else chain_of(wider(which, data.data), blocks)


@lru_cache(maxsize=1)
def _heard(
    which: Which, into: str, data: Same, cuts: tuple[Cut, ...], length: int, documents: int
) -> tuple[Text, Mapping[Cut, Halves]]:
    """The text that stitches are fitted on, and the moments of both models' hidden states on it."""
    first, second = _models(which, into, data)
    text = mixed(first.config, data.data, "train", length, documents)
    return text, moments(first, second, cuts, text, "norm")


def _means(first: Chain, second: Chain, own: Mapping[str, Floats], rows: list[Stitched]) -> dict[str, object]:
    found: dict[str, object] = {
        "KL from the second model": np.mean([row.second.kl for row in rows], axis=0),
        "agreement with the second": 100 * np.mean([row.second.agree for row in rows], axis=0),
        "perplexity change": np.mean(
            [change(own[second.model], row.second.surprise) for row in rows], axis=0
        ),
        "residual": 100 * float(np.mean([row.residual for row in rows])),
    }
    if first is not second:
        found["KL from the first model"] = np.mean([row.first.kl for row in rows], axis=0)
        found["agreement with the first"] = 100 * np.mean([row.first.agree for row in rows], axis=0)
    return found


def _row(one: Stitched) -> dict[str, object]:
    return {
        "cut": str(one.cut),
        "residual": one.residual,
        "KL": float(one.second.kl.mean()),
        "agreement": float(one.second.agree.mean()),
        "surprise": float(one.second.surprise.mean()),
    }
