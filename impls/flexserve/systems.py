"""The systems of June §7.1 and our fairer baseline, as values of one configuration."""

from __future__ import annotations

from dataclasses import replace

from .config import System

FLEXSERVE = System(cache="cooperative", prefetch=True)
"""The paper's system: recallable pages, secure NPU, pipelined decryption, cooperative cache, prefetch of workflows."""
NW_BASE = System(alloc="mmap", crypto="none", authenticated=False, protected=False)
"""The normal world without any protection: the upper bound."""
STRAWMAN = System(alloc="cma", compute="cpu", overlap=False, cache="none")
"""What the paper argues against: contiguous region first, CPU only, one stage after the other."""
STRAWMAN_OPT = System(alloc="cma", cache="none")
"""The strawman with a secure NPU and a pipeline; its contiguous region is still claimed first (optimized baseline)."""
TZLLM_LIKE = System(alloc="cma overlapped", alloc_threads=4, cache="none")
"""After TZ-LLM (arXiv 2511.13717): claims its region in small pieces beside loading (second optimized baseline)."""


def cold(system: System) -> System:
    """The same system without anything kept from earlier requests."""
    return replace(system, cache="none", prefetch=False)
