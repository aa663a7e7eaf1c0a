"""How far the device model is from the figures it is calibrated with, and from those models it has not seen.

`left_out` is the honest one: for each model of Figure 5, everything that came from that model's own bars is removed,
and what the other models say takes its place.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..config import System
from .allocation import MS
from .calibration import Calibration
from .costs import Costs
from .facts import ANCHOR, INTERVAL
from .laws import WEIGHTS
from .rows import MODELS, SYSTEMS, Role, Row, bars, point, single, unseen
from .yardsticks import size_rule, speedups


def report(calibration: Calibration) -> list[Row]:
    """All rows, figure by figure."""
    return [
        *table1(calibration),
        *figure1(calibration),
        *figure2(calibration),
        *figure5(calibration),
        *left_out(calibration),
        *size_rule(calibration),
        *speedups(calibration),
        *figure6(calibration),
    ]


def coverage(calibration: Calibration, draws: int, seed: int) -> dict[str, float]:
    """Share of Figure 5's bars, by system, that lie inside the interval drawn from tolerances and assumptions."""
    rng = np.random.default_rng(seed)
    drawn = np.array([[row.modelled for row in figure5(calibration.drawn(rng))] for _ in range(draws)])
    tail = (1 - INTERVAL.value) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    rows = figure5(calibration)
    paper, system = np.array([row.paper for row in rows]), np.array([row.system for row in rows])
    inside = (low <= paper) & (paper <= high)
    return {name: float(inside[system == name].mean()) for name in SYSTEMS}


def table1(calibration: Calibration) -> list[Row]:
    """Times of Table 1 by the same functions that every request is charged with, ms."""
    costs = Costs(calibration)
    flex, opt = SYSTEMS["FlexServe"], SYSTEMS["Strawman-OPT"]
    waits = replace(flex, async_reclaim=False)
    in_one = replace(waits, two_stage=False)
    base = SYSTEMS["NW-Base"]

    def size(id: str) -> float:
        return calibration.gib("table1." + id)

    def setup(system: System, gib: float = 0.0) -> float:
        return costs.setup_s(system, ANCHOR, gib) - costs.other_s(system, ANCHOR)

    small = size("reclaim_128MiB.full")
    seconds = {
        "alloc_8GiB.flexserve": costs.alloc_s(flex, size("alloc_8GiB.flexserve")),
        "alloc_8GiB.cma": costs.alloc_s(opt, size("alloc_8GiB.cma")),
        "reclaim_8GiB.flexserve": costs.reclaim_s(flex, size("reclaim_8GiB.flexserve")),
        "reclaim_8GiB.cma": costs.reclaim_s(opt, size("reclaim_8GiB.cma")),
        "npu_smmu_setup_8GiB.flexserve": setup(flex, size("npu_smmu_setup_8GiB.flexserve")) - setup(flex),
        "npu_smmu_setup_8GiB.unprotected": setup(base, size("npu_smmu_setup_8GiB.unprotected")) - setup(base),
        "npu_task_launch.unprotected": setup(base),
        "reclaim_128MiB.sync_single_stage": costs.reclaim_s(in_one, small, small),
        "reclaim_128MiB.two_stage_sync": costs.reclaim_s(waits, small),
        "reclaim_128MiB.full": costs.reclaim_s(flex, small),
        "load_8GiB": costs.load_s(size("load_8GiB")),
        "decrypt_8GiB_4cores": costs.decrypt_s(size("decrypt_8GiB_4cores")),
        "prefill_llama31_8b_128": costs.prefill_s(
            ANCHOR, calibration.entry("table1.prefill_llama31_8b_128").prompt_tokens or 0
        ),
    }
    rows = [single(calibration, "Table 1", "table1." + id, s / MS, "calibrated") for id, s in seconds.items()]
    together = {
        "switch and launch": ("npu_mode_switch", "npu_task_launch.flexserve"),
        "protection on": ("s2pt_boot", "hash_check"),
    }
    modelled = {
        "switch and launch": setup(flex),
        "protection on": costs.protect_s(replace(flex, on_demand=True)),
    }
    for what, ids in together.items():
        parts = [single(calibration, "Table 1", "table1." + id, 0.0, "calibrated") for id in ids]
        rows.append(
            replace(
                parts[0],
                what=what,
                paper=sum(part.paper for part in parts),
                modelled=modelled[what] / MS,
                tolerance=sum(part.tolerance for part in parts),
            )
        )
    return rows


def figure1(calibration: Calibration) -> list[Row]:
    """Allocation over size (1a) and background (1b), s."""
    costs = Costs(calibration)
    rows = []
    for allocator, system in (("mmap", SYSTEMS["NW-Base"]), ("cma", SYSTEMS["Strawman-OPT"])):
        for part in "ab":
            entry = calibration.entry(f"fig1{part}.{allocator}")
            for index, x in enumerate(entry.x):
                size = x if entry.size_GB is None else entry.size_GB
                background = x if entry.background_GB is None else entry.background_GB
                seconds = costs.alloc_s(system, size, background)
                rows.append(point(calibration, f"Figure 1{part}", entry.id, index, seconds, "calibrated"))
    return rows


def figure2(calibration: Calibration) -> list[Row]:
    """Stages of a sequential prefill, s."""
    costs = Costs(calibration)
    gib = calibration.value(WEIGHTS + ANCHOR)
    rows = []
    for name, system in (("nw-infer", SYSTEMS["NW-Base"]), ("strawman", SYSTEMS["Strawman"])):
        tokens = calibration.entry(f"fig2.{name}.compute").prompt_tokens or 0
        seconds = {
            "alloc": costs.alloc_s(system, gib),
            "load": costs.load_s(gib),
            "decrypt": costs.decrypt_s(gib),
            "compute": costs.prefill_s(ANCHOR, tokens, system.compute),
            "other": costs.other_s(system, ANCHOR),
        }
        for stage, modelled in seconds.items():
            id = f"fig2.{name}.{stage}"
            if id not in calibration.entries:
                continue
            disputed = calibration.entry(id).use.startswith("record only")
            used = id in ("fig2.strawman.compute", "fig2.strawman.other", "fig2.nw-infer.other")
            role: Role = "disputed" if disputed else "calibrated" if used else "check"
            rows.append(single(calibration, "Figure 2", id, modelled, role))
    return rows


def figure5(calibration: Calibration) -> list[Row]:
    """Cold TTFT with every model's own prefill rates, s."""
    costs = Costs(calibration)
    return [
        row
        for model in MODELS
        for name in SYSTEMS
        for row in bars(
            calibration, costs, model, name, "calibrated" if name in ("FlexServe", "Strawman") else "check"
        )
    ]


def left_out(calibration: Calibration) -> list[Row]:
    """Cold TTFT of each model from the other models' bars, s."""
    rows = []
    for model in MODELS:
        costs = Costs(unseen(calibration, model))
        rows += [row for name in SYSTEMS for row in bars(calibration, costs, model, name, "left out")]
    return rows


def figure6(calibration: Calibration) -> list[Row]:
    """Decoding, tok/s: an input for each model, and what the others say of it."""
    rows = []
    roles: tuple[tuple[Role, bool], ...] = (("calibrated", True), ("left out", False))
    decoded = [id for id in calibration.entries if id.startswith("fig6.")]
    for model in dict.fromkeys(calibration.entry(id).model for id in decoded):
        own = [id for id in decoded if calibration.entry(id).model == model]
        for role, known in roles:
            costs = Costs(calibration if known else calibration.without(own))
            for id in own:
                rate = 1 / costs.decode_s(model, SYSTEMS[calibration.entry(id).system])
                rows.append(single(calibration, "Figure 6", id, rate, role))
    return rows
