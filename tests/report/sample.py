"""A realistic report, made by hand: every kind of verdict, a dozen cases, and all else a page can show.

`sample()` is what screenshots are taken of, `small()` the one whose HTML is a golden file, `large()` the size
of the whole project.
"""

from __future__ import annotations

from typing import Any

import msgspec

from remeasure.judging.coverage_table import Row
from remeasure.judging.judged import Chance, FailureRow, FigureRow, Noise, Report, SystemRow
from report.sample_cases import CASES
from report.sample_claims import CLAIMS, COMMIT, ENVIRONMENT, sha


def release() -> dict[str, Any]:
    """What `latest.json` of an earlier release holds."""
    claims = [
        {
            "system": j.system,
            "id": j.id,
            "verdict": j.verdict.word,
            "evidence": j.evidence,
            "data": j.data,
            "claimed": j.claimed,
            "estimate": j.estimate and j.estimate * 0.97,
            "lo": j.lo and j.lo * 0.96,
            "hi": j.hi and j.hi * 0.98,
            "n": j.n,
        }
        for j in CLAIMS
        if j.id not in ("L6", "O9")
    ]
    claims[4]["verdict"] = "inconclusive"
    claims.append(
        {
            "system": "opdai",
            "id": "O10",
            "verdict": "reproduced",
            "evidence": "measured",
            "data": "real",
            "claimed": None,
            "estimate": 0.02,
            "lo": 0.01,
            "hi": 0.03,
            "n": 3328,
        }
    )
    return {
        "profile": "standard",
        "environment": {
            "sha256": sha("old environment"),
            "python": "3.11.9",
            "cpu_model": "AMD EPYC 7763",
            "cores": 8,
            "ram_mb": 32768,
            "packages": {"numpy": "2.4.6", "torch": "2.12.1"},
        },
        "systems": {
            "opdai": {"commit": sha("old")[:40], "fingerprint": sha("old f")[:16], "date": "2025-10-02"}
        },
        "claims": claims,
        "figures": [
            {
                "system": "opdai",
                "name": "NDCG@10, t1, out of fold",
                "value": 0.7139,
                "unit": "",
                "lo": 0.699,
                "hi": 0.729,
            },
            {
                "system": "opdai",
                "name": "bag inference",
                "value": 702.0,
                "unit": "users/s",
                "lo": 690.0,
                "hi": 715.0,
            },
            {
                "system": "opdai",
                "name": "Swing, all markets",
                "value": 4.1,
                "unit": "s",
                "lo": 4.0,
                "hi": 4.2,
            },
            {
                "system": "opdai",
                "name": "submission time",
                "value": 12.0,
                "unit": "s",
                "lo": None,
                "hi": None,
            },
        ],
    }


def environment() -> dict[str, Any]:
    names = "jinja2 lightgbm matplotlib msgspec numpy pandas psutil scipy threadpoolctl torch".split()  # noqa: SIM905
    versions = "3.1.6 4.7.0 3.10.7 0.19.0 2.4.6 3.0.0 7.1.3 1.17.1 3.6.0 2.13.0".split()  # noqa: SIM905
    return {
        "python": "3.11.13",
        "packages": dict(zip(names, versions, strict=True)),
        "blas": [{"internal_api": "openblas", "version": "0.3.30", "num_threads": 1}],
        "cpu_model": "Intel(R) Xeon(R) Processor @ 2.60GHz",
        "cores": 2,
        "affinity": 2,
        "cgroup_cpu": "200000 100000",
        "ram_mb": 15990,
        "kernel": "Linux 6.1",
        "threads": {"OMP_NUM_THREADS": "1"},
    }


FIGURES = [
    FigureRow(
        system="opdai",
        name="NDCG@10, t1, out of fold",
        value=0.7145,
        unit="",
        lo=0.6995,
        hi=0.7295,
        n=2697,
        target="≥ 0.71",
        met=True,
        evidence="measured",
        data="real",
        case="ranking",
        arm="opdai",
    ),
    FigureRow(
        system="opdai",
        name="bag inference",
        value=671.0,
        unit="users/s",
        lo=649.0,
        hi=693.0,
        n=90,
        target="≥ 700 users/s",
        met=False,
        evidence="measured",
        data="real",
        case="bag-inference",
        arm="numpy table",
    ),
    FigureRow(
        system="opdai",
        name="Swing, all markets",
        value=5.3,
        unit="s",
        lo=5.1,
        hi=5.5,
        n=90,
        evidence="scaled",
        data="simulated",
        case="swing-cost",
        arm="Swing (chunks)",
    ),
    FigureRow(
        system="opdai",
        name="bag table against LightGBM, largest error",
        value=2.1e-16,
        unit="",
        n=2697,
        target="≤ 1e-12",
        met=True,
        evidence="measured",
        data="real",
        case="bag-inference",
        arm="numpy table",
    ),
]
NOISE = [
    Noise(system="opdai", case="swing-cost", clock="cpu", ratio=1.0016, lo=0.9941, hi=1.0093, n=8, ok=True),
    Noise(system="opdai", case="growth", clock="cpu", ratio=0.997, lo=0.986, hi=1.010, n=5, ok=True),
    Noise(
        system="opdai",
        case="bag-inference",
        clock="cpu",
        ratio=1.031,
        lo=0.992,
        hi=1.072,
        n=8,
        ok=False,
        detail="A/A too wide: 1.031 [0.992, 1.072]; about 12 processes needed",
    ),
    Noise(system="opdai", case="ranking", clock="wall", ratio=0.98, lo=0.91, hi=1.05, n=5, ok=True),
]
COVERAGE = [
    Row(
        group="times",
        cell="8 processes × 6 rounds, offsets .04, log-normal",
        what="coverage",
        share=0.951,
        two_se=0.0043,
        draws=10_000,
        required=(0.93, 0.985),
    ),
    Row(
        group="known limits",
        cell="8 processes × 6 rounds, offsets with two modes",
        what="coverage",
        share=0.902,
        two_se=0.0059,
        draws=10_000,
    ),
]
FAILURES = [
    FailureRow(
        system="opdai",
        case="growth",
        seed=2022,
        kind="memory",
        message="EASE at 8× needed more than the 8,000 MB the case allows; the block was ended.",
        log_tail="fit EASE: catalogue of 28,344 items\ninvert 28344 × 28344\nRSS 8,014 MB > 8,000 MB: ended",
    ),
]
SYSTEMS = [
    SystemRow(
        name="opdai",
        title="OPDAI",
        commit=COMMIT,
        fingerprint=sha("f")[:16],
        date="2025-11-20",
        paper="Zhang et al., An Effective Way for Cross-Market Recommendation with Hybrid Pre-Ranking and "
        "Ranking Models, WSDM Cup 2022, arXiv 2203.00897",
    ),
    SystemRow(
        name="blockllm",
        title="BlockLLM",
        commit=COMMIT,
        fingerprint=sha("g")[:16],
        date="2025-11-21",
        paper="Li et al., BlockLLM: Multi-tenant Finer-grained Serving for Large Language Models, "
        "arXiv 2404.18322",
    ),
]


def sample() -> Report:
    """Everything at once."""
    return Report(
        schema=1,
        profile="standard",
        generated_from=sha("records"),
        date="2025-11-21",
        systems=SYSTEMS,
        environments={ENVIRONMENT: environment()},
        claims=CLAIMS,
        cases=CASES,
        noise=NOISE,
        failures=FAILURES,
        figures=FIGURES,
        notes=[
            "Simulated data: growth, relevance and swing-cost of opdai ran on a declared generator.",
            "Uncommitted changes: the records of blockllm/cluster were made from a dirty tree.",
        ],
        release=release(),
        chance=Chance(judged=7, tested=6, left_out=1, expected_wrong=0.3, significant=5, survive=4),
        coverage=COVERAGE,
        vanished=["claim opdai/O10", "figure opdai: submission time"],
    )


def small() -> Report:
    """Two claims, one case, nothing else: small enough to read its golden HTML in a review."""
    return msgspec.structs.replace(
        sample(),
        systems=SYSTEMS[:1],
        claims=[CLAIMS[0], CLAIMS[2]],
        cases=CASES[:1],
        noise=[],
        failures=[],
        figures=FIGURES[:1],
        notes=[],
        chance=None,
        coverage=[],
        release=None,
        vanished=[],
    )


def large(systems: int = 5, cases: int = 5) -> Report:
    """As many cases as the whole project has, to see that the page stays light."""
    whole = sample()
    rows = [row for row in whole.cases if row.system == "opdai"]
    replace = msgspec.structs.replace
    return replace(
        whole,
        systems=[replace(SYSTEMS[0], name=f"system{s}") for s in range(systems)],
        cases=[replace(row, system=f"system{s}") for s in range(systems) for row in rows[: cases * 2]],
        claims=[replace(j, system=f"system{s}") for s in range(systems) for j in CLAIMS[:9]],
        noise=[replace(row, system=f"system{s}") for s in range(systems) for row in NOISE],
    )
