"""Counted multiplications against the cost model of §2.4."""

from __future__ import annotations

import pytest
import torch
from gr4ad.tiny_models import context, decoder
from torch.utils.flop_counter import FlopCounterMode

from remeasure.impls.gr4ad.decoder.steps import DecoderSteps
from remeasure.impls.gr4ad.engine.beam import BeamSearch
from remeasure.impls.gr4ad.engine.macs import counted

CODES, WIDTHS, D, S = (5, 4, 3), (3, 6, 9), 16, 7


def expected(layers: int, parallel: int) -> int:
    """§2.4 with the eCPM step: 14d² + 2Sd + 2td a layer and token, 3d² a fused beam, the heads."""
    beams = (1, *WIDTHS)

    def layer(tokens: int, t: int) -> int:
        return tokens * (14 * D * D + 2 * S * D + 2 * t * D)

    trunk = parallel * layer(4, 4)
    upper = (layers - parallel) * sum(layer(b, t) for t, b in enumerate(beams, start=1))
    fusion = 3 * D * D * sum(WIDTHS) if parallel else 0
    heads = D * sum(b * v for b, v in zip(beams, (*CODES, 4), strict=True))
    return trunk + upper + fusion + heads


@pytest.mark.parametrize("parallel", [0, 1, 2])
def test_a_request_multiplies_what_the_cost_model_says(parallel):
    model = decoder(parallel=parallel)
    encoded = model.encode(context(1, size=S - 1))
    assert counted(model, lambda: run(model, encoded)) == expected(3, parallel)


def test_the_matrix_products_among_them_are_what_torch_counts():
    model = decoder(parallel=0).requires_grad_(False)
    encoded = model.encode(context(2, size=S - 1))
    ours = counted(model, lambda: run(model, encoded))
    with FlopCounterMode(display=False) as flops:
        run(model, encoded)
    by_element = 2 * 3 * 2 * D * sum(b * t for t, b in enumerate((1, *WIDTHS), start=1))
    assert ours == flops.get_total_flops() // 2 + by_element


def run(model, encoded) -> None:
    with torch.inference_mode():
        BeamSearch(CODES, WIDTHS).search(DecoderSteps(model, encoded))
