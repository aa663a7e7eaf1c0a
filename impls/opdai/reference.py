"""The paper's system: diverse pre-rankers on ten merges of markets, then LightGBM with ten folds and a bag."""

from .config import Single, Trees, TwoStage

OPDAI = TwoStage(trees=Trees(rounds=150))
"""Frozen before any reported label was looked at; `selection.json` holds what was tried and on what."""

BEST_SINGLE = Single("itemcf-iou", merge="all")
"""The best single pre-ranker that needs no training, fixed in advance by its score on held-out training pairs."""
