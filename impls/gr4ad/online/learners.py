"""How the log of a step becomes the next decoder: one pass in mini-batches, by one of the ways that are compared.

The reference p_ref is the decoder that served, the snapshot before. What preferences are learned from was logged: the
lists that were shown with what each item was worth, so no reward model is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..decoder.decoder import Decoder, Logits
from ..learning.lists import Lists
from ..learning.norms import gradient_norm, weight_for
from ..learning.prefer import id_log_p
from ..learning.preferences import RSPO
from ..learning.train import Recipe, log_p
from ..learning.unified import FixedMixture, RunningMean, mismatch, mixed, weights
from ..learning.updates import AdamW, Updates
from ..learning.value import ValueLoss
from ..requests import Samples
from .questions import Learning, Online


@dataclass(frozen=True, eq=False)
class Lesson:
    """What was logged since the last update: M lists of n items under one request each, each with a pair at least."""

    samples: Samples
    """The P pairs that happened; their requests are the lists'."""
    item: Tensor
    """int64 [M, n]."""
    value: Tensor
    """float32 [M, n], what the log says that each was worth."""
    pair: Tensor
    """int64 [M, n], its place among the pairs; -1 where it was not taken."""

    def __len__(self) -> int:
        return len(self.item)


@dataclass
class Learner:
    """One arm's way of learning. What it remembers from update to update is the weight of the preference loss, whose
    gradient has the wanted norm in the first update, and the running mean of values."""

    how: Learning
    asked: Online
    objective: RSPO
    weight: float | None = None
    values: RunningMean = field(default_factory=lambda: RunningMean(decay=0.99))
    fixed: FixedMixture = field(default_factory=FixedMixture)

    @classmethod
    def of(cls, asked: Online) -> Learner:
        """The arm's."""
        return cls(asked.learning, asked, RSPO(beta=asked.beta))

    def learn(self, decoder: Decoder, reference: Decoder, lesson: Lesson, seed: int) -> None:
        """One pass over a lesson; the decoder is changed in place, the reference never.

        A mini-batch is so many lists as hold the wanted number of pairs on average, the same ones for every way of
        learning: what a decoder makes of a request is computed once a list, not once a pair.
        """
        steps = -(-len(lesson.samples) // self.asked.online_batch)
        if not steps:
            return
        recipe = Recipe(steps)
        updates = Updates(decoder, AdamW(self.asked.online_rate, self.asked.decay), seed)
        lists = -(-len(lesson) // steps)
        for _ in range(steps):
            loss = self._loss(decoder, reference, lesson, updates.which(len(lesson), lists), updates)
            updates.apply(loss, recipe.factor(updates.done))
        decoder.eval()

    def _loss(
        self, decoder: Decoder, reference: Decoder, lesson: Lesson, which: Tensor, updates: Updates
    ) -> Tensor:
        """Of the lists int64 [b] and of all pairs in them, a scalar."""
        requests, pair = lesson.samples.requests, lesson.pair[which]
        alone = self.how in ("ntp", "vsl")
        size = 1 + int((pair >= 0).any(dim=0).nonzero().max()) if alone else pair.shape[1]
        pair, ids = pair[:, :size], requests.catalogue.sids[lesson.item[which, :size]]
        context = requests.batch(which)
        updates.begin()
        tokens = torch.cat((ids, lesson.samples.bin[pair][..., None]), dim=-1).flatten(0, 1)
        found, imitated = self.read(decoder(context, tokens), tokens, pair, lesson.samples.weight[pair])
        if alone:
            return imitated.mean()
        with torch.no_grad():
            log_ref = id_log_p(reference, context, ids)
        lists = Lists(found, lesson.value[which], log_ref)
        if self.how == "fixed":
            return self.fixed(imitated, self._forced(decoder, self.objective(lists)))
        self.values = self.values.add(lists.rewards)
        w_vsl, w_rl = weights(mismatch(lists), lists.rewards / self.values.mean)
        terms = self._forced(decoder, w_rl * self.objective.terms(lists))
        return mixed(imitated, w_vsl[pair >= 0], terms, torch.ones_like(w_rl))

    def read(self, logits: Logits, tokens: Tensor, pair: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """log p of every item, float32 [b, n], and the loss of the pairs among them, float32 [p] in their order.

        `pair` int64 [b, n] is −1 where an item was not taken, `weight` float32 [b, n] counts where it was.
        """
        plain = self.how == "ntp"
        levels = tokens.shape[1] - 1
        valued = len(logits.tokens) > levels and not plain
        found = torch.stack([log_p(part, tokens[:, t]) for t, part in enumerate(logits.tokens)], dim=1)
        blind = [log_p(part, tokens[:, t]) for t, part in enumerate(logits.auxiliary, start=1)]
        took = (pair >= 0).flatten()
        imitated = ValueLoss()(
            found[took, :levels],
            found[took, levels] if valued else torch.zeros(int(took.sum())),
            torch.ones(int(took.sum())) if plain else weight.flatten()[took],
            torch.stack(blind[: levels - 1 + valued], dim=1)[took] if blind else None,
        )
        return found[:, :levels].sum(dim=1).view(pair.shape), imitated

    def _forced(self, decoder: Decoder, loss: Tensor) -> Tensor:
        """The preference loss, float [b] or [b, n], times the weight that the first one gives."""
        if self.weight is None:
            whole = loss.sum() / len(loss)
            norm = gradient_norm(whole, decoder.parameters(), keep_graph=True)
            self.weight = weight_for(self.asked.norm, norm)
        return self.weight * loss
