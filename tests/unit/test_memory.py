"""Peak resident memory of a piece of work."""

import numpy as np

from remeasure.impls.common.memory import peak_mb


def test_a_large_array_is_seen_and_an_earlier_peak_is_forgotten() -> None:
    np.ones(30_000_000)
    assert 300 < peak_mb(lambda: np.ones(50_000_000)) < 600
    assert peak_mb(lambda: None) < 50
