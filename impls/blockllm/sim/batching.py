"""How many rows a block's batch holds (spec §2.2): its own b*, or one number for all."""

from __future__ import annotations

from .config import Serving
from .steps import Steps


def block_batch(serving: Serving, steps: Steps, context: int) -> int:
    """b*: the largest batch that takes at most (1 + gamma) × one row's time, each row looking at `context` tokens.

    Beyond the part where reading weights takes all the time, a larger batch gains little and makes every row wait.
    """
    if serving.batch == "global":
        return serving.max_batch
    longest = (1 + serving.gamma) * steps.decode_s(1, context)
    low, high = 1, serving.max_batch
    while low < high:
        middle = (low + high + 1) // 2
        if steps.decode_s(middle, middle * context) <= longest:
            low = middle
        else:
            high = middle - 1
    return low
