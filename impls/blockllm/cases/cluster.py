"""The questions for the simulated cluster: everything here is modelled, on public traces or on declared ones.

A sample is one seed; curves stand over load, GPUs, tenants' skew and the overhead of a hop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.azure_llm_2023.loader import Request as Azure
from remeasure.datasets.servegen.loader import Request as ServeGen

from ..questions import Cell, Crossing, Workload
from ..sim.systems import STRAWMAN
from ..tuned import ALPASERVE_TUNED, BLOCKLLM_TUNED, IDEAL_TUNED, LLUMNIX_TUNED, PM_TUNED, PS_TUNED, tuning


def virtual(name: str, unit: str, better: str) -> Metric:
    """A metric of the simulation, one sample a seed."""
    return Metric(name, unit, better, kind="virtual-time")  # type: ignore[arg-type]


LATENCIES = (
    virtual("latency, p95", "s", "lower"),
    virtual("latency, p50", "s", "lower"),
    virtual("TTFT, p95", "s", "lower"),
    virtual("TPOT, p50", "s", "lower"),
    virtual("latency of cold tenants, p95", "s", "lower"),
)
UTILISATIONS = tuple(virtual(f"utilisation, {of}", "%", "higher") for of in ("time", "operations", "bytes"))
SHARES = (
    Metric("goodput", "%", better="higher", kind="count"),
    Metric("backlog growing", "%", better="lower", kind="count"),
)
RATIOS = tuple(virtual(f"p95, {name} / own", "×", "higher") for name in ("PM", "PS"))
"""Of the tuned baselines, which serve the same requests."""
SERVED = (*RATIOS, *LATENCIES, *UTILISATIONS, *SHARES)
LOADED = (
    *SERVED,
    *(virtual(f"utilisation, {of}, own / PM", "×", "higher") for of in ("time", "operations", "bytes")),
)
LOADS = (0.5, 1.0, 2.0, 3.0, 4.0)
"""W1: factors on the trace's own rate."""
JUDGED = 1.0
"""The load at which claims are judged, chosen before any run: the trace as it was recorded."""
CLAIMED = {"claimed, 1.50": 1.504, "reproduced from here": 1.252, "no gain": 1.0}
PS, PM, BLOCKLLM = "PS, tuned", "PM, tuned", "BlockLLM"
LLUMNIX, ALPASERVE = "Llumnix-like", "AlpaServe-like"
SYSTEMS = {PM: PM_TUNED, PS: PS_TUNED, BLOCKLLM: BLOCKLLM_TUNED, "ideal sharing": IDEAL_TUNED}
ROLES = {
    PM: "optimized",
    PS: "optimized",
    LLUMNIX: "optimized",
    ALPASERVE: "optimized",
    BLOCKLLM: "reference",
}
TUNED = {PM: "pm", PS: "ps", LLUMNIX: "llumnix", ALPASERVE: "alpaserve", BLOCKLLM: "blockllm"}
SEEDS = tuple(range(20))
FEW = {
    "minutes": 0.05,
    "cell.minutes": 0.05,
    "serving.swaps": 20,
    "cell.serving.swaps": 20,
    "baseline.swaps": 20,
    "loads": (1.0, 2.0),
}
"""Tests: seconds of a trace, and little effort on placement."""


def profiles(seeds: Sequence[int] = SEEDS, smoke: Sequence[str] = ()) -> dict[str, At]:
    """Seeds by profile; `smoke` replays a minute, with some arms."""
    found = {
        "tiny": At(seeds=(0,), set=FEW, evidence="modelled"),
        "standard": At(seeds=tuple(seeds), evidence="modelled"),
        "full": At(seeds=tuple(range(40)), evidence="modelled"),
    }
    if smoke:
        found["smoke"] = At(seeds=(0, 1, 2), set={"minutes": 1.0}, arms=tuple(smoke), evidence="modelled")
    return found


def cluster_case(
    name: str,
    question: str,
    arms: Sequence[Arm],
    metrics: Sequence[Metric],
    run: str,
    *,
    dataset: str = "azure_llm_2023",
    **options: Any,
) -> Any:
    """A case whose rounds are a function of `runs/cluster.py`, called with the arm's configuration."""

    def prepare(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
        from ..runs import cluster

        compute = getattr(cluster, run)
        return lambda: compute(arm.config, data, seed)

    prepare.__doc__ = question
    return case(
        name=name,
        dataset=dataset,
        request=Azure() if dataset == "azure_llm_2023" else ServeGen(),
        arms=tuple(arms),
        metrics=tuple(metrics),
        profiles=options.pop("profiles", profiles()),
        timeout_s=2 * 3600,
        tags=("modelled", "partial"),
        **options,
    )(prepare)


def over(
    cell: Cell, field: str, xs: Sequence[float], systems: dict[str, Any] | None = None, word: str = ""
) -> list[Arm]:
    """One arm for each system and place; the curve is named after the system, `word` says what the place is."""
    return [
        Arm(
            f"{name}, {word}{x:g}",
            ROLES.get(name, "ablation"),  # type: ignore[arg-type]
            replace(cell, serving=serving, **{field: type(getattr(cell, field))(x)}),
            tuning=tuning(TUNED[name]) if ROLES.get(name) == "optimized" else None,
            series=name,
            x=x,
        )
        for name, serving in (systems or SYSTEMS).items()
        for x in xs
    ]


def load_case(workload: Workload, what: str, xs: Sequence[float], dataset: str) -> Any:
    """All systems over load."""
    return cluster_case(
        f"cluster-{workload}",
        f"How late are answers over load with {what}, and how busy is the cluster?",
        over(Cell(workload=workload), "load", xs),
        LOADED,
        "loaded",
        dataset=dataset,
        axis="load, × the trace's own" if workload == "w1" else "requests/s",
        lines=CLAIMED,
        profiles=profiles(smoke=tuple(f"{name}, {xs[1]:g}" for name in SYSTEMS)),
    )


cluster_w1 = load_case("w1", "public requests, tenants drawn by Zipf", LOADS, "azure_llm_2023")
W2A_LOADS = (10.0, 20.0, 30.0, 40.0, 60.0)
W2B_LOADS = (2.0, 4.0, 6.0, 8.0, 12.0)
cluster_w2a = load_case("w2a", "ServeGen's clients and their own lengths", W2A_LOADS, "servegen")
cluster_w2b = load_case("w2b", "ServeGen's clients and the lengths of conversations", W2B_LOADS, "servegen")
cluster_crossing = cluster_case(
    "cluster-crossing",
    "From which load on is BlockLLM's p95 a third lower than tuned baselines'?",
    [
        Arm(f"over {name}", "reference", Crossing(Cell(serving=BLOCKLLM_TUNED), SYSTEMS[name], LOADS))
        for name in (PM, PS)
    ],
    (
        virtual("load where it is crossed", "× the trace's own", "lower"),
        Metric("crossed", "%", better="higher", kind="count"),
    ),
    "crossing",
)
BASE = Cell(serving=BLOCKLLM_TUNED, load=JUDGED, minutes=2.0)
"""Of everything but the curves over load: two minutes of trace instead of five."""
PAIR = {PM: PM_TUNED, PS: PS_TUNED, BLOCKLLM: BLOCKLLM_TUNED}
SWEEP = tuple(range(5))
cluster_gpus = cluster_case(
    "cluster-gpus",
    "What do fewer GPUs, where memory becomes scarce, change?",
    over(BASE, "gpus", (4, 6, 8, 10, 12), PAIR),
    SERVED,
    "served",
    axis="GPUs",
)
cluster_skew = cluster_case(
    "cluster-skew",
    "What does the skew of the tenants change?",
    over(BASE, "alpha", (0.0, 0.5, 1.0, 1.5), PAIR),
    SERVED,
    "served",
    axis="Zipf exponent of the tenants",
)
cluster_full_share = cluster_case(
    "cluster-full-share",
    "What if more tenants change all weights, so that there is less to share?",
    over(replace(BASE, pe=0.0), "full", (0.0, 0.25, 0.5, 0.75, 1.0), PAIR),
    SERVED,
    "served",
    axis="share of tenants with all weights changed",
    profiles=profiles(SWEEP),
)
HOPS = (0.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
cluster_hops = cluster_case(
    "cluster-hops",
    "At which overhead of a hop between blocks does BlockLLM lose to PS?",
    [
        Arm(PS, "optimized", replace(BASE, serving=PS_TUNED), tuning=tuning("ps")),
        *(
            Arm(
                f"BlockLLM, {us:g} µs",
                "reference",
                replace(BASE, serving=replace(BLOCKLLM_TUNED, hop_overhead_us=us)),
                series=BLOCKLLM,
                x=us,
            )
            for us in HOPS
        ),
    ],
    SERVED,
    "served",
    axis="overhead of a hop, µs",
)


def ablated(name: str, **fields: Any) -> Arm:
    """BlockLLM with fields of its serving, or of the cell, replaced."""
    serving = {field: value for field, value in fields.items() if hasattr(BLOCKLLM_TUNED, field)}
    rest = {field: value for field, value in fields.items() if field not in serving}
    return Arm(name, "ablation", replace(BASE, serving=replace(BLOCKLLM_TUNED, **serving), **rest))


cluster_ablations = cluster_case(
    "cluster-ablations",
    "What does each mechanism of BlockLLM do at the trace's own load?",
    [
        Arm("strawman", "strawman", replace(BASE, serving=STRAWMAN)),
        Arm(PM, "optimized", replace(BASE, serving=PM_TUNED), tuning=tuning("pm")),
        Arm(PS, "optimized", replace(BASE, serving=PS_TUNED), tuning=tuning("ps")),
        Arm(BLOCKLLM, "reference", BASE),
        ablated("one batch size for all blocks", batch="global", max_batch=PM_TUNED.max_batch),
        ablated("KV: any instance", kv="random"),
        ablated("KV: always where it is", kv="owner"),
        ablated("KV: always recomputed", kv_move="recompute"),
        ablated("KV: always transferred", kv_move="transfer"),
        ablated("one queue for new and returning", order="fifo"),
        ablated("no adaptive assembly", assembly=False),
        ablated("KV of another variant reused", kv_reuse="cross_variant", substitute="any"),
        ablated("no speculation", speculation="off"),
        ablated("exact speculation", speculation="exact"),
        ablated("speculation never checked", speculation="always"),
        ablated("placed without locality", placement="balanced"),
        ablated("placed at random", placement="random"),
        ablated("no scaling", scaling=False),
        ablated("all blocks of a GPU in turn", turns="round"),
        ablated("only NVLink", cross_node="nvlink"),
        ablated("25 Gb/s between servers", cross_node="25g"),
        ablated("slow loading of weights", loader="slow"),
    ],
    SERVED,
    "served",
    profiles=profiles(tuple(range(10))),
)
cluster_granularity = cluster_case(
    "cluster-granularity",
    "What if blocks are models, or as small as layers and their halves?",
    [
        Arm(
            name,
            "reference" if unit == "segment" else "ablation",
            replace(BASE, serving=replace(BLOCKLLM_TUNED, granularity=unit), minutes=0.5),  # type: ignore[arg-type]
        )
        for name, unit in (
            ("models", "model"),
            ("segments", "segment"),
            ("layers", "layer"),
            ("halves of layers", "half"),
        )
    ],
    SERVED,
    "served",
    profiles=profiles(tuple(range(3))),
)
ACCEPTANCES = (0.05, BLOCKLLM_TUNED.acceptance, 0.65, 0.8, 0.95)
"""From what a strict check accepts over what was measured to what other surrogates might reach."""
cluster_acceptance = cluster_case(
    "cluster-acceptance",
    "How much would speculation gain if more of its guesses were accepted, with blocks placed at random?",
    [
        Arm(
            f"{how}, {share:g}",
            "reference" if share == BLOCKLLM_TUNED.acceptance else "ablation",
            replace(
                BASE,
                serving=replace(BLOCKLLM_TUNED, placement="random", speculation=how, acceptance=share),
            ),
            series=how,
            x=share,
        )
        for how in ("tolerant", "exact")
        for share in ACCEPTANCES
    ],
    SERVED,
    "served",
    axis="share of guesses that are accepted",
    profiles=profiles(SWEEP),
)
cluster_costs = cluster_case(
    "cluster-costs",
    "Does what is gained depend on whose kernels the costs are of, and on an error of 20 %?",
    [
        Arm(f"{stack} × {band:g}", "reference", replace(BASE, stack=stack, band=band))  # type: ignore[arg-type]
        for stack, band in (("trtllm", 1.0), ("vllm", 1.0), ("sglang", 1.0), ("trtllm", 0.8), ("trtllm", 1.2))
    ],
    SERVED,
    "served",
    profiles=profiles(tuple(range(10))),
)
cluster_bursts = cluster_case(
    "cluster-bursts",
    "What do bursts change?",
    over(replace(BASE, workload="w3", load=5.0), "cv", (1.0, 4.0, 8.0), PAIR, word="CV "),
    SERVED,
    "served",
    axis="coefficient of variation of the gaps",
    simulated=True,
    profiles=profiles(SWEEP) | {"tiny": At(seeds=(0,), set=FEW | {"minutes": 0.5}, evidence="modelled")},
)
cluster_extra = cluster_case(
    "cluster-extra",
    "How do request migration and pipelined placement of whole models, two more baselines, compare?",
    over(
        BASE,
        "load",
        (1.0, 2.0, 4.0),
        {
            PM: PM_TUNED,
            PS: PS_TUNED,
            LLUMNIX: LLUMNIX_TUNED,
            ALPASERVE: ALPASERVE_TUNED,
            BLOCKLLM: BLOCKLLM_TUNED,
        },
    ),
    SERVED,
    "served",
    axis="load, × the trace's own",
    profiles=profiles(tuple(range(10))),
)
