"""Records and declarations made by hand, so that judging is tested without measuring anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from remeasure.contracts import Arm, At, Case, Metric
from remeasure.declared.claims import Claim, Claims, Figure
from remeasure.judging.gather import build_report
from remeasure.judging.judged import Judgement, Report
from remeasure.records.record import (
    TWIN_SUFFIX,
    ArmRecord,
    DataRecord,
    Environment,
    Failure,
    MetricRecord,
    Provenance,
    Record,
)

SYSTEM = "made"
SEEDS = (1, 2, 3, 4, 5)
USERS = 400

CPU = Metric("CPU seconds", unit="s", better="lower", kind="time", per="round")
WALL = Metric("seconds", unit="s", better="lower", kind="time", clock="wall", per="round")
NDCG = Metric("NDCG@10", unit="", better="higher", kind="quality", per="user")
LATENCY = Metric("latency", unit="s", better="lower", kind="virtual-time")
STEPS = Metric("steps", unit="", better="lower", kind="count")
TTFT = Metric("TTFT", unit="s", better="lower", kind="virtual-time", per="draw")
SPEEDUP = Metric("mean speedup", unit="×", better="higher", kind="virtual-time", per="draw")
METRICS = {metric.name: metric for metric in (CPU, WALL, NDCG, LATENCY, STEPS, TTFT, SPEEDUP)}
ROLES = {"slow": "strawman", "tuned": "optimized", "ours": "reference", "peek": "control"}
INVALID = {"peek": "It reads the labels it is judged on."}


def provenance(**changes: Any) -> Provenance:
    usual: dict[str, Any] = {
        "commit": "c" * 40,
        "dirty": "",
        "fingerprint": "f" * 64,
        "environment": "e" * 64,
        "command": "remeasure run",
        "started": "2026-07-01T10:00:00+00:00",
        "wall_s": 1.0,
        "cpu_s": 1.0,
        "peak_rss_mb": 100.0,
        "load_before": 0.1,
        "load_after": 0.1,
    }
    return Provenance(**{**usual, **changes})


def data(**changes: Any) -> DataRecord:
    usual: dict[str, Any] = {
        "name": "things",
        "kind": "real",
        "origin": "cache",
        "sha256": "d" * 64,
        "label": "things (all)",
    }
    return DataRecord(**{**usual, **changes})


def record(
    samples: Mapping[str, Mapping[str, Sequence[float]]],
    seed: int = 1,
    case: str = "speed",
    *,
    key: str = "",
    from_: Provenance | None = None,
    **changes: Any,
) -> Record:
    """An honest finished block; `changes` replace fields of the record."""
    arms = dict.fromkeys(
        arm for column in samples.values() for arm in column if not arm.endswith(TWIN_SUFFIX)
    )
    usual: dict[str, Any] = {
        "key": key or f"{case}-{seed}",
        "system": SYSTEM,
        "case": case,
        "profile": "smoke",
        "seed": seed,
        "status": "ok",
        "evidence": "measured",
        "data": data(),
        "arms": {arm: ArmRecord(role=ROLES[arm], config={}, invalid=INVALID.get(arm, "")) for arm in arms},
        "metrics": {
            name: MetricRecord(
                unit=METRICS[name].unit,
                better=METRICS[name].better,
                kind=METRICS[name].kind,
                clock=METRICS[name].clock,
                per=METRICS[name].per,
                exact=METRICS[name].exact,
            )
            for name in samples
        },
        "samples": {
            name: {arm: [float(x) for x in values] for arm, values in column.items()}
            for name, column in samples.items()
        },
        "contract": "passed",
        "provenance": from_ or provenance(),
    }
    return Record(**{**usual, **changes})


def failure(seed: int = 1, case: str = "speed", **changes: Any) -> Record:
    why = Failure(kind="timeout", message="It took longer than 60 s.", log_tail="round 7")
    usual = {"status": "failure", "failure": why, "data": None, "contract": ""}
    return record({}, seed, case, **{**usual, **changes})


def timed(
    seed: int = 1,
    *,
    rounds: int = 12,
    slow: float = 0.030,
    tuned: float = 0.015,
    ours: float = 0.010,
    twin: float = 1.0,
    noise: float = 0.01,
    metric: Metric = CPU,
    **changes: Any,
) -> Record:
    """Rounds of three arms and the twin of the slow one; `twin` is how much slower than itself it looks."""
    rng = np.random.default_rng(seed)
    machine = rng.uniform(0.8, 1.2)

    def arm(seconds: float) -> list[float]:
        return [float(x) for x in machine * seconds * np.exp(noise * rng.standard_normal(rounds))]

    columns = {
        "slow": arm(slow),
        "tuned": arm(tuned),
        "ours": arm(ours),
        "slow" + TWIN_SUFFIX: arm(slow * twin),
    }
    return record({metric.name: columns}, seed, **{"twin_of": "slow", **changes})


def judged(
    seed: int = 1,
    *,
    gain: float = 0.02,
    seed_noise: float = 0.0,
    users: int = USERS,
    case: str = "ranking",
    **changes: Any,
) -> Record:
    """One NDCG a user; the users are the same with every seed, their values nearly so."""
    base = np.random.default_rng(0).uniform(0.2, 0.8, users)
    rng = np.random.default_rng([seed, 7])
    shift = seed_noise * (seed - 2)

    def arm(level: float) -> list[float]:
        return [float(x) for x in base + level + 0.02 * rng.standard_normal(users)]

    columns = {"slow": arm(-0.1), "tuned": arm(0), "ours": arm(gain + shift), "peek": arm(0.2)}
    return record({NDCG.name: columns}, seed, case, **changes)


def environment(**changes: Any) -> Environment:
    usual: dict[str, Any] = {
        "python": "3.11.7",
        "packages": {"numpy": "2.4.6", "scipy": "1.17.1", "rich": "14.0"},
        "blas": [],
        "cpu_model": "A processor",
        "cores": 2,
        "affinity": 2,
        "cgroup_cpu": "max",
        "ram_mb": 16000,
        "kernel": "Linux 6.1",
        "threads": {"OMP_NUM_THREADS": "1"},
    }
    return Environment(**{**usual, **changes})


def case(name: str = "speed", metrics: Sequence[Metric] = (CPU,), **changes: Any) -> Case:
    usual: dict[str, Any] = {
        "question": f"What of {name}?",
        "prepare": lambda arm, data, seed: lambda: None,
        "dataset": "things",
        "request": None,
        "arms": tuple(Arm(arm, role, None, invalid=INVALID.get(arm, "")) for arm, role in ROLES.items()),
        "profiles": {"smoke": At(seeds=SEEDS)},
        "system": SYSTEM,
    }
    return Case(name=name, metrics=tuple(metrics), **{**usual, **changes})


def claim(id: str = "faster", kind: str = "ratio", **changes: Any) -> Claim:
    usual: dict[str, Any] = {
        "statement": "It is faster",
        "where": "section 1",
        "testability": "measured",
        "case": "speed",
        "treatment": "ours",
        "baseline": "slow",
        "value": 3.0 if kind == "ratio" else None,
    }
    return Claim(id=id, kind=kind, **{**usual, **changes})


def better(id: str = "better", **changes: Any) -> Claim:
    """A claim of a difference in quality."""
    return claim(id, "difference", **{"case": "ranking", "baseline": "tuned", **changes})


def registry(claims: Sequence[Claim] = (), figures: Sequence[Figure] = (), cases: Sequence[Case] = ()) -> Any:
    """A registry of one system."""
    declared = list(cases) or [case(), case("ranking", (NDCG,))]
    system = SimpleNamespace(
        name=SYSTEM,
        folder=Path(SYSTEM),
        package=SYSTEM,
        cases={each.name: each for each in declared},
        claims=Claims(
            title="Made", paper="A. Author, Made, 2020", link="", claim=list(claims), figure=list(figures)
        ),
    )
    return SimpleNamespace(systems={SYSTEM: system}, datasets={})


def report(
    records: Sequence[Record],
    claims: Sequence[Claim] = (),
    figures: Sequence[Figure] = (),
    cases: Sequence[Case] = (),
    *,
    profile: str = "smoke",
    **options: Any,
) -> Report:
    return build_report(
        registry(claims, figures, cases), records, {"e" * 64: environment()}, profile, **options
    )


def verdict_on(
    claim: Claim, records: Sequence[Record], cases: Sequence[Case] = (), **options: Any
) -> Judgement:
    return report(records, [claim], cases=cases, **options).claims[0]
