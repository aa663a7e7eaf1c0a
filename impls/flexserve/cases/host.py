"""The questions that this host answers itself: real weights, real encryption, real files, secret memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.wikitext2.loader import Request

from ..config import System
from ..questions import LONGEST, Attack, Decryption, HostPrefill, Reclaim
from ..real.models import HostRun
from ..systems import NW_BASE, STRAWMAN, STRAWMAN_OPT, cold
from ..tuned import SYSTEMS, chosen, tuning, with_choice

TTFT = Metric("TTFT", "s", better="lower", kind="time", clock="wall", per="round")
OVER_BOUND = Metric("TTFT / lower bound", "", better="lower", kind="count", per="round", exact=False)
OVERLAP = Metric("overlap efficiency", "", better="higher", kind="count", per="round", exact=False)
PLAINTEXT = Metric("peak plaintext", "MB", better="lower", kind="count", per="round")
DIFFERING = Metric("logits that differ", "", better="lower", kind="count", per="round")
CPU = Metric("CPU", "s", better="lower", kind="time", per="round")
FOUND = Metric("ways that read plaintext", "", better="lower", kind="count", per="round")
RECLAIM = Metric("reclaim, p99", "ms", better="lower", kind="time", clock="wall")
SCRUBBED = Metric("pages usable again, p99", "ms", better="lower", kind="time", clock="wall")

PREFILL = (TTFT, OVER_BOUND, OVERLAP, PLAINTEXT)
PIPELINE = SYSTEMS["pipeline"]
MICRO = {
    "run.model": "micro",
    "run.protection": "none",
    "model": "micro",
    "into": "heap",
    "protection": "none",
}
SMALL = {"run.model": "small", "model": "small"}
PROMPTS = Request(split="test")
SEEDS = (0, 1, 2)
FIVE, EIGHT = tuple(range(5)), tuple(range(8))
"""Processes of a timed case, and of one that a claim compares."""


def serving(system: System, tokens: int = 128, **changes: Any) -> HostPrefill:
    """A prompt served by a process with a warm pool, unless told otherwise."""
    return HostPrefill(HostRun(system=system, prompt_tokens=LONGEST, **changes), tokens)


def tuned(name: str, tokens: int = 128, system: System | None = None, **changes: Any) -> HostPrefill:
    """The pipeline or the sequential run, or another system of its kind, with what was chosen for it."""
    untuned = serving(system or SYSTEMS[name], tokens)
    return replace(untuned, run=replace(with_choice(untuned.run, chosen(name)), **changes))


def variant(**fields: Any) -> System:
    """The pipeline with fields replaced."""
    return replace(PIPELINE, **fields)


def profiles(rounds: int, compared: str = "", /, **smoke: Any) -> dict[str, At]:
    """Rounds a block of `standard`, and the metric that a claim compares; `smoke` serves a smaller model, and the tiny
    model of tests runs unprotected."""
    seeds, precision = (EIGHT, {compared: 0.1}) if compared else (FIVE, {})
    return {
        "tiny": At(seeds=(0,), rounds=2, set=MICRO, evidence="scaled"),
        "smoke": At(**{"seeds": SEEDS, "rounds": 10, "set": SMALL, "evidence": "scaled", **smoke}),
        "standard": At(seeds=seeds, rounds=rounds, precision=precision),
        "full": At(seeds=seeds, rounds=2 * rounds, precision=precision),
    }


def timed(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """Everything before the request is done; what is returned is one TTFT."""
    from ..runs.host import prefilled

    serve = prefilled(arm.config, data.passages, seed)

    def run() -> dict[str, object]:
        served = serve()
        return {
            OVER_BOUND.name: served.ttft_s / served.lower_bound_s,
            OVERLAP.name: served.schedule.overlap_efficiency,
            PLAINTEXT.name: served.peak_plaintext_bytes / 1e6,
            "extras": {"busy s": served.busy, "bound by": served.schedule.limit},
        }

    return run


def over_prompts(name: str, role: Any, at: Callable[[int], HostPrefill], tried: str = "") -> list[Arm]:
    """One arm a prompt length; the one of 128 tokens carries the plain name."""
    return [
        Arm(
            name if tokens == 128 else f"{name}, {tokens} tokens",
            role,
            at(tokens),
            tuning=tuning(tried) if tried else None,
            series=name,
            x=tokens,
        )
        for tokens in (64, 128, 256)
    ]


@case(
    dataset="wikitext2",
    request=PROMPTS,
    arms=(
        *over_prompts("sequential", "strawman", lambda tokens: serving(SYSTEMS["sequential"], tokens)),
        *over_prompts(
            "sequential, tuned", "optimized", lambda tokens: tuned("sequential", tokens), "sequential"
        ),
        *over_prompts("FlexServe", "reference", lambda tokens: tuned("pipeline", tokens), "pipeline"),
    ),
    metrics=PREFILL,
    profiles=profiles(6, TTFT.name, arms=("sequential", "sequential, tuned", "FlexServe"))
    | {
        "asv": At(
            seeds=SEEDS,
            rounds=10,
            set={**MICRO, "run.model": "small"},
            evidence="scaled",
            arms=("sequential", "FlexServe"),
        )
    },
    fresh=True,
    axis="prompt, tokens",
    tags=("tracked", "partial"),
)
def host_ttft(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How long from a prompt to its first token on this host, pages owned already, weights read and decrypted anew?"""
    return timed(arm, data, seed)


@case(
    dataset="wikitext2",
    request=PROMPTS,
    arms=(
        Arm("unprotected", "strawman", tuned("pipeline", system=cold(NW_BASE), protection="none")),
        Arm("secret pages only", "ablation", tuned("pipeline", system=variant(crypto="none"))),
        Arm("encryption only", "ablation", tuned("pipeline", protection="none")),
        Arm("both", "reference", tuned("pipeline"), tuning=tuning("pipeline")),
        Arm(
            "both, without authentication", "ablation", tuned("pipeline", system=variant(authenticated=False))
        ),
    ),
    metrics=PREFILL,
    profiles=profiles(6, seeds=(0,), rounds=3),
    fresh=True,
    tags=("partial",),
)
def host_security(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What does security cost: secret pages, encryption, both; and what of it is authentication?"""
    return timed(arm, data, seed)


@case(
    dataset="wikitext2",
    request=PROMPTS,
    arms=(
        Arm("tuned", "reference", tuned("pipeline"), tuning=tuning("pipeline")),
        Arm(
            "layer by layer",
            "ablation",
            serving(PIPELINE, compute_threads=chosen("pipeline")["compute_threads"]),
        ),
        Arm("64 KiB", "ablation", serving(replace(PIPELINE, granularity="64 KiB"))),
        Arm("two compute threads", "ablation", tuned("pipeline", compute_threads=2)),
        Arm(
            "half of the parts cached",
            "ablation",
            tuned("pipeline", system=variant(cache="cooperative"), cached_parts=16),
        ),
    ),
    metrics=PREFILL,
    profiles={name: at for name, at in profiles(6).items() if name != "smoke"},
    fresh=True,
    tags=("partial",),
)
def host_pipeline(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How do the pipeline's grain, its threads and a cached prefix of the model change TTFT?"""
    return timed(arm, data, seed)


@case(
    dataset="wikitext2",
    request=PROMPTS,
    arms=(
        Arm("Strawman, fresh pages", "strawman", serving(cold(STRAWMAN), pool="cold")),
        Arm(
            "Strawman-OPT, fresh pages",
            "optimized",
            tuned("pipeline", system=STRAWMAN_OPT, pool="cold"),
            tuning=tuning("pipeline"),
        ),
        Arm(
            "NW-Base, fresh pages",
            "ablation",
            tuned("pipeline", system=cold(NW_BASE), pool="cold", protection="none"),
        ),
        Arm("FlexServe, fresh pages", "reference", tuned("pipeline", pool="cold")),
        Arm("FlexServe, pages owned", "ablation", tuned("pipeline")),
    ),
    metrics=PREFILL,
    profiles={
        "tiny": At(seeds=(0,), rounds=2, set=MICRO, evidence="scaled"),
        "standard": At(seeds=SEEDS, rounds=1),
        "full": At(seeds=SEEDS, rounds=3),
    },
    fresh=True,
    tags=("partial",),
)
def host_cold(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What do fresh pages cost a first request: secret, made contiguous, or ordinary ones?"""
    return timed(arm, data, seed)


@case(
    dataset="wikitext2",
    request=PROMPTS,
    arms=(
        Arm("FlexServe", "reference", tuned("pipeline")),
        Arm("sequential", "strawman", serving(SYSTEMS["sequential"])),
        Arm("unprotected", "ablation", serving(cold(NW_BASE), protection="none")),
        Arm("64 KiB", "ablation", serving(replace(PIPELINE, granularity="64 KiB"))),
    ),
    metrics=(DIFFERING,),
    profiles={
        "tiny": At(seeds=(0,), set=MICRO, evidence="scaled"),
        "smoke": At(seeds=(0,)),
        "standard": At(seeds=SEEDS),
        "full": At(seeds=SEEDS),
    },
    fresh=True,
    tags=("partial",),
)
def host_equality(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """In how many logits does a served prompt differ, in any bit, from the plain model in ordinary memory?"""
    from ..runs.host import differing, prefilled

    serve = prefilled(arm.config, data.passages, seed)
    return lambda: {DIFFERING.name: differing(arm.config, data.passages, seed, serve().logits)}


@case(
    dataset="wikitext2",
    request=PROMPTS,
    arms=(
        Arm("one hot buffer, heap", "strawman", Decryption("heap", "hot buffer")),
        Arm("streaming, heap", "ablation", Decryption("heap", "streaming")),
        Arm("streaming, secret pages", "reference", Decryption("secret", "streaming")),
    ),
    metrics=(CPU,),
    profiles=profiles(10, CPU.name, seeds=(0,))
    | {"asv": At(seeds=SEEDS, rounds=10, set={"model": "small", "into": "heap"}, evidence="scaled")},
    fresh=True,
    tags=("tracked", "partial"),
)
def decryption(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """How near does decrypting a model's shards come to decrypting one hot buffer, and what do secret pages cost?"""
    from ..runs.decryption import decrypted

    return decrypted(arm.config)


@case(
    dataset="wikitext2",
    request=PROMPTS,
    arms=(
        Arm("ordinary pages", "control", Attack("none"), invalid="the control: here the attack must succeed"),
        Arm("secret pages", "reference", Attack("secret")),
    ),
    metrics=(FOUND,),
    profiles={
        "tiny": At(seeds=(0,), set=MICRO, evidence="scaled"),
        "smoke": At(seeds=(0,)),
        "standard": At(seeds=(0,)),
        "full": At(seeds=(0,)),
    },
    tags=("deterministic", "partial"),
)
def attack(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """In how many ways does another process read plaintext out of the serving process's pages?"""
    from ..runs.attack import attacked

    return attacked(arm.config)


@case(
    dataset="wikitext2",
    request=PROMPTS,
    arms=(
        Arm("synchronous", "strawman", Reclaim(waits=True)),
        Arm("asynchronous", "reference", Reclaim(waits=False)),
    ),
    metrics=(RECLAIM, SCRUBBED),
    profiles={
        "tiny": At(seeds=(0,), set=MICRO, evidence="scaled"),
        "standard": At(seeds=SEEDS),
        "full": At(seeds=SEEDS),
    },
    isolated=True,
    times_itself=True,
    tags=("partial",),
)
def host_reclaim(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How long does the kernel wait for pages it asks back, scrubbed before it goes on or after?"""
    from ..runs.host import reclaimed

    return reclaimed(arm.config)
