"""A trained TIGER, and how it is trained. What follows a history is one basket, whose items count equally."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from remeasure.datasets.common.interactions import Log, Rows, training_rows
from remeasure.errors import UserError

from ...decoder.block import Keys
from ...engine.beam import BeamSearch
from ...engine.index import Index
from ...engine.macs import counted
from ...engine.trie import pack
from ..popularity import recency
from ..scoring import events
from .config import Tiger
from .network import Network, TigerSteps

BATCH = 64
"""Requests decoded at a time."""

Watch = Callable[[int, "TigerModel"], bool]
"""Called after every epoch with its number, from 1, and the model; True ends the training."""


@dataclass(frozen=True, eq=False)
class TigerModel:
    """A trained network, and the items behind the ids that it may write."""

    config: Tiger
    network: Network
    sids: Tensor
    """int64 [N, T]."""
    index: Index

    @property
    def search(self) -> BeamSearch:
        """As wide as the configuration says, and as the levels allow."""
        widths = np.minimum(np.cumprod(self.network.codes, dtype=float), self.config.beam).astype(int)
        return BeamSearch(self.network.codes, tuple(widths.tolist()), value=False)

    def top(self, rows: Rows, k: int, exclude_seen: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The k best items of every row, int64 [R, k], and log p of their ids, float32 [R, k].

        `exclude_seen` leaves out what stands anywhere in the history. Items of one id follow each other. Where the
        beams hold fewer than k items, -1 with score -inf: choose `beam` well above k to leave things out.
        """
        lists = np.full((len(rows), k), -1, dtype=np.int64)
        values = np.full((len(rows), k), -np.inf, dtype=np.float32)
        self.network.eval()
        for start in range(0, len(rows), BATCH):
            batch = rows.select(np.arange(start, min(start + BATCH, len(rows))))
            lists[start : start + BATCH], values[start : start + BATCH] = self._top(batch, k, exclude_seen)
        return lists, values

    def macs(self, rows: Rows) -> float:
        """Multiplications of a request, the mean over rows that are decoded in one batch: padding is multiplied too."""
        return counted(self.network, lambda: self._top(rows, 1, False)) / len(rows)

    def read(self, rows: Rows) -> list[Keys]:
        """Keys and values of rows."""
        return _read(self.network, self.sids, _histories(rows, self.config.size))

    @torch.inference_mode()
    def _top(self, rows: Rows, k: int, exclude_seen: bool) -> tuple[np.ndarray, np.ndarray]:
        beams = self.search.search(TigerSteps(self.network, self.read(rows)), self.index.trie)
        codes = beams.codes.numpy()
        packed = pack(codes.reshape(-1, codes.shape[2]), self.network.codes).reshape(codes.shape[:2])
        if not exclude_seen:
            return self.index.items(packed, beams.log_p.numpy(), k)
        wide = min(k + int((rows.end - rows.start).max()), len(self.sids))
        item, value = self.index.items(packed, beams.log_p.numpy(), max(wide, k))
        row, place = events(rows)
        asked = np.arange(len(rows))[:, None] * len(self.sids) + item
        gone = (item < 0) | np.isin(asked, row * len(self.sids) + rows.log.item[place])
        order = np.argsort(gone, axis=1, kind="stable")[:, :k]
        item, value = np.where(gone, -1, item), np.where(gone, -np.inf, value)
        return np.take_along_axis(item, order, 1), np.take_along_axis(value, order, 1).astype(np.float32)


def fit(
    log: Log,
    sids: np.ndarray,
    codes: tuple[int, ...],
    config: Tiger,
    generator: np.random.Generator,
    watch: Watch | None = None,
) -> TigerModel:
    """Train on the log, with ids int64 [N, T] of levels that have `codes` codes.

    Raises UserError where nobody has two baskets, heads do not divide d, or the loss is no number. Weights and dropout
    are drawn from torch's global generator, seeded here and put back afterwards.
    """
    if config.dim % config.heads:
        raise UserError(f"{config.heads} heads do not divide d = {config.dim}; choose a number that does.")
    index = Index.of(sids, codes)
    rows = training_rows(log)
    if not len(rows):
        raise UserError("nobody has two baskets before the split; TIGER needs some to learn what comes next.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**63)))
        model = TigerModel(config, Network(codes, config), torch.from_numpy(sids.astype(np.int64)), index)
        _train(model, rows, generator, watch)
    model.network.eval()
    return model


def _train(model: TigerModel, rows: Rows, generator: np.random.Generator, watch: Watch | None) -> None:
    config, network = model.config, model.network
    history = _histories(rows, config.size)
    late = recency(rows.time, rows.time.max(), config.half_life)
    weight = torch.from_numpy(late * len(late) / late.sum()).float()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    a_pass = -(-min(config.rows or len(rows), len(rows)) // config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, config.epochs * a_pass))
    for epoch in range(1, config.epochs + 1):
        network.train()
        for step, some in enumerate(_batches((history >= 0).sum(1).numpy(), config, generator)):
            target = torch.from_numpy(_drawn(rows, some, config.targets, generator))
            log_p = network(_read(network, model.sids, history[some]), model.sids[target].flatten(0, 1))
            loss = -(log_p.view(target.shape).mean(1) * weight[some]).mean()
            if not torch.isfinite(loss):
                raise UserError(
                    f"the loss of TIGER is {loss.item()} in epoch {epoch}, step {step}; "
                    f"choose a smaller learning rate than {config.learning_rate}."
                )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), config.clip)
            optimizer.step()
            schedule.step()
        if watch is not None and watch(epoch, model):
            break


def _histories(rows: Rows, size: int) -> Tensor:
    """int64 [R, S], the last items, -1 on the left where there are fewer."""
    return torch.from_numpy(rows.last(size).item)


def _read(network: Network, sids: Tensor, history: Tensor) -> list[Keys]:
    """Keys and values of histories, cut to the longest of them."""
    history = history[:, -int((history >= 0).sum(1).max()) :]
    keys: list[Keys] = network.read(sids[history.clamp(min=0)], history >= 0)
    return keys


def _batches(length: np.ndarray, config: Tiger, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Places of rows, every one once a pass, in batches of about equal length; batches come in any order."""
    order = generator.permutation(len(length))[: config.rows]
    order = order[np.argsort(length[order], kind="stable")]
    groups = np.array_split(order, -(-len(order) // config.batch))
    for group in generator.permutation(len(groups)):
        yield groups[group]


def _drawn(rows: Rows, some: np.ndarray, most: int, generator: np.random.Generator) -> np.ndarray:
    """int64 [B, m], targets drawn evenly from each row's; one each where no row has more."""
    counts = rows.offsets[some + 1] - rows.offsets[some]
    share = generator.random((len(some), min(most, int(counts.max()))))
    drawn: np.ndarray = rows.item[rows.offsets[some, None] + (share * counts[:, None]).astype(np.int64)]
    return drawn


def _rate(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
