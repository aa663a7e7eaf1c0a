"""Peak resident memory of a piece of work."""

import json
import subprocess
import sys

MEASURE = """
import json
import numpy as np
from remeasure.impls.common.memory import peak_mb
np.ones(30_000_000)
print(json.dumps([peak_mb(lambda: np.ones(50_000_000)), peak_mb(lambda: None)]))
"""


def test_a_large_array_is_seen_and_an_earlier_peak_is_forgotten() -> None:
    # A process of its own: what other tests left behind may be collected while the work runs, and hide its peak.
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    large, nothing = json.loads(done.stdout)
    assert 300 < large < 600
    assert nothing < 50
