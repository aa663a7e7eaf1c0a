"""The paper's system: diverse pre-rankers on ten merges of markets, then LightGBM with ten folds and a bag."""

from .config import Single, Trees, TwoStage

OPDAI = TwoStage(trees=Trees(rounds=150))
"""Chosen on held-out training pairs; `selection.json` holds what was tried and on what."""

BEST_SINGLE = Single("itemcf-iou", merge="all")
"""ItemCF-IoU, fixed before the run; EASE on all markets and the wide LightGCN ranked held-out pairs a little better."""
