"""One measurement a tracked case, shared by the benchmarks of all its arms."""

from __future__ import annotations

import pytest
from replay import Measurements


@pytest.fixture(scope="session")
def measurements() -> Measurements:
    return Measurements()
