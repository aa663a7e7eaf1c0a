"""How well a surrogate does its block's work, and what it saves: its outputs, and the work to be timed.

Top-1 agreement and KL divergence of the whole chain are `compare`'s. The simulator takes acceptance and time from here.
(Specification §1.6 and §2.5.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..chain import Block, Chain
from ..execute.monolith import Alone
from ..execute.steps import prepare
from ..groups import Place
from .compare import AT_ONCE
from .states import beside, number_of, onward, states
from .surrogates import standing_in
from .text import Floats, Text


@dataclass(frozen=True, eq=False)
class Fidelity:
    """A surrogate's outputs beside its block's, on the same inputs; float64 [documents] each."""

    cosine: Floats
    """Of the hidden states behind them; high by nature, for both pass on what came in."""
    added: Floats
    """Of what they add to the hidden states."""
    error: Floats
    """Norm of the difference over the norm of the hidden states: what `tolerant` speculation compares."""


@torch.no_grad()
def fidelity(
    chain: Chain, surrogates: Sequence[tuple[Place, Block]], text: Text, at_once: int = AT_ONCE
) -> list[Fidelity]:
    """Of each of some surrogates at its place in a chain, the others away."""
    whole = prepare(chain, "fast")
    ready = [
        (number_of(chain, place), prepare(standing_in(chain, {place: block}), "fast"))
        for place, block in surrogates
    ]
    found: list[list[torch.Tensor]] = [[] for _ in surrogates]
    for blocks in torch.split(text.blocks, at_once):
        x = states(whole, blocks[:, :-1])
        for (number, steps), kept in zip(ready, found, strict=True):
            step, before, true = steps.all[number], x[number], x[number + 1]
            guess = onward(step, before, beside(steps, text.length), step.acts)
            kept.append(
                torch.stack(
                    (
                        F.cosine_similarity(true, guess),
                        F.cosine_similarity(true - before, guess - before),
                        (true - guess).norm(dim=-1) / true.norm(dim=-1),
                    )
                )
            )
    by_token = (torch.cat(kept, dim=1) for kept in found)
    return [Fidelity(*map(text.means, values)) for values in by_token]


def work(
    chain: Chain, place: Place, tokens: int, context: int, seed: int = 0, repeats: int = 1
) -> Callable[[], None]:
    """One round of the work of one link of a chain, to be timed beside another chain's: `tokens` next tokens of a
    sequence that has `context`, `repeats` times over. 1 token is a step of decoding; hidden states are drawn.
    """
    steps = prepare(chain, "fast")
    step, kv = steps.all[number_of(chain, place)], steps.new_kv(context + tokens)
    drawn = torch.randn(context + tokens, step.block.inputs, generator=torch.Generator().manual_seed(seed))

    def run(x: torch.Tensor) -> None:
        step.run(x, Alone(kv, len(x), step.producer), step.acts)

    @torch.inference_mode()
    def round_() -> None:
        for _ in range(repeats):
            kv.truncate(context)
            run(drawn[context:])

    with torch.inference_mode():
        if context:
            run(drawn[:context])
    return round_
