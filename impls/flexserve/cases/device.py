"""The questions for the modelled device: everything here is computed, nothing of it was measured on a phone.

A sample is one draw of what is uncertain (calibration tolerances, declared assumptions, prompt lengths), so
what is shown is the range of the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from remeasure.contracts import Arm, At, Metric, Tuning, case
from remeasure.datasets.ondevice.loader import Request

from ..config import System
from ..questions import (
    COLD,
    Comparison,
    Experiment,
    Fit,
    Grid,
    Hour,
    Modelled,
    Shared,
    Step,
    Survival,
)
from ..systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold


def virtual(name: str, unit: str, better: str) -> Metric:
    """A metric of the model, one sample a draw."""
    return Metric(name, unit, better, kind="virtual-time", per="draw")  # type: ignore[arg-type]


MEAN = virtual("mean speedup", "×", "higher")
GEOMETRIC = virtual("geometric mean speedup", "×", "higher")
LARGEST = virtual("largest speedup", "×", "higher")
SMALLEST = virtual("smallest speedup", "×", "higher")
CUT = virtual("TTFT cut", "%", "higher")
KEPT = virtual("performance kept", "%", "higher")
SYSBENCH = virtual("sysbench kept", "%", "higher")
TTFT_KEPT = virtual("TTFT's speed kept", "%", "higher")
TPOT = virtual("TPOT", "s", "lower")
TIME = virtual("time", "ms", "lower")
TTFT = virtual("TTFT", "s", "lower")
AVERAGE = Metric("faster on average", "%", better="higher", kind="count")
EVERYWHERE = Metric("faster in every cell", "%", better="higher", kind="count")
DOUBTED = Metric("faster on average, with the model's own error", "%", better="higher", kind="count")
TTFT_MEAN = virtual("TTFT, mean", "s", "lower")
TTFT_P50 = virtual("TTFT, p50", "s", "lower")
TTFT_P95 = virtual("TTFT, p95", "s", "lower")
RESPONSE = virtual("response latency, mean", "s", "lower")
FOUND = virtual("weights found in memory", "%", "higher")
STAGE2 = virtual("stage-2 tables on", "%", "lower")
MISSED = virtual("memory missed by applications", "GiB", "lower")
RECLAIM_P99 = virtual("reclaim, p99", "ms", "lower")
RECLAIM_P50 = virtual("reclaim, p50", "ms", "lower")
ERROR = Metric("absolute error", "%", better="lower", kind="quality", per="bar")

REQUEST = Request()
FEW = {"draws": 3, "requests": 8}


def profiles(smoke: int = 20) -> dict[str, At]:
    """Draws by profile; the model itself is the same everywhere."""
    return {
        "tiny": At(seeds=(0,), set=FEW, evidence="modelled"),
        "smoke": At(seeds=(0,), set={"draws": smoke}, evidence="modelled"),
        "standard": At(seeds=(0,), evidence="modelled"),
        "full": At(seeds=(0,), set={"draws": 1000}, evidence="modelled"),
    }


def hourly() -> dict[str, At]:
    """Draws of an hour by profile."""
    return {
        "tiny": At(seeds=(0,), set=FEW, evidence="modelled"),
        "smoke": At(seeds=(0,), set={"draws": 5}, evidence="modelled"),
        "standard": At(seeds=(0,), evidence="modelled"),
        "full": At(seeds=(0,), set={"draws": 200}, evidence="modelled"),
    }


def variant(**fields: Any) -> System:
    """FlexServe with fields replaced."""
    return replace(FLEXSERVE, **fields)


def modelled_case(
    name: str, question: str, arms: Sequence[Arm], metrics: Sequence[Metric], run: str, **options: Any
) -> Any:
    """A case whose rounds are a function `module.name` of `runs/`, called with the arm's configuration."""
    module, function = run.split(".")
    tags = ("modelled", "partial", *options.pop("tags", ()))

    def prepare(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
        from ..runs import device, hours, shared_cache

        modules = {"device": device, "hours": hours, "shared_cache": shared_cache}
        compute = getattr(modules[module], function)
        return lambda: compute(arm.config, data, seed)

    prepare.__doc__ = question
    return case(
        name=name,
        dataset="ondevice",
        request=REQUEST,
        simulated=True,
        arms=tuple(replace(arm, tuning=AS_PUBLISHED) if arm.role == "optimized" else arm for arm in arms),
        metrics=tuple(metrics),
        profiles=options.pop("profiles", profiles()),
        timeout_s=2 * 3600,
        tags=tags,
        **options,
    )(prepare)


def against(experiment: Experiment, *baselines: str) -> list[Arm]:
    return [
        Arm(f"{experiment}, against {name}", "reference", Comparison(experiment, name)) for name in baselines
    ]


BOTH = ("Strawman", "Strawman-OPT")
SPEEDUPS = [
    *against("headline", *BOTH),
    *against("TTFT only", *BOTH),
    *against("cold", *BOTH, "TZ-LLM-like"),
    Arm("cold, NW-Base against FlexServe", "ablation", Comparison("cold", "FlexServe", "NW-Base")),
    *against("pressure", *BOTH),
    *against("several models", *BOTH),
    *against("agents", *BOTH),
]
STEPS = ("CMA", "+Flex-NPU", "+Flex-Mem", "+Pipe", "+Cache", "+NoDec")
POLICIES = (
    "Strawman none",
    "Strawman always",
    "Strawman timeout",
    "Strawman-OPT none",
    "Strawman-OPT always",
    "Strawman-OPT timeout",
    "FlexServe cooperative",
    "FlexServe timeout",
)
OPERATIONS = (
    "allocate 8 GB, CMA",
    "allocate 8 GB, Flex-Mem",
    "reclaim 8 GB, CMA",
    "reclaim 8 GB, Flex-Mem",
    "reclaim 128 MB, neither",
    "reclaim 128 MB, two-stage",
    "reclaim 128 MB, two-stage, asynchronous",
    "switch protection on",
)
ROLES = {
    "Strawman": "strawman",
    "Strawman-OPT": "optimized",
    "TZ-LLM-like": "optimized",
    "FlexServe": "reference",
}


AS_PUBLISHED = Tuning(
    space={"cache": ("none", "always", "timeout")},
    trials=3,
    judged_on="nothing: its cache policies all stand side by side in device-applications, the rest is the paper's own",
)
"""What an optimized baseline of the device model was given: it has no parameters that the calibration leaves free."""


def role(name: str) -> Any:
    """The role of a system by the first part of its name; Table 1's baselines are CMA's."""
    return ROLES.get(name.split(" ")[0], "ablation")


device_speedup = modelled_case(
    "device-speedup",
    "How much faster is FlexServe on the modelled device, experiment by experiment?",
    SPEEDUPS,
    (MEAN, GEOMETRIC, LARGEST, SMALLEST),
    "device.speedups",
)
device_ablation = modelled_case(
    "device-ablation",
    "By how much does each part of FlexServe cut the TTFT that was left, on the modelled device at 128 tokens?",
    [Arm(after, "ablation", Step(before, after)) for before, after in pairwise(STEPS)],
    (CUT,),
    "device.cut",
)
device_applications = modelled_case(
    "device-applications",
    "What do applications and TTFT keep of their speed when they take turns on the modelled device?",
    [Arm(name, role(name), Modelled(name)) for name in POLICIES],
    (KEPT, SYSBENCH, TTFT_KEPT),
    "device.kept",
)
device_decode = modelled_case(
    "device-decode",
    "How long does a token take after the first one, on the modelled device?",
    [Arm(name, role(name), Modelled(name)) for name in COLD if name != "TZ-LLM-like"],
    (TPOT,),
    "device.decoding",
)
device_operations = modelled_case(
    "device-operations",
    "How long do the operations of Table 1 take on the modelled device?",
    [
        Arm(name, "strawman" if "CMA" in name or "neither" in name else "reference", Modelled(name))
        for name in OPERATIONS
    ],
    (TIME,),
    "device.operation",
)
device_release = modelled_case(
    "device-release",
    "What does it cost the optimized strawman to release its region after each inference (8B, 128 tokens)?",
    [
        Arm("Strawman-OPT, memory released", "strawman", Modelled("Strawman-OPT, memory released")),
        Arm("Strawman-OPT, memory kept", "ablation", Modelled("Strawman-OPT, memory kept")),
    ],
    (TTFT,),
    "device.released",
)
device_fit = modelled_case(
    "device-fit",
    "How far is the device model from Figure 5 for a model whose own bars it has not seen, and a rule of sizes?",
    [
        arm
        for name in ("Strawman", "Strawman-OPT", "NW-Base", "FlexServe")
        for arm in (
            Arm(name, role(name), Fit(name)),
            Arm(f"{name}, by size alone", "ablation", Fit(name, "size")),
        )
    ]
    + [Arm("Strawman, best law of size, told the bars", "ablation", Fit("Strawman", "told"))],
    (ERROR,),
    "device.misfit",
    tags=("deterministic",),
)
device_survival = modelled_case(
    "device-survival",
    "In how many joint draws of all tolerances is FlexServe's cold start faster than the TZ-LLM-like one?",
    [Arm("FlexServe", "reference", Survival())],
    (AVERAGE, EVERYWHERE, DOUBTED),
    "device.survival",
)

device_pipeline = modelled_case(
    "device-pipeline",
    "What do the pipeline, its grain and the way memory is allocated do to a cold start on the modelled device?",
    [
        Arm("Strawman", "strawman", Grid(STRAWMAN)),
        Arm("Strawman-OPT", "optimized", Grid(STRAWMAN_OPT)),
        Arm("TZ-LLM-like, 1 thread", "ablation", Grid(replace(TZLLM_LIKE, alloc_threads=1))),
        Arm("TZ-LLM-like, 4 threads", "optimized", Grid(TZLLM_LIKE)),
        Arm("FlexServe, layer by layer", "reference", Grid()),
        Arm("FlexServe, 16 MiB", "ablation", Grid(cold(variant(granularity="16 MiB")))),
        Arm("FlexServe, 4 MiB", "ablation", Grid(cold(variant(granularity="4 MiB")))),
        Arm("FlexServe, 64 KiB", "ablation", Grid(cold(variant(granularity="64 KiB")))),
        Arm("FlexServe, no overlap", "ablation", Grid(cold(variant(overlap=False)))),
        Arm("FlexServe, inline cipher", "ablation", Grid(cold(variant(crypto="inline")))),
        Arm(
            "FlexServe, protection switched on first",
            "ablation",
            Grid(replace(cold(FLEXSERVE), on_demand=True)),
        ),
        Arm("NW-Base", "ablation", Grid(NW_BASE)),
    ],
    (TTFT,),
    "device.cold_start",
)
device_hour = modelled_case(
    "device-hour",
    "What do requests and applications see in an hour of ten agents under changing memory pressure, modelled?",
    [
        Arm("Strawman, none", "strawman", Hour(STRAWMAN)),
        *(
            Arm(f"Strawman-OPT, {cache}", "optimized", Hour(replace(STRAWMAN_OPT, cache=cache)))
            for cache in ("none", "always", "timeout")
        ),
        Arm("TZ-LLM-like, always", "optimized", Hour(replace(TZLLM_LIKE, cache="always"))),
        Arm("FlexServe", "reference", Hour()),
        Arm("no prefetch", "ablation", Hour(variant(prefetch=False))),
        Arm("least recently used layers", "ablation", Hour(variant(kept="lru"))),
        Arm("random layers", "ablation", Hour(variant(kept="random"))),
        Arm("equal budgets", "ablation", Hour(variant(budgets="uniform"))),
        Arm("one-stage reclaim", "ablation", Hour(variant(two_stage=False))),
        Arm("synchronous reclaim", "ablation", Hour(variant(async_reclaim=False))),
        Arm("cache with a time-out", "ablation", Hour(variant(cache="timeout", prefetch=False))),
        Arm("no cache", "ablation", Hour(cold(FLEXSERVE))),
        Arm("no cache, protection on demand", "ablation", Hour(replace(cold(FLEXSERVE), on_demand=True))),
    ],
    (TTFT_P50, TTFT_P95, RESPONSE, FOUND, STAGE2, MISSED),
    "hours.served",
    profiles=hourly(),
)
device_cache = modelled_case(
    "device-cache",
    "Two models share a cache that cannot hold both: what does the choice of layers change, modelled?",
    [
        Arm("Strawman, none", "strawman", Shared(STRAWMAN)),
        Arm("Strawman-OPT, always", "optimized", Shared(replace(STRAWMAN_OPT, cache="always"))),
        Arm("TZ-LLM-like, always", "optimized", Shared(replace(TZLLM_LIKE, cache="always"))),
        Arm("FlexServe", "reference", Shared()),
        Arm("least recently used layers", "ablation", Shared(variant(kept="lru"))),
        Arm("random layers", "ablation", Shared(variant(kept="random"))),
        Arm("equal budgets", "ablation", Shared(variant(budgets="uniform"))),
        Arm("whole models, always", "ablation", Shared(variant(cache="always", prefetch=False))),
        Arm("no cache", "ablation", Shared(cold(FLEXSERVE))),
    ],
    (TTFT_MEAN, FOUND),
    "shared_cache.served",
    profiles={name: at for name, at in hourly().items() if name != "smoke"},
)
device_reclaim = modelled_case(
    "device-reclaim",
    "How long do applications wait for memory that they ask back, in that hour on the modelled device?",
    [
        Arm("one-stage, synchronous", "strawman", Hour(variant(two_stage=False, async_reclaim=False))),
        Arm("one-stage, asynchronous", "ablation", Hour(variant(two_stage=False))),
        Arm("two-stage, synchronous", "ablation", Hour(variant(async_reclaim=False))),
        Arm("two-stage, asynchronous", "reference", Hour()),
    ],
    (RECLAIM_P99, RECLAIM_P50),
    "hours.reclaimed",
    profiles=hourly(),
)
