"""The cheap test of equivalence: read off what the chain would say from the states right behind the swapped block.

After each place a linear probe predicts the chain's own next-token logits, over the most frequent tokens, from the
normed hidden state. It is fitted once by ridge regression, in closed form. A swap is then judged by the KL divergence
between what the probe reads behind the original block and behind the substitute: nothing after the block is run.
(Specification §1.4, `probe_kl`, after KLAS.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..chain import Chain
from ..execute.steps import Steps, prepare
from ..groups import Place
from .compare import AT_ONCE, kl
from .equivalence import Chains, Swap, Texts, swapped
from .ridge import Moments, fitted
from .states import beside, number_of, onward, states
from .text import Floats, Text

FREQUENT = 256
"""Tokens that a probe knows; all of a smaller vocabulary."""


@dataclass(frozen=True, eq=False)
class Probes:
    """Of one chain."""

    tokens: torch.Tensor
    """int64 [known]: those that were most frequent in the text it was fitted on."""
    weights: Mapping[Place, torch.Tensor]
    """fp32 [width + 1, known] by the place that they read behind."""

    def read(self, place: Place, x: torch.Tensor) -> torch.Tensor:
        """Logarithms of probabilities [rows, known] from the hidden states [rows, width] behind a place."""
        return (_features(x) @ self.weights[place]).log_softmax(-1)


@torch.no_grad()
def fit(
    chain: Chain,
    places: Collection[Place],
    text: Text,
    *,
    known: int = FREQUENT,
    at_once: int = AT_ONCE,
) -> Probes:
    """Probes behind some places of a chain (not behind its head), from a text that is not judged on later."""
    steps = prepare(chain, "fast")
    vocabulary = chain.links[-1].block.config.vocab
    seen = torch.bincount(text.blocks[:, 1:].flatten(), minlength=vocabulary)
    tokens = seen.argsort(descending=True, stable=True)[:known]
    numbers = {place: number_of(chain, place) for place in places}
    found: dict[Place, list[Moments]] = {place: [] for place in places}
    for half in text.halves():
        sums: dict[Place, Moments] = {}
        for x in _passes(steps, half, at_once):
            logits = steps.all[-1].logits(x[-1])[:, tokens]
            # What every logit has in common says nothing about the next token.
            wanted = logits - logits.mean(-1, keepdim=True)
            for place, number in numbers.items():
                new = Moments.of(_features(x[number + 1]), wanted)
                sums[place] = sums[place] + new if place in sums else new
        for place, of in sums.items():
            found[place].append(of)
    weights = {place: fitted(of, torch.zeros_like(of[0].across)).float() for place, of in found.items()}
    return Probes(tokens, weights)


@torch.no_grad()
def probe_kl(
    chains: Chains, swaps: Sequence[Swap], probes: Mapping[str, Probes], texts: Texts, at_once: int = AT_ONCE
) -> list[Floats]:
    """For each swap, KL divergence in nats between what the original's probe reads, [documents].

    probes: by original, with all the places of the swaps. A swap of the head has nothing behind it: ValueError.
    """
    found: dict[Swap, Floats] = {}
    for name, chain in chains.items():
        own = [swap for swap in swaps if swap.original == name]
        if not own:
            continue
        steps, text = prepare(chain, "fast"), texts[name]
        others = [(swap, prepare(swapped(chains, [swap]), "fast")) for swap in own]
        kept: dict[Swap, list[torch.Tensor]] = {swap: [] for swap in own}
        for x in _passes(steps, text.blocks, at_once):
            for swap, other in others:
                number = number_of(chain, swap.place)
                if number == len(chain.links) - 1:
                    raise ValueError("there is no probe behind a head")
                step = other.all[number]
                behind = onward(step, x[number], beside(other, text.length), step.acts)
                log_p, log_q = (probes[name].read(swap.place, y) for y in (x[number + 1], behind))
                kept[swap].append(kl(log_p.exp(), log_p, log_q))
        found |= {swap: text.means(torch.cat(values)) for swap, values in kept.items()}
    return [found[swap] for swap in swaps]


def _passes(steps: Steps, blocks: torch.Tensor, at_once: int) -> Iterator[list[torch.Tensor]]:
    """The hidden states of blocks of text, some at a time; see `states`."""
    return (states(steps, some[:, :-1]) for some in torch.split(blocks, at_once))


def _features(x: torch.Tensor) -> torch.Tensor:
    """Hidden states as a head would take them, without its gains, and a constant: [rows, width + 1]."""
    return F.pad(F.rms_norm(x, (x.shape[-1],)), (0, 1), value=1.0)
