"""The paper's system: diverse pre-rankers on ten merges of markets, then LightGBM with ten folds and a bag."""

from .config import Embedding, Single, Trees, TwoStage

OPDAI = TwoStage(trees=Trees(rounds=150))
"""Chosen on held-out training pairs; `selection.json` holds what was tried and on what."""

BEST_SINGLE = Single("lightgcn", embedding=Embedding(dim=512, layers=4))
"""The pre-ranker that alone ranks the held-out training pairs best; `selection.json` holds all of them."""
