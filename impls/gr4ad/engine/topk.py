"""The exact largest k of many numbers, most of which are never sorted."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def topk(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and places of the k largest of each row, descending: [R, N] → [R, k] twice, values as torch.topk's.

    The k largest lie in the k groups whose own largest are largest, since each of those k groups holds a number that
    is no smaller than any left out. Groups of √(N / k) make the two sorts equally long.
    """
    rows, size = scores.shape
    group = math.isqrt(size // k) if k else 0
    if group < 4:
        values, places = torch.topk(scores, k)
        return values, places
    whole = size // group * group
    grouped = scores[:, :whole].view(
        rows, group, -1
    )  # a group is every (N / group)-th number: reduced row by row
    width = grouped.shape[2]
    best = grouped.amax(1).topk(k, sorted=False).indices
    places = (best[:, None] + width * torch.arange(group)[:, None]).flatten(1)
    if whole < size:
        places = torch.cat((places, torch.arange(whole, size).expand(rows, -1)), dim=1)
    values, which = torch.topk(scores.gather(1, places), k)
    return values, places.gather(1, which)
