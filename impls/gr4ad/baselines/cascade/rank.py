"""Third stage: a deep interest network (Zhou et al. 2018) on what the trees leave.

Every candidate weighs the events of the history for itself. What comes out is added to the trees' log odds, so that an
untrained ranker ranks as the trees do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from remeasure.errors import UserError

from ...engine.macs import counted
from ...requests import Catalogue, Requests
from .config import Din
from .inputs import History, ItemVectors


class Network(nn.Module):
    """Candidates and history → what to add to the log odds."""

    def __init__(self, known: Catalogue, config: Din) -> None:
        super().__init__()
        d, half = config.dim, config.hidden // 2
        self.items = ItemVectors(known, d)
        self.gap = nn.Linear(1, d)
        # One map of [event, candidate, their product], in three parts: two of them run once an event or candidate.
        self.of_event, self.of_candidate = nn.Linear(d, half), nn.Linear(d, half, bias=False)
        self.of_both, self.attention = nn.Linear(d, half, bias=False), nn.Linear(half, 1)
        self.wide, self.out = (
            nn.Linear(3 * d + known.inputs.user + 1, config.hidden),
            nn.Linear(config.hidden, 1),
        )
        self.base = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.out.weight.zero_()
            self.out.bias.zero_()
            self.base.weight.fill_(1.0)

    def forward(self, history: History, item: Tensor, log_odds: Tensor) -> Tensor:
        """Candidates int64 [R, C] with the trees' log odds float32 [R, C] → log odds float32 [R, C]."""
        h = (self.items(history.item) + self.gap(history.gap[..., None])).tanh()
        c = self.items(item).tanh()
        both = c[:, :, None] * h[:, None]
        hidden = self.of_event(h)[:, None] + self.of_candidate(c)[:, :, None] + self.of_both(both)
        weight = self.attention(hidden.relu())[..., 0] * history.there[:, None]
        pooled = weight @ h
        user = history.user[:, None].expand(-1, item.shape[1], -1)
        read = torch.cat((pooled, c, pooled * c, user, log_odds[..., None]), dim=2)
        odds: Tensor = (self.base(log_odds[..., None]) + self.out(self.wide(read).relu()))[..., 0]
        return odds


@dataclass(frozen=True, eq=False)
class Lists:
    """Q lists of n candidates that have a target among them."""

    requests: Requests
    row: Tensor
    """int64 [Q], places in the requests."""
    item: Tensor
    """int64 [Q, n]."""
    log_odds: Tensor
    """float32 [Q, n], of trees that never saw the user."""
    share: Tensor
    """float32 [Q, n], what followed; rows sum to 1."""
    weight: Tensor
    """float32 [Q]."""


@dataclass(frozen=True, eq=False)
class DinModel:
    """A trained ranker."""

    network: Network

    @torch.inference_mode()
    def log_odds(self, history: History, item: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
        """float32 [R, C] of candidates int64 [R, C] and the trees' log odds, right up to one number a request."""
        found: np.ndarray = self.network(history, torch.from_numpy(item), torch.from_numpy(log_odds)).numpy()
        return found

    def macs(self, history: History, item: np.ndarray, log_odds: np.ndarray) -> float:
        """Multiplications of a request, the mean over R: maps, products of event and candidate, weighted sums."""
        maps = counted(self.network, lambda: self.log_odds(history, item, log_odds)) / len(item)
        return float(maps + item.shape[1] * (2 * history.item.shape[1] + 1) * self.network.gap.out_features)


def fit(lists: Lists, config: Din, generator: np.random.Generator) -> DinModel:
    """Train with a softmax over each list. Raises UserError where the loss becomes no number."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**63)))
        network = Network(lists.requests.catalogue, config)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    for epoch in range(1, config.epochs + 1):
        order = torch.from_numpy(generator.permutation(len(lists.row)))
        for some in torch.split(order, config.batch):
            history = History.of(lists.requests, lists.row[some])
            log_p = network(history, lists.item[some], lists.log_odds[some]).log_softmax(1)
            weight = lists.weight[some]
            loss = -((log_p * lists.share[some]).sum(1) * weight).sum() / weight.sum()
            if not torch.isfinite(loss):
                raise UserError(
                    f"the loss of the ranker is {loss.item()} in epoch {epoch}; "
                    f"choose a smaller learning rate than {config.learning_rate}."
                )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    network.eval()
    return DinModel(network)
