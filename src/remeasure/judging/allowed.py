"""How far an A/A control may be off, by the clock that timed it. Light at import: the page draws these as bands."""

from collections.abc import Mapping

BIAS_ALLOWED: Mapping[str, float] = {"cpu": 0.02, "wall": 0.05}
"""A control whose 95 % interval lies wholly outside 1 ± this is biased."""
WIDTH_ALLOWED: Mapping[str, float] = {"cpu": 0.05, "wall": 0.12}
"""One whose 90 % interval is not within 1 ± this is too wide to judge by."""
