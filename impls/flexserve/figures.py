"""What the device model says for every cell of June's Figures 7 to 11, which it was not calibrated with.

One function a figure, in the order of the axes. What the paper leaves open is read from assumptions.toml and from the
declared workloads; the codes of `LEGEND` say which of it a cell rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .config import Cache, System
from .dispatch import Curves, Dispatch
from .policy.cache import zero_stall_prefix
from .sim.apps import NAMES, declared
from .sim.arrivals import Request, Steps
from .sim.assumptions import Assumptions
from .sim.assumptions import read as read_assumptions
from .sim.calibration import Calibration
from .sim.calibration import read as read_calibration
from .sim.catalogue import Catalogue
from .sim.costs import Costs
from .sim.facts import ANCHOR, BACKGROUND_GB, MEMORY_GIB
from .sim.server import simulate
from .sim.timeline import prefill
from .systems import FLEXSERVE, STRAWMAN, STRAWMAN_OPT, cold
from .workloads import alternating, own_data_gib, runs

if TYPE_CHECKING:
    from remeasure.datasets.ondevice.loader import Workloads

SYSTEMS = {"FlexServe": FLEXSERVE, "Strawman-OPT": STRAWMAN_OPT, "Strawman": STRAWMAN}
PROMPT = 128
"""Tokens of the prompt in Figures 7, 10 and 11."""
ABLATED = (ANCHOR, "Llama3.2-3B", "Qwen3-1.7B")
POLICIES: tuple[tuple[str, Cache], ...] = (
    ("Strawman", "none"),
    ("Strawman", "always"),
    ("Strawman", "timeout"),
    ("Strawman-OPT", "none"),
    ("Strawman-OPT", "always"),
    ("Strawman-OPT", "timeout"),
    ("FlexServe", "cooperative"),
    ("FlexServe", "timeout"),
)
LEGEND = {
    "M": "device model calibrated with June's Table 1 and Figures 1, 2, 5 and 6",
    "U": "model without bars in Figure 5: its prefill is said by the other models",
    "B": "size and background off the two lines of Figure 1: allocation is interpolated between them",
    "T": "prompts outside 64 to 512 tokens: prefill continues the calibrated law",
    "L": "prompt lengths are declared (data set ondevice), not disclosed",
    "R": "pauses between requests are assumed; where models take turns at random, the order is declared",
    "C": "the strawmen have the same cache and keep whole models in it, the last used first",
    "W": "models and token counts of the agent are declared, not disclosed; draws scale the counts by 0.4 to 2.5",
    "K": "FlexServe does not compute an agent's fixed text again while its KV cache is kept",
    "D": "decoding rate of a model without a bar in Figure 6: scaled by weights",
    "A": "working-set curve of the application is declared, not disclosed; relative to the application alone",
    "P": "an application's own data stay in memory while a prompt is served, its file cache is dropped",
    "S": "the curve passes through the published pair of sysbench throughputs (no independent prediction)",
    "X": "the published 2.46 % stand for stage-2 tables being on",
    "N": "TTFT of the same system with the whole model in memory and no application, over the TTFT",
    "Z": "cached layers lie half way between the zero-stall prefix and what 4 GB hold; draws use the whole range",
    "O": "CMA is the strawman; +Flex-NPU computes on the NPU, +Flex-Mem takes recallable pages, both one stage after "
    "the other; +Pipe overlaps; +Cache keeps layers; +NoDec decrypts for nothing",
}
"""Code → what a cell with it rests on."""


@dataclass(frozen=True)
class Cell:
    """One bar or point."""

    figure: int
    subject: str
    """Model, group of models, application or workflow."""
    arm: str
    """System, system with its cache policy, or step of the ablation."""
    x: str
    """GB of background in Figure 7, data set in Figure 8, else empty."""
    unit: str
    """s for TTFT and response latency; empty for relative performance."""
    codes: str
    """Keys of `LEGEND`."""


@dataclass(frozen=True, eq=False)
class Setting:
    """One device and one choice of everything that is assumed."""

    costs: Costs
    assumed: Assumptions
    data: Workloads
    dispatch: Dispatch
    """How the server went through Figure 8's requests."""
    lengths: Mapping[str, float] = field(default_factory=dict)
    """Data set → factor on its median prompt; 1 where none is named."""

    def yes(self, switch: str) -> bool:
        """Whether a switch of assumptions.toml is on."""
        return self.assumed.value(switch) >= 1 / 2


def nominal(data: Workloads, calibration: Calibration | None = None) -> Setting:
    """The calibrated device with everything as it is assumed."""
    costs, assumed = Costs(calibration or read_calibration()), read_assumptions()
    pause = assumed.value("several-models.pause_s")
    systems = (
        FLEXSERVE,
        *(
            replace(system, cache=cache)
            for system in (STRAWMAN_OPT, STRAWMAN)
            for cache in ("none", "always")
        ),
    )
    return Setting(costs, assumed, data, Dispatch.of(data, systems, costs, pause))


def drawn(setting: Setting, rng: np.random.Generator) -> Setting:
    """The same with calibration, assumptions and prompt lengths drawn inside their tolerances and ranges."""
    costs = Costs(setting.costs.calibration.drawn(rng), setting.costs.device)
    lengths = {
        law.name: float(np.exp(rng.uniform(*np.log(law.median_range)))) for law in setting.data.lengths
    }
    return replace(setting, costs=costs, assumed=setting.assumed.drawn(rng), lengths=lengths)


def predicted(setting: Setting) -> Iterator[tuple[Cell, float]]:
    """All 268 cells with their values, s or relative, in the order of figures and axes."""
    for figure in (pressure, several_models, agents, applications, ablation):
        yield from figure(setting)


def pressure(setting: Setting) -> Iterator[tuple[Cell, float]]:
    """Figure 7: cold TTFT over the background."""
    for model in setting.data.models:
        codes = "M" + ("" if model in calibrated(setting.costs) else "U")
        for name, system in SYSTEMS.items():
            for background in setting.data.background_grid:
                ttft = prefill(cold(system), model, PROMPT, setting.costs, background).ttft_s
                between = "" if background == BACKGROUND_GB.value else "B"
                yield Cell(7, model, name, f"{background:g}", "s", codes + between), ttft


def several_models(setting: Setting) -> Iterator[tuple[Cell, float]]:
    """Figure 8: mean TTFT of two models that share a device and a cache."""
    first = setting.data.streams[0]
    curves = Curves(setting.costs, first.shortest_tokens, first.longest_tokens)
    for stream in setting.data.streams:
        unseen = set(stream.group.models) - calibrated(setting.costs)
        codes = "MTLRC" + ("U" if unseen else "")
        factor = setting.lengths.get(stream.lengths.name, 1.0)
        for name, system in SYSTEMS.items():
            kept = system
            if name != "FlexServe" and setting.yes(f"several-models.{name}-caches"):
                kept = replace(system, cache="always")
            ttft = setting.dispatch.mean_ttft_s(stream, kept, curves, factor)
            yield Cell(8, stream.group.name, name, stream.lengths.name, "s", codes), ttft


def agents(setting: Setting) -> Iterator[tuple[Cell, float]]:
    """Figure 9: full generations of all steps but the last, and the last one's TTFT."""
    assumed = setting.assumed
    for workflow in setting.data.workflows:
        models = {step.model for step in workflow.steps}
        codes = "MWRCK" + ("U" if models - calibrated(setting.costs) else "")
        codes += "D" if models - decoding(setting.costs) else ""
        for name, system in SYSTEMS.items():
            kept = system
            if name != "FlexServe" and setting.yes(f"agents.{name}-caches"):
                kept = replace(system, cache="always")
            reuse = name == "FlexServe" and setting.yes("agents.reuse")
            work = runs(
                workflow,
                setting.data.agent_runs,
                assumed.value("agents.pause_s"),
                reuse=reuse,
                longer=2 ** assumed.value("agents.longer"),
            )
            outcome = simulate(kept, work, setting.costs, cache_gib=assumed.value("agents.cache_gib"))
            yield Cell(9, workflow.name, name, "", "s", codes), float(outcome.response_s[1:].mean())


def applications(setting: Setting) -> Iterator[tuple[Cell, float]]:
    """Figure 10: what application and TTFT keep of their speed when they take turns; 8B, all memory to share."""
    assumed, costs = setting.assumed, setting.costs
    known = declared(NAMES, assumed, costs.calibration, MEMORY_GIB.value)
    kept: dict[tuple[str, str], list[float]] = {}
    for system_name, cache in POLICIES:
        system = replace(
            SYSTEMS[system_name],
            cache=cache,
            prefetch=False,
            timeout_s=assumed.value("applications.timeout_s"),
        )
        arm = f"{system_name} {cache}"
        alone = prefill(system, ANCHOR, PROMPT, costs, 0.0, costs.layers(ANCHOR)).ttft_s
        for name, app in known.items():
            work = alternating(
                app,
                Request(0.0, ANCHOR, PROMPT, 1),
                setting.data.app_rounds,
                assumed.value("applications.run_s"),
                assumed.value("applications.pause_s"),
            )
            held = Steps((0.0,), (own_data_gib(app),))
            outcome = simulate(system, work, costs, cache_gib=MEMORY_GIB.value / 2, background=held)
            ran = np.array([run == name for run in outcome.apps])
            kept[name, arm] = outcome.app_relative[ran][1:].tolist()
            kept.setdefault(("TTFT", arm), []).extend((alone / outcome.ttft_s[1:]).tolist())
    for subject in (*NAMES, "TTFT"):
        for system_name, cache in POLICIES:
            arm = f"{system_name} {cache}"
            codes = "MANPR" if subject == "TTFT" else "AP" + ("S" if subject == "sysbench" else "")
            codes += "X" if system_name == "FlexServe" and subject != "TTFT" else ""
            yield Cell(10, subject, arm, "", "", codes), float(np.mean(kept[subject, arm]))


def ablation(setting: Setting) -> Iterator[tuple[Cell, float]]:
    """Figure 11: TTFT as the parts of FlexServe are added to the strawman one after the other."""
    npu = replace(STRAWMAN, compute="npu")
    pages = replace(npu, alloc="flex")
    pipe = replace(pages, overlap=True)
    inline = replace(pipe, crypto="inline")
    for model in ABLATED:
        cached = cached_layers(setting, pipe, model)
        steps: tuple[tuple[str, System, int], ...] = (
            ("CMA", STRAWMAN, 0),
            ("+Flex-NPU", npu, 0),
            ("+Flex-Mem", pages, 0),
            ("+Pipe", pipe, 0),
            ("+Cache", pipe, cached),
            ("+NoDec", inline, cached),
        )
        for name, system, layers in steps:
            ttft = prefill(system, model, PROMPT, setting.costs, cached_parts=layers).ttft_s
            codes = "MO" + ("Z" if layers else "")
            yield Cell(11, model, name, "", "s", codes), ttft


def cached_layers(setting: Setting, system: System, model: str) -> int:
    """Layers in Figure 11's cache, between the zero-stall prefix and what the cache of Figure 8 holds."""
    use = Catalogue(system, setting.costs).use(model, 1.0, 1.0, PROMPT)
    least = zero_stall_prefix(len(use.part_bytes), use.load_s_per_part, use.compute_s_per_part)
    gib_a_layer = setting.costs.weights_gib(model) / len(use.part_bytes)
    most = min(len(use.part_bytes), int(setting.data.cache_gib / gib_a_layer))
    return least + round(setting.assumed.value("ablation.cache") * (most - least))


def calibrated(costs: Costs) -> frozenset[str]:
    """Models that have prefill rates of their own."""
    return frozenset(costs.calibration.of("derived.cpu_prefill_s."))


def decoding(costs: Costs) -> frozenset[str]:
    """Models that have a decoding rate of their own."""
    entries = costs.calibration.entries
    return frozenset(entry.model for id, entry in entries.items() if id.startswith("fig6."))
