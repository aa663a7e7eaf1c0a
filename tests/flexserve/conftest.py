"""Servers that several files of tests start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from flexserve.live_pages import MICRO, Slow

from remeasure.impls.flexserve.real import resident
from remeasure.impls.flexserve.real.models import HostRun
from remeasure.impls.flexserve.real.server import HostServer


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def serve(root) -> Iterator[Callable[..., HostServer]]:
    """Makes servers that are closed after the test."""
    with ExitStack() as stack:

        def start(run: HostRun = MICRO, at: Path = root, **changes) -> HostServer:
            return stack.enter_context(HostServer(replace(run, **changes), at))

        start.close = stack.close  # type: ignore[attr-defined]
        yield start


@pytest.fixture
def slow(monkeypatch):
    """Servers whose pages are scrubbed when `Slow.allowed` is set."""
    monkeypatch.setattr(resident, "Region", Slow)
    Slow.allowed.clear()
    Slow.begun.clear()
    yield
    Slow.allowed.set()
