"""Preference learning on lists that the reference model generates and a reward model scores (§4)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ..decoder.context import Context
from ..decoder.decoder import Decoder
from ..decoder.steps import DecoderSteps
from ..engine.beam import BeamSearch
from ..engine.index import Index
from ..requests import Samples
from .lists import Lists
from .norms import gradient_norm, weight_for
from .objectives import Objective
from .preferences import RSPO
from .train import Supervised, log_p
from .unified import RunningMean, mismatch, weights
from .updates import AdamW, Updates

Reward = Callable[[Tensor, Tensor], Tensor]
"""Rows int64 [B] of the requests and items int64 [B, n] → rewards float32 [B, n], at least 0. Of the items behind an
id the first one is rewarded."""


@dataclass(frozen=True)
class Preference:
    """How much is learned from which comparisons, beside supervised learning."""

    objective: Objective = field(default_factory=RSPO)
    norm: float = 2.0
    """Norm of the objective's gradient at the first step: its weight follows from that, so that objectives are
    compared at equal force."""
    mix: Literal["fixed", "unified"] = "fixed"
    """unified: UVR, each item weighed by how far its ranks are apart (§4.4); only with RSPO."""
    steps: int = 150
    lists: int = 48
    """Lists an update."""
    length: int = 16
    """n: what happened, and n − 1 of the reference's beams."""
    widths: tuple[int, ...] = (16, 32, 48)
    """The reference's beams."""
    batch: int = 256
    """Samples of supervised learning an update."""
    adamw: AdamW = field(default_factory=lambda: AdamW(rate=3e-4))
    supervised: Supervised = field(default_factory=Supervised)


class PreferenceTrainer:
    """Preference learning in progress; the reference is the decoder as it was at the beginning."""

    def __init__(
        self, decoder: Decoder, samples: Samples, index: Index, reward: Reward, how: Preference, seed: int
    ) -> None:
        self.decoder, self.samples, self.index, self.reward, self.how = decoder, samples, index, reward, how
        self.reference = copy.deepcopy(decoder).eval().requires_grad_(False)
        self.updates = Updates(decoder, how.adamw, seed)
        self.search = BeamSearch(decoder.shape.codes, how.widths, value=False)
        self.weight: float | None = None
        """Of the objective, known after the first update."""
        self.values = RunningMean()
        """Of the rewards that unified learning met."""

    def step(self) -> float:
        """One update on lists and on samples; its loss."""
        which = self.updates.which(len(self.samples), self.how.lists, self.samples.upto)
        context, tokens, heavy = self.samples.batch(which)
        ids, log_ref = self._lists(context, tokens)
        items = torch.from_numpy(self.index.first(ids.flatten(0, 1).numpy())).view(ids.shape[:2])
        rewards = self.reward(self.samples.row[which], items)
        self.updates.begin()
        lists = Lists(id_log_p(self.decoder, context, ids), rewards, log_ref)
        if self.how.mix == "unified":
            return self.updates.apply(self._unified(lists, context, tokens, heavy))
        compared = self._forced(self.how.objective(lists).mean())
        return self.updates.apply(compared + self._imitated().mean())

    def _forced(self, compared: Tensor) -> Tensor:
        if self.weight is None:
            parameters = self.decoder.parameters()
            self.weight = weight_for(self.how.norm, gradient_norm(compared, parameters, keep_graph=True))
        return self.weight * compared

    def _imitated(self) -> Tensor:
        which = self.updates.which(len(self.samples), self.how.batch, self.samples.upto)
        return self.how.supervised.losses(self.decoder, *self.samples.batch(which))

    def _unified(self, lists: Lists, context: Context, tokens: Tensor, heavy: Tensor) -> Tensor:
        """E[w_VSL L_VSL + w_RL L_RSPO]: what happened is imitated as far as its ranks disagree."""
        if not isinstance(self.how.objective, RSPO):
            raise ValueError("unified learning weighs the terms of rspo's items; choose rspo")
        self.values = self.values.add(lists.rewards)
        w_vsl, w_rl = weights(mismatch(lists), lists.rewards / self.values.mean)
        compared = self._forced((w_rl * self.how.objective.terms(lists)).sum(dim=1).mean())
        imitated = self.how.supervised.losses(self.decoder, context, tokens, heavy)
        return (w_vsl[:, 0] * imitated).mean() + compared

    @torch.no_grad()
    def _lists(self, context: Context, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Ids int64 [B, n, T], first what happened, and log p_ref [B, n]; no id stands twice in a list."""
        levels = len(self.decoder.shape.codes)
        encoded = self.reference.encode(context)
        beams = self.search.search(DecoderSteps(self.reference, encoded), self.index.trie)
        happened = tokens[:, None, :levels]
        able = (beams.log_p > -torch.inf) & (beams.codes != happened).any(-1)
        drawn = torch.multinomial(
            able.float(), self.how.length - 1, generator=self.updates.generator(purpose=1)
        )
        others = beams.codes[torch.arange(len(tokens))[:, None], drawn]
        ids = torch.cat((happened, others), dim=1).clone()  # what a search gives can enter no graph
        return ids, id_log_p(self.reference, context, ids)


def id_log_p(decoder: Decoder, context: Context, ids: Tensor) -> Tensor:
    """log p of n ids for each of B contexts: int64 [B, n, T] → float32 [B, n], with a gradient."""
    b, n, levels = ids.shape
    tokens = ids.reshape(b * n, levels)
    logits = decoder.decode(decoder.encode(context), tokens)
    return torch.stack([log_p(logits[t], tokens[:, t]) for t in range(levels)]).sum(0).view(b, n)
