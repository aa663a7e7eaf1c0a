"""The questions that this host answers itself: a real zoo on disk, real models, chains that really run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.nltk_corpora.loader import Request
from remeasure.datasets.tinyshakespeare.loader import Request as Plays

from ..questions import Decoded, Diverged, Moved, Stored

TENANTS = Request(tenants=("movie reviews", "speeches", "genesis german"))
MICRO = {"model": "micro"}
BYTES = {"model": "bytes"}
QUICK: dict[str, Any] = {
    "rounds": 3,
    "set": {"model": "random"},
    "arms": ("one after the other", "overlapped"),
}
CPU = Metric("CPU", "s", better="lower", kind="time", per="round")
DEDUP = Metric("zoo / monoliths", "%", better="lower", kind="count")
OWN = Metric("bytes of its own", "MB", better="lower", kind="count")
INSERT = Metric("insert", "s", better="lower", kind="time", clock="wall", per="round")
FETCHES = tuple(
    Metric(name, "s", better="lower", kind="time", clock="wall", per="round")
    for name in ("fetch", "first fetch")
)
OF_LIMIT = tuple(
    Metric(name, "%", better="higher", kind="count", per="round", exact=False)
    for name in (
        "fetch / limit",
        "insert / limit",
        "first fetch / limit",
        "first fetch / limit of a first reading",
        "fetch / limit, hashed by one thread",
        "insert / limit, hashed by one thread",
    )
)
FSYNC = Metric("fsync", "s", better="lower", kind="count", per="round", exact=False)
READINGS = tuple(
    Metric(name, "MB/s", better="higher", kind="count", per="round", exact=False)
    for name in ("first reading", "later reading")
)
LOGITS = Metric("largest difference of logits", "", better="lower", kind="count", exact=False)
AGREEMENT = Metric("likeliest token the same", "%", better="higher", kind="count", exact=False)
KL = Metric("KL", "nat", better="lower", kind="count", exact=False)


FIVE = tuple(range(5))
"""Processes of a timed case: fewer say nothing of how processes differ."""


def profiles(
    rounds: int = 1, seeds: tuple[int, ...] = (0,), smoke: dict[str, Any] | None = None
) -> dict[str, At]:
    """Real models in `standard`; a small one in `smoke`, a tiny one in tests."""
    found = {
        "tiny": At(seeds=(0,), rounds=2, set=MICRO, evidence="scaled"),
        "standard": At(seeds=seeds, rounds=rounds),
        "full": At(seeds=seeds, rounds=2 * rounds),
    }
    if smoke is not None:
        found["smoke"] = At(**{"seeds": seeds, "rounds": rounds, "set": BYTES, "evidence": "scaled", **smoke})
    return found


TECHNIQUES = ("lora", "adapter", "bitfit", "prefix", "top_layers", "full")


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=(
        Arm("whole family", "reference", Stored()),
        *(Arm(f"foundation and {name}", "ablation", Stored(technique=name)) for name in TECHNIQUES),
    ),
    metrics=(DEDUP, OWN),
    profiles=profiles(smoke={}),
    tags=("deterministic", "partial"),
)
def zoo_dedup(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How many bytes does a zoo of a foundation and its tenants' variants take, of what separate models would?"""
    from ..runs.zoo import stored

    return stored(arm.config, data)


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=(
        Arm("one after the other", "strawman", Moved(how="plain")),
        Arm("overlapped", "reference", Moved()),
        Arm("overlapped, into fresh memory", "ablation", Moved(how="fresh")),
        Arm("overlapped, hashes not checked", "ablation", Moved(how="unchecked")),
        Arm("overlapped, widened to fp32", "ablation", Moved(how="widened")),
    ),
    metrics=(*FETCHES, INSERT, *OF_LIMIT, FSYNC, *READINGS),
    profiles=profiles(10, smoke=QUICK) | {"asv": At(seeds=(0,), **QUICK, evidence="scaled")},
    isolated=True,
    times_itself=True,
    tags=("tracked", "partial"),
)
def zoo_speed(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How near do insertion and fetching come to the slower of disk and SHA-256, all of them on all cores?"""
    from ..runs.zoo import moved

    return moved(arm.config, data)


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=(
        Arm("monolith", "strawman", Decoded(how="monolith")),
        Arm("chain of blocks", "reference", Decoded(how="chain")),
        Arm("monolith, tiles", "ablation", Decoded(how="monolith, tiles")),
        Arm("chain of blocks, tiles", "ablation", Decoded(how="chain, tiles")),
    ),
    metrics=(CPU,),
    profiles=profiles(30, FIVE, smoke={"seeds": FIVE[:3], "rounds": 20})
    | {"asv": At(seeds=(0, 1, 2), rounds=20, set=MICRO, evidence="scaled")},
    tags=("tracked", "partial"),
)
def chain_time(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """What does running a model as a chain of blocks cost, per token, for one tenant?"""
    from ..runs.decode import decoded

    return decoded(arm.config, data, seed)


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=(
        Arm("20 models, one after the other", "strawman", Decoded(how="monolith", tenants=20)),
        Arm("shared blocks, one batch", "reference", Decoded(how="chain", tenants=20)),
    ),
    metrics=(CPU,),
    profiles=profiles(6, FIVE, smoke={"seeds": FIVE[:3], "rounds": 10}),
    tags=("tracked", "partial"),
)
def batching(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """What does batching 20 tenants at shared blocks gain over their separate models at batch 1?"""
    from ..runs.decode import decoded

    return decoded(arm.config, data, seed)


@case(
    dataset="tinyshakespeare",
    request=Plays(),
    arms=(
        Arm("one tenant", "ablation", Diverged()),
        Arm("8 tenants in a batch", "reference", Diverged(tenants=8)),
    ),
    metrics=(LOGITS, AGREEMENT, KL),
    profiles=profiles(1, (0, 1, 2)),
    tags=("partial",),
)
def fast_mode(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How far is fast mode from tile mode, whose result does not depend on who else is in the batch?"""
    from ..runs.decode import diverged

    return diverged(arm.config, data, seed)
