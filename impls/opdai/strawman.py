"""What the paper argues against: one simple model, one market (official baseline, and the popularity of items)."""

from .config import Single

POPULARITY = Single("popularity", tables=("train_5core",))
"""Items ordered by their count in the target's 5-core."""

GMF = Single("gmf", tables=("train", "train_5core"))
"""Generalised matrix factorisation after the competition's starter kit (d 8, BCE, 4 negatives, 25 epochs)."""
