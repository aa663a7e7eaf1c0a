"""The strongest alternative without the paper's idea: two stages, tuned, but one market and no graph models."""

from .config import TwoStage

SINGLE_MARKET = TwoStage(others=(), embedding=None, wide_embedding=None)
"""Everything computed on the target market alone; its ranker had as many trials as the reference's."""
