"""The strongest alternative without the paper's idea: two stages, tuned, but one market and no graph models."""

from .config import Trees, TwoStage

SINGLE_MARKET = TwoStage(others=(), embedding=None, wide_embedding=None, trees=Trees(rounds=150))
"""Everything computed on the target market alone; its ranker had as many trials as the reference's."""
