"""What a budget is worth: expected clicks of the rest of an episode, by dynamic programming over auctions and budget.

In every auction the bidder meets a price drawn from the training histogram, and a click rate that is always the mean;
it buys where the click is worth more than the budget that it costs.
"""

from __future__ import annotations

import numpy as np

from remeasure.errors import UserError


def price_law(counts: np.ndarray) -> np.ndarray:
    """float64 [prices], probabilities from how often each price occurred in training, one added to every count."""
    more = np.asarray(counts, dtype=np.float64) + 1
    law: np.ndarray = more / more.sum()
    return law


def value_table(law: np.ndarray, click_rate: float, auctions: int, budget: int) -> np.ndarray:
    """V, float64 [auctions + 1, budget + 1]: expected clicks with n auctions and b money left.

    V_n(b) = V_{n−1}(b) + Σ_δ m(δ) · max(0, θ̄ + V_{n−1}(b − δ) − V_{n−1}(b)) over prices δ ≤ b, V_0 = V_n(0) = 0.

    law          float64 [prices], m(δ) of prices 0 to the highest one
    click_rate   θ̄, 0 to 1

    A gain falls with δ, since V grows with b. So prices at which no budget gains are left out of the sum: the highest
    one that matters is followed from one n to the next, which saves most of the work and changes no sum.
    """
    if auctions < 1 or budget < 1:
        raise UserError(f"{auctions} auctions with a budget of {budget}; give at least 1 of each.")
    table = np.zeros((auctions + 1, budget + 1))
    highest = len(law) - 1
    # Left of budget 0 stands −1, so that a price above the budget never gains.
    padded = np.full(len(law) + budget, -1.0)
    top = highest
    for n in range(1, auctions + 1):
        before = table[n - 1]
        padded[highest:] = before
        top = _highest_gaining(padded, highest, click_rate, top)
        falling = np.lib.stride_tricks.sliding_window_view(padded[highest - top :], top + 1)
        gain = falling - (before[:, None] - click_rate)
        table[n] = before + np.maximum(gain, 0, out=gain) @ law[top::-1]
        table[n, 0] = 0.0
    return table


def _highest_gaining(padded: np.ndarray, highest: int, click_rate: float, guess: int) -> int:
    """The highest price at which some budget gains, 0 if none does; near the guess it takes a few comparisons."""
    own = padded[highest:] - click_rate

    def gains(price: int) -> bool:
        return bool((padded[highest - price : len(padded) - price] > own).any())

    while guess > 0 and not gains(guess):
        guess -= 1
    while guess < highest and gains(guess + 1):
        guess += 1
    return guess
