"""SASRec: self-attention over the ids of the history (Kang and McAuley 2018), softmax over all items.

Trained like the other arms on baskets: after the last event of a basket stand the distinct items of the user's next
basket, all equally. With one item a basket this is the usual next item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import dropout, gelu, scaled_dot_product_attention

from remeasure.datasets.common.interactions import Items, Log, Rows
from remeasure.errors import UserError

from .config import Sasrec
from .popularity import recency
from .scoring import Scorer, runs

Watch = Callable[[int, "SasrecModel"], bool]
"""Called after every epoch with its number, from 1, and the model; True ends the training."""


class Block(nn.Module):
    """Causal attention, then feed-forward, each on normalised input and added to it."""

    def __init__(self, config: Sasrec):
        super().__init__()
        self.heads, self.rate = config.heads, config.dropout
        self.norms = nn.ModuleList(nn.LayerNorm(config.dim) for _ in range(2))
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.up = nn.Linear(config.dim, 4 * config.dim)
        self.down = nn.Linear(4 * config.dim, config.dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32 [B, S, d] to the same."""
        q, k, v = self.qkv(self.norms[0](x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + dropout(self.out(attended), self.rate, self.training)
        return x + dropout(self.down(gelu(self.up(self.norms[1](x)))), self.rate, self.training)


class Network(nn.Module):
    """Vectors of items, used on the way in and on the way out, and of places, counted from the oldest event."""

    def __init__(self, items: int, config: Sasrec):
        super().__init__()
        self.rate = config.dropout
        self.items = nn.Embedding(items, config.dim)
        self.places = nn.Embedding(config.size, config.dim)
        nn.init.normal_(self.items.weight, std=config.dim**-0.5)
        nn.init.normal_(self.places.weight, std=config.dim**-0.5)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.layers)))
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, item: torch.Tensor) -> torch.Tensor:
        """int64 [B, S], padded behind with any item, to float32 [B, S, d]: padding is never looked at from before."""
        x = self.items(item) + self.places.weight[: item.shape[1]]
        read: torch.Tensor = self.norm(self.blocks(dropout(x, self.rate, self.training)))
        return read

    def logits(self, read: torch.Tensor) -> torch.Tensor:
        """float32 [Q, d] to [Q, N]."""
        return read @ self.items.weight.T


@dataclass(frozen=True, eq=False)
class SasrecModel(Scorer):
    """A trained network."""

    config: Sasrec
    network: Network

    def scores(self, rows: Rows) -> np.ndarray:
        history = rows.last(self.config.size).item
        length = (history >= 0).sum(axis=1)
        place = np.arange(self.config.size) + (self.config.size - length)[:, None]
        item = np.take_along_axis(history, np.minimum(place, self.config.size - 1), axis=1)[:, : length.max()]
        self.network.eval()
        with torch.inference_mode():
            read = self.network(torch.from_numpy(item))[np.arange(len(rows)), length - 1]
            scores: np.ndarray = self.network.logits(read).numpy()
        return scores


def fit(
    log: Log, items: Items, config: Sasrec, generator: np.random.Generator, watch: Watch | None = None
) -> SasrecModel:
    """Train on the log. Raises UserError where nobody has two baskets, heads do not divide d, or the loss is no number.

    The network's weights and dropout are drawn from torch's global generator, seeded here and put back afterwards.
    """
    if config.dim % config.heads:
        raise UserError(f"{config.heads} heads do not divide d = {config.dim}; choose a number that does.")
    lessons = Lessons.of(log, config.half_life)
    if not len(lessons.target):
        raise UserError(
            "nobody has two baskets before the split; SASRec needs some to learn what comes next."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**63)))
        model = SasrecModel(config, Network(len(items), config))
        optimizer = torch.optim.AdamW(
            model.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        for epoch in range(1, config.epochs + 1):
            model.network.train()
            for step, batch in enumerate(lessons.batches(config.size, config.batch, generator)):
                loss = _loss(model.network, batch)
                if not torch.isfinite(loss):
                    raise UserError(
                        f"the loss of SASRec is {loss.item()} in epoch {epoch}, step {step}; "
                        f"choose a smaller learning rate than {config.learning_rate}."
                    )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            if watch is not None and watch(epoch, model):
                break
    model.network.eval()
    return model


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of histories and what comes after some of their events."""

    item: torch.Tensor
    """int64 [B, S], padded behind with item 0."""
    asked: torch.Tensor
    """int64 [Q], places b * S + s of a basket's last event."""
    target: torch.Tensor
    """int64 [T], the items of the next baskets."""
    question: torch.Tensor
    """int64 [T], which of the Q a target answers."""
    weight: torch.Tensor
    """float32 [T], the weight of its question, shared by the question's targets."""


@dataclass(frozen=True, eq=False)
class Lessons:
    """A log with what comes after each basket's last event."""

    log: Log
    ends: np.ndarray
    """int64 [Q], events after which the same user has a further basket, ascending."""
    offsets: np.ndarray
    """int64 [Q + 1], whose targets are where."""
    target: np.ndarray
    """int64 [T]."""
    weight: np.ndarray
    """float64 [Q], what each counts, 1 on average."""

    @staticmethod
    def of(log: Log, half_life: float | None) -> Lessons:
        starts, user = log.starts(), log.user()
        ends = starts[1:-1] - 1
        followed = user[ends] == user[ends + 1]
        begin, counts = ends[followed] + 1, np.diff(starts)[1:][followed]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        weight = recency(log.time[begin], log.time[begin].max(initial=0.0), half_life)
        target = log.item[runs(begin, begin + counts)[1]]
        return Lessons(log, ends[followed], offsets, target, weight * len(weight) / max(weight.sum(), 1.0))

    def batches(self, size: int, count: int, generator: np.random.Generator) -> Iterator[Batch]:
        """Cut every user's events into windows of at most `size`, and batch windows of about equal length.

        Users with more events than a window holds are cut at places drawn anew for each epoch.
        """
        lengths = np.diff(self.log.offsets)
        shift = np.where(lengths > size, generator.integers(0, size, len(lengths)), 0)
        user = self.log.user()
        place = np.arange(len(user)) - self.log.offsets[user] + shift[user]
        first = np.flatnonzero(np.diff(user * (int(place.max()) + 1) + place // size, prepend=-1))
        long = np.diff(np.append(first, len(user)))
        last = first + long
        useful = np.searchsorted(self.ends, last) > np.searchsorted(self.ends, first)
        first, last, long = first[useful], last[useful], long[useful]
        order = np.argsort(long + generator.uniform(0, 1, len(long)), kind="stable")
        groups = np.array_split(order, max(1, -(-len(order) // count)))
        for group in generator.permutation(len(groups)):
            yield self._batch(first[groups[group]], last[groups[group]])

    def _batch(self, first: np.ndarray, last: np.ndarray) -> Batch:
        width = int((last - first).max())
        place = first[:, None] + np.arange(width)
        there = place < last[:, None]
        item = np.where(there, self.log.item[np.minimum(place, len(self.log) - 1)], 0)
        begin, end = np.searchsorted(self.ends, first), np.searchsorted(self.ends, last)
        window, question = runs(begin, end)
        counts = np.diff(self.offsets)[question]
        owner, target = runs(self.offsets[question], self.offsets[question + 1])
        return Batch(
            item=torch.from_numpy(item),
            asked=torch.from_numpy(window * width + self.ends[question] - first[window]),
            target=torch.from_numpy(self.target[target]),
            question=torch.from_numpy(owner),
            weight=torch.from_numpy((self.weight[question] / counts)[owner]).float(),
        )


def _loss(network: Network, batch: Batch) -> torch.Tensor:
    """Mean over the questions of their weight times the mean cross-entropy of their targets."""
    read = network(batch.item).flatten(0, 1)[batch.asked]
    likelihood = network.logits(read).log_softmax(dim=-1)
    return -(likelihood[batch.question, batch.target] * batch.weight).sum() / len(batch.asked)
