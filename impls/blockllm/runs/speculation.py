"""What the case of speculation runs: prompts of the tenants, decoded greedily with and without a guess going ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from ..chain import Chain, Link
from ..execute.monolith import Monolith
from ..execute.speculation import speculate
from ..execute.tolerance import tolerate
from ..family import Same, Which
from ..groups import Place
from ..study.surrogates import prune, standing_in
from .study import by_tenant, documents
from .surrogates import base_chain, calibrated

if TYPE_CHECKING:
    from ..questions import Speculated

Row = dict[str, float]
"""Of one prompt, by metric."""


def speculated(config: Speculated, data: Any) -> Callable[[], dict[str, object]]:
    """What is returned decodes after every prompt in the arm's way and holds the tokens to plain greedy decoding."""
    chain = base_chain(config.model, Same(data))
    of = by_tenant(chain.config, data, "test", config.prompt, config.prompts)
    prompts = [block[:-1].tolist() for text in of.values() for block in text.blocks]
    way = _exact if config.how == "exact" else _tolerant

    def run() -> dict[str, object]:
        with torch.inference_mode():
            decode = way(config, chain, data)
            rows = [decode(prompt) for prompt in prompts]
        # A prompt is the beginning of one document, whose name it bears.
        return documents(of) | {name: [row[name] for row in rows] for name in rows[0]}

    return run


def _exact(config: Speculated, chain: Chain, data: Any) -> Callable[[Sequence[int]], Row]:
    """In tiles, where not even two nearly equal logits can change places."""
    heard = calibrated(config.model, Same(data), config.layers, config.length, config.fitted)
    made = {place: prune(heard[place], config.removed) for place in heard if place.kind == "ffn"}
    draft = standing_in(chain, made)

    def decode(prompt: Sequence[int]) -> Row:
        found = speculate(chain, draft, prompt, config.new, config.at_once, "tile")
        plain = _plain(config.model, Same(data), tuple(prompt), config.new, "tile")
        return {
            "acceptance": 100 * found.acceptance,
            "tokens unchanged": _alike(found.tokens, plain),
            "KL": 0.0,  # every token is the true chain's own choice
            "agreement": 100.0,
            "true passes a token": found.passes / config.new,
        }

    return decode


def _tolerant(config: Speculated, chain: Chain, data: Any) -> Callable[[Sequence[int]], Row]:
    place = Place("ffn", config.layer)
    heard = calibrated(config.model, Same(data), (config.layer,), config.length, config.fitted)
    surrogate = Link(place, prune(heard[place], config.removed))

    def decode(prompt: Sequence[int]) -> Row:
        found = tolerate(chain, surrogate, prompt, config.new, config.tolerance)
        plain = _plain(config.model, Same(data), tuple(prompt), config.new, "fast")
        return {
            "acceptance": 100 * found.acceptance,
            "tokens unchanged": _alike(found.tokens, plain),
            "KL": found.divergence.kl,
            "agreement": 100 * found.divergence.agreement,
            "true passes a token": 1.0,
        }

    return decode


@lru_cache(maxsize=256)
def _plain(which: Which, data: Same, prompt: tuple[int, ...], new: int, mode: Any) -> list[int]:
    return Monolith(base_chain(which, data), mode).greedy(prompt, new)[0]


def _alike(tokens: Sequence[int], plain: Sequence[int]) -> float:
    """Percent of the tokens that are the same at their places."""
    return 100 * sum(a == b for a, b in zip(tokens, plain, strict=True)) / len(plain)
