"""The host stands in for the device: contiguous memory, threads, slowed reading, and a label that says how."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from flexserve.live_numbers import FLEX
from flexserve.live_pages import MICRO, PROMPT

from remeasure.impls.flexserve.real import memory
from remeasure.impls.flexserve.real.memory import BLOCK_BYTES, Collapsed, Region
from remeasure.impls.flexserve.real.server import HostServer
from remeasure.impls.flexserve.systems import NW_BASE, STRAWMAN, STRAWMAN_OPT


def test_contiguous_memory_asks_once_for_every_whole_block_however_it_is_claimed():
    nbytes = 5 * BLOCK_BYTES + 12_345
    for step in (nbytes, BLOCK_BYTES, 64 << 10):
        collapsed = Collapsed()
        region = Region(nbytes, "contiguous", collapsed)
        for offset in range(0, nbytes, step):
            region.claim(offset, min(step, nbytes - offset))
        assert collapsed.blocks == 5
        assert not any(region.view())
        region.close()


def test_a_kernel_that_refuses_contiguous_memory_is_named_in_the_label_and_serves(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "MADV_COLLAPSE", 9999)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 16 << 10)
    with HostServer(replace(MICRO, system=STRAWMAN_OPT, pool="cold"), tmp_path) as server:
        server.prefill(PROMPT)
        assert "refused" in server.label and "Invalid argument" in server.label


@pytest.mark.parametrize(
    ("system", "said"),
    [
        (NW_BASE, "unprotected"),
        (STRAWMAN, "contiguous"),
        (replace(FLEX, crypto="inline"), "inline"),
    ],
)
def test_the_label_says_how_the_host_stands_in(serve, system, said):
    assert said in serve(system=system).label


def test_a_run_without_protection_is_labelled_so(serve):
    assert "unprotected" in serve(protection="none").label


def test_slowed_reading_takes_the_time_that_its_rate_asks(serve):
    server = serve(throttle_read=10.0)
    made = server.prefill(PROMPT)
    assert made.busy["load"] >= 0.99 * sum(server._memory.nbytes) / 10e6


def test_torch_keeps_its_number_of_threads(serve):
    before = torch.get_num_threads()
    serve(compute_threads=2).prefill(PROMPT)
    assert torch.get_num_threads() == before


def test_declaring_a_run_loads_neither_torch_nor_cryptography():
    code = (
        "import sys, json; import remeasure.impls.flexserve.real.models as m; m.HostRun();"
        "print(json.dumps([n for n in ('torch', 'numpy', 'cryptography') if n in sys.modules]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_a_closed_server_leaves_no_thread_and_no_open_file(root):
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()  # memory that earlier tests still hold is files, too
    threads, files = threading.active_count(), open_files()
    with HostServer(MICRO, root) as server:
        server.prefill(PROMPT)
    assert (threading.active_count(), open_files()) == (threads, files)
