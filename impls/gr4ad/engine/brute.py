"""Every id there is, scored one by one: what a beam search is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from ..decoder.context import Encoded
from ..decoder.decoder import Decoder
from .beam import Beams


@torch.inference_mode()
def brute_force(decoder: Decoder, encoded: Encoded, sids: Tensor, chunk: int = 4096) -> Beams:
    """All of `sids` int64 [N, T] for each of R requests, best first; teacher-forced, without a cache."""
    scored = [_scored(decoder, encoded, ids) for ids in torch.split(sids, chunk)]
    log_p, order = torch.cat([log_p for log_p, _ in scored], dim=1).sort(dim=1, descending=True, stable=True)
    if not decoder.shape.bins:
        return Beams(sids[order], log_p, None)
    bins = torch.cat([bins for _, bins in scored], dim=1)
    return Beams(sids[order], log_p, bins[torch.arange(len(order))[:, None], order])


def _scored(decoder: Decoder, encoded: Encoded, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the ids [R, n] and of the bins after them [R, n, bins]."""
    requests, many, levels = len(encoded.x), *ids.shape
    tokens = ids.repeat(requests, 1)
    logits = decoder.decode(encoded, tokens)
    found = [logits[t].log_softmax(-1).gather(1, tokens[:, t : t + 1]) for t in range(levels)]
    return torch.cat(found, 1).sum(1).view(requests, many), logits[-1].log_softmax(-1).view(
        requests, many, -1
    )
