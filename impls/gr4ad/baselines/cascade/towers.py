"""First stage: one vector for the request and one for every item; all items are scored by one matrix product.

Learned as a softmax over all items against items drawn evenly: log p(item follows | history), popularity included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from remeasure.errors import UserError

from ...engine.macs import counted
from ...requests import Catalogue, Requests
from ..scoring import runs
from .config import Towers
from .inputs import History, ItemVectors


class Network(nn.Module):
    """Both towers; they share the items' vectors."""

    def __init__(self, known: Catalogue, d: int) -> None:
        super().__init__()
        self.items = ItemVectors(known, d)
        self.gap, self.attention = nn.Linear(1, d), nn.Linear(d, 1, bias=False)
        self.wide, self.user = nn.Linear(2 * d + known.inputs.user, 2 * d), nn.Linear(2 * d, d)
        self.item = nn.Linear(d, d)

    def of_requests(self, history: History) -> Tensor:
        """float32 [R, d]: the history under attention, the latest item and the user's value."""
        h = (self.items(history.item) + self.gap(history.gap[..., None])).tanh()
        share = self.attention(h)[..., 0].masked_fill(~history.there, -torch.inf).softmax(1)
        pooled = (share[:, None] @ h)[:, 0]
        read = torch.cat((pooled, h[:, -1], history.user), dim=1)
        out: Tensor = self.user(self.wide(read).relu())
        return out

    def of_items(self, item: Tensor) -> Tensor:
        """int64 [n] → float32 [n, d]."""
        out: Tensor = self.item(self.items(item).tanh())
        return out


@dataclass(frozen=True, eq=False)
class Pairs:
    """Items that followed requests."""

    requests: Requests
    row: Tensor
    """int64 [P], places in the requests, ascending."""
    item: Tensor
    """int64 [P]."""
    weight: Tensor
    """float32 [P]; a request's weights are the shares of its items in its own."""

    def where(self, rows: Tensor) -> Pairs:
        """The pairs of the requests marked by bool [R]."""
        keep = rows[self.row]
        return Pairs(self.requests, self.row[keep], self.item[keep], self.weight[keep])


@dataclass(frozen=True, eq=False)
class TowersModel:
    """Trained towers; the items' vectors are there before anybody asks."""

    network: Network
    vectors: Tensor
    """float32 [N, d]."""

    @torch.inference_mode()
    def log_p(self, history: History) -> np.ndarray:
        """float32 [R, N], log probability that an item follows."""
        found: np.ndarray = (self.network.of_requests(history) @ self.vectors.T).log_softmax(1).numpy()
        return found

    def macs(self, history: History) -> float:
        """Multiplications of a request, the mean over R: the user's tower, and all items scored."""
        of_tower = counted(self.network, lambda: self.log_p(history)) / len(history.item)
        return of_tower + history.item.shape[1] * self.vectors.shape[1] + self.vectors.numel()


def fit(pairs: Pairs, config: Towers, generator: np.random.Generator) -> TowersModel:
    """Train; what is drawn is drawn from the generator. Raises UserError where the loss becomes no number."""
    count = len(pairs.requests.catalogue.sids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**63)))
        network = Network(pairs.requests.catalogue, config.dim)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    rows, many = np.unique(pairs.row.numpy(), return_counts=True)
    end = many.cumsum()
    for epoch in range(1, config.epochs + 1):
        order = generator.permutation(len(rows))
        for some in np.split(order, range(config.batch, len(order), config.batch)):
            others = _others(count, config.negatives, generator)
            owner, pair = runs(end[some] - many[some], end[some])
            asked = torch.from_numpy(rows[some]), torch.from_numpy(owner), torch.from_numpy(pair)
            loss = _loss(network, pairs, *asked, others)
            if not torch.isfinite(loss):
                raise UserError(
                    f"the loss of the towers is {loss.item()} in epoch {epoch}; "
                    f"choose a smaller learning rate than {config.learning_rate}."
                )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    network.eval()
    with torch.inference_mode():
        return TowersModel(network, network.of_items(torch.arange(count)))


def _others(count: int, most: int, generator: np.random.Generator) -> Tensor:
    if count <= most:
        return torch.arange(count)
    return torch.from_numpy(generator.integers(count, size=most))


def _loss(
    network: Network, pairs: Pairs, rows: Tensor, owner: Tensor, pair: Tensor, others: Tensor
) -> Tensor:
    """Weighted mean of −log p of the pairs int64 [P] of requests int64 [B], of which `owner` int64 [P] says whose each
    is. Each of the items `others` stands for equally many of all but the pair's own."""
    item, weight, count = pairs.item[pair], pairs.weight[pair], len(pairs.requests.catalogue.sids)
    user = network.of_requests(History.of(pairs.requests, rows))
    if len(others) == count:
        every = (user @ network.of_items(others).T).log_softmax(1)
        return -(every[owner, item] * weight).sum() / weight.sum()
    own = (user[owner] * network.of_items(item)).sum(1)
    same = others == item[:, None]
    stands = (~same).sum(1).clamp(min=1)
    rest = (user @ network.of_items(others).T)[owner].masked_fill(same, -torch.inf).logsumexp(1)
    log_p = own - torch.logaddexp(own, rest + math.log(max(count - 1, 1)) - stands.log())
    return -(log_p * weight).sum() / weight.sum()
