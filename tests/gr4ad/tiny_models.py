"""Small decoders with drawn weights, and contexts for them."""

from __future__ import annotations

import torch

from remeasure.impls.gr4ad.config import Inputs, Shape
from remeasure.impls.gr4ad.decoder.context import Context
from remeasure.impls.gr4ad.decoder.decoder import Decoder, build

INPUTS = Inputs(content=6, accounts=5, conversions=3)


def shape(**changed: object) -> Shape:
    return Shape(**({"codes": (5, 4, 3), "bins": 4, "d": 16, "layers": 3, "parallel": 2} | changed))  # type: ignore[arg-type]


def decoder(seed: int = 0, **changed: object) -> Decoder:
    """Weights large enough that tokens matter."""
    model = build(shape(**changed), INPUTS, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith(("places", "tokens")):
                weight.mul_(3)
    return model.eval()


def context(requests: int = 2, size: int = 6, seed: int = 0, codes: tuple[int, ...] = (5, 4, 3)) -> Context:
    g = torch.Generator().manual_seed(seed)
    there = torch.arange(size) >= torch.randint(0, size, (requests, 1), generator=g)
    return Context(
        content=torch.randn(requests, size, INPUTS.content, generator=g),
        codes=torch.stack([torch.randint(0, v, (requests, size), generator=g) for v in codes], dim=-1),
        account=torch.randint(0, INPUTS.accounts, (requests, size), generator=g),
        conversion=torch.randint(0, INPUTS.conversions, (requests, size), generator=g),
        gap=torch.rand(requests, size, generator=g),
        there=there,
        user=torch.randn(requests, INPUTS.user, generator=g),
    )


def every_id(codes: tuple[int, ...] = (5, 4, 3)) -> torch.Tensor:
    return torch.cartesian_prod(*(torch.arange(size) for size in codes))
