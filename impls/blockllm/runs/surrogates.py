"""What the cases of surrogates run: one block at a time is pruned, fitted and judged, or its work is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..chain import Block, Chain
from ..family import Same, Which, foundation
from ..groups import Place
from ..models.foundation import foundation as real
from ..models.small import WIDTH_32, untrained
from ..study.compare import compare
from ..study.standing import fidelity, work
from ..study.surrogates import OUTPUT, Calibration, calibrate, prune, standing_in
from ..study.text import joined
from ..zoo.assemble import chain_of
from .study import by_tenant, documents, mixed

if TYPE_CHECKING:
    from ..questions import Pruned, Stepped


def judged(config: Pruned, data: Any) -> Callable[[], dict[str, object]]:
    """What is returned prunes a half of each layer, one at a time; means over the layers, by document."""
    chain = base_chain(config.model, Same(data))
    of = by_tenant(chain.config, data, "test", config.length, config.test)
    test = joined(list(of.values()))
    places = tuple(Place(config.half, layer) for layer in config.layers)

    def run() -> dict[str, object]:
        heard = calibrated(config.model, Same(data), config.layers, config.length, config.fitted)
        made = [(place, prune(heard[place], config.removed, config.score, config.refit)) for place in places]
        near = fidelity(chain, made, test)
        _, apart = compare(chain, [standing_in(chain, {place: one}) for place, one in made], test)
        by_layer = {
            str(place): {"KL": float(far.kl.mean()), "agreement": float(far.agree.mean())}
            for (place, _), far in zip(made, apart, strict=True)
        }
        return {
            **documents(of),
            "cosine of outputs": np.mean([one.cosine for one in near], axis=0),
            "cosine of what is added": np.mean([one.added for one in near], axis=0),
            "relative error": 100 * np.mean([one.error for one in near], axis=0),
            "KL": np.mean([far.kl for far in apart], axis=0),
            "agreement": 100 * np.mean([far.agree for far in apart], axis=0),
            "extras": {"by layer": by_layer},
        }

    return run


@lru_cache(maxsize=1)
def base_chain(which: Which, data: Same) -> Chain:
    """The foundation of a family, ready to run."""
    return chain_of(foundation(which, data.data))


@lru_cache(maxsize=2)
def calibrated(
    which: Which, data: Same, layers: tuple[int, ...], length: int, documents: int
) -> Mapping[Place, Calibration]:
    """What the last projections of both halves of some layers are given, on training text of all tenants."""
    chain = base_chain(which, data)
    text = mixed(chain.config, data.data, "train", length, documents)
    return calibrate(chain, [Place(half, layer) for layer in layers for half in ("attn", "ffn")], text)


def stepped(config: Stepped, seed: int) -> Callable[[], None]:
    """What is returned runs the block some times; which channels stay does not matter to its time."""
    torch.set_num_threads(1)
    chain = _shapes(config.model)
    place = Place(config.half, 0)
    link = next(link for link in chain.links if link.place == place)
    inner = link.block.tensors[OUTPUT[config.half]].shape[1]
    even = torch.eye(inner, dtype=torch.float64)
    made: dict[Place, Block] = {}
    if config.removed:
        made = {place: prune(Calibration(link, (even, even)), config.removed, refit=False)}
    return work(standing_in(chain, made), place, config.tokens, config.context, seed, repeats=config.repeats)


@lru_cache(maxsize=1)
def _shapes(which: str) -> Chain:
    return chain_of(real() if which == "smollm2" else untrained(WIDTH_32))
