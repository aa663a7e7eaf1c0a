"""Requests → ranked items: one beam pass, and the orders that can be read from it (§3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from .decoder.decoder import Decoder
from .decoder.steps import DecoderSteps
from .engine.beam import Beams, BeamSearch
from .engine.index import Index as Index
from .engine.trie import pack
from .learning.value import ValueBins
from .requests import Requests

Order = Literal["log p", "token", "known"]
"""By log p; + log E[eCPM] from the token; + log of the value that is known at serving (bid · pCVR, or a price)."""


@dataclass(frozen=True, eq=False)
class Recommender:
    """A trained decoder with the index that it may generate from."""

    decoder: Decoder
    search: BeamSearch
    index: Index
    bins: ValueBins | None = None
    known: np.ndarray | None = None
    """float64 [N], the items' value as known at serving, for the order `known`."""

    @torch.inference_mode()
    def beams(self, requests: Requests, batch: int = 64) -> Beams:
        """The beams of all requests, `batch` requests at a time."""
        self.decoder.eval()
        parts = []
        for begin in range(0, len(requests), batch):
            encoded = self.decoder.encode(requests.batch(slice(begin, begin + batch)))
            parts.append(self.search.search(DecoderSteps(self.decoder, encoded), self.index.trie))
        bins = [part.bins for part in parts if part.bins is not None]
        return Beams(
            torch.cat([part.codes for part in parts]),
            torch.cat([part.log_p for part in parts]),
            torch.cat(bins) if bins else None,
        )

    def ranked(self, beams: Beams, k: int, order: Order = "log p") -> tuple[np.ndarray, np.ndarray]:
        """The first k items of each request and their scores, [R, k] each, in one of the orders."""
        codes = beams.codes.numpy()
        packed = pack(codes.reshape(-1, codes.shape[2]), self.search.codes).reshape(codes.shape[:2])
        score = beams.log_p.numpy().astype(np.float64)
        if order == "token" and self.bins is not None and beams.bins is not None:
            score = score + np.log(self.bins.expected(beams.bins).numpy() + 1e-9)
        if order == "log p" or order == "token":
            best = np.argsort(-score, axis=1, kind="stable")
            return self.index.items(
                np.take_along_axis(packed, best, 1), np.take_along_axis(score, best, 1), k
            )
        if self.known is None:
            raise ValueError("the order `known` needs the items' values")
        wide = int(np.isfinite(score).sum(axis=1).max()) * 4
        items, score = self.index.items(packed, score, max(wide, k))
        score = np.where(items < 0, -np.inf, score + np.log(self.known[items] + 1e-9))
        best = np.argsort(-score, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(items, best, 1), np.take_along_axis(score, best, 1)

    def orders(self, requests: Requests, k: int) -> Mapping[Order, np.ndarray]:
        """Items int64 [R, k] in every order that there is, from one beam pass."""
        beams = self.beams(requests)
        orders: list[Order] = ["log p"]
        orders += ["token"] if self.bins is not None and beams.bins is not None else []
        orders += ["known"] if self.known is not None else []
        return {order: self.ranked(beams, k, order)[0] for order in orders}
