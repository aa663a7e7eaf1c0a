"""One request through a decoder with drawn weights, and the parts of it that have a limit of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..decoder.steps import DecoderSteps
from ..engine.macs import counted
from ..engine.topk import topk
from ..questions import Decoding, TopK
from .drawn import drawn, search_of


def decoded(asked: Decoding, seed: int) -> Callable[[], dict[str, object]]:
    """What a round runs: beam search for one request, its X given. The multiplications are counted before."""
    decoder, (encoded,) = drawn(asked, 1, seed)
    search = search_of(asked, asked.widths)

    def request() -> object:
        return search.search(DecoderSteps(decoder, encoded, asked.kv))

    with torch.inference_mode():
        gmac = counted(decoder, request) / 1e9
    run = _products(request) if asked.only == "products" else request

    def once() -> dict[str, object]:
        with torch.inference_mode():
            run()
        return {"MACs of a request": gmac}

    return once


def picked(asked: TopK, seed: int) -> Callable[[], None]:
    """What a round runs: the best of one row of scores."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(1, asked.beams, asked.codes, generator=generator)
    keep = asked.keep

    def cut() -> None:
        torch.topk(scores.topk(min(keep, asked.codes), dim=-1).values.flatten(1), keep)

    def once() -> None:
        if asked.how == "torch":
            torch.topk(scores.flatten(1), keep)
        elif asked.how == "precut":
            cut()
        else:
            topk(scores.flatten(1), keep)

    return once


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the operands of every matrix product."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[tuple[Any, tuple[Tensor, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.linear.default, torch.ops.aten.matmul.default):
            self.products.append((func, args))
        return func(*args, **(kwargs or {}))


def _products(request: Callable[[], object]) -> Callable[[], None]:
    """The matrix products of a request on the very operands that they had, and nothing between them."""
    with torch.no_grad(), _Seen() as seen:
        request()

    def run() -> None:
        for product, operands in seen.products:
            product(*operands)

    return run
