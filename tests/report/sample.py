"""A realistic report, made by hand: every kind of verdict, a dozen cases, and all else a page can show.

`sample()` is what screenshots are taken of, `small()` the one whose HTML is a golden file, `large()` the size
of the whole project.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from remeasure.judgement import (
    ArmSummary,
    CaseSummary,
    FailureRow,
    FigureRow,
    GuardResult,
    Judgement,
    Noise,
    Report,
    SystemRow,
    Verdict,
)

SEEDS = [2022, 2023, 2024]
ENVIRONMENT = hashlib.sha256(b"environment").hexdigest()
COMMIT = hashlib.sha1(b"commit").hexdigest()
PAIRED = "Paired bootstrap over users: 10,000 resamples of the difference of means, 95 % percentile interval."
ROUNDS = "exp of the median log ratio of paired rounds; 95 % bootstrap interval, 2,000 resamples."


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def guards(**failed: str) -> list[GuardResult]:
    """The usual guards, all fine but the named ones."""
    usual = {
        "contract": "contract tests of all arms passed",
        "data hash": "agrees with dataset.toml",
        "same environment": "all arms in one process",
        "enough samples": "2,697 users",
        "no leak": "no arm carries an invalid stamp",
    }
    return [GuardResult(name=k, ok=k not in failed, detail=failed.get(k, v)) for k, v in usual.items()]


def claim(id: str, word: str, statement: str, **fields: Any) -> Judgement:
    """A judgement with the provenance that all of them share."""
    verdict = Verdict(
        word=word,  # type: ignore[arg-type]
        direction=fields.pop("direction", ""),
        size=fields.pop("size", ""),
        reason=fields.pop("reason", ""),
    )
    usual: dict[str, Any] = {
        "system": "opdai",
        "by": "paper",
        "source": "Zhang et al. 2022, arXiv 2203.00897",
        "where": "title and pipeline picture",
        "kind": "difference",
        "evidence": "measured",
        "data": "real",
        "data_label": "t1 (official lists)",
        "data_sha256": sha("t1"),
        "case": "ranking",
        "metric": "NDCG@10",
        "treatment": "opdai",
        "n": 2697,
        "seeds": SEEDS,
        "command": f"remeasure run --claim opdai/{id} --profile standard --seed 2022 --seed 2023 --seed 2024",
        "commit": COMMIT,
        "environment": ENVIRONMENT,
        "records": [sha(f"{id}{seed}")[:16] for seed in SEEDS],
        "guards": guards(),
        "how": PAIRED,
    }
    return Judgement(id=id, statement=statement, verdict=verdict, **{**usual, **fields})


def untested(id: str, word: str, statement: str, **fields: Any) -> Judgement:
    """A judgement without a number."""
    nothing = dict(
        n=0, seeds=[], records=[], guards=[], command="", commit="", environment="", how="", evidence=""
    )
    nothing |= dict(data="", data_label="", data_sha256="", case="", treatment="")
    return claim(id, word, statement, **{**nothing, **fields})


CLAIMS = [
    untested(
        "O1",
        "not testable here",
        "Test NDCG@10 of 0.6773 over both targets, first place of the WSDM Cup 2022.",
        kind="value",
        claimed=0.6773,
        where="abstract; final table of the competition",
        reason="The test labels were never published, and the lists of t2 are absent.",
        audit="The overall score is the user-weighted mean of t1 (0.7384) and t2 (0.6472). It agrees.",
    ),
    claim(
        "O2",
        "reproduced",
        "Two stages beat any single pre-ranker.",
        baseline="ItemCF-IoU, all markets",
        estimate=0.0285,
        lo=0.0214,
        hi=0.0357,
        per_seed=[0.0281, 0.0279, 0.0295],
        direction="above zero",
        size="sign claimed only",
    ),
    claim(
        "O3",
        "reproduced",
        "Source markets help the target market.",
        baseline="opdai, no sources",
        estimate=0.0055,
        lo=0.0017,
        hi=0.0092,
        per_seed=[0.0049, 0.0058, 0.0058],
        direction="above zero",
        size="sign claimed only",
    ),
    claim(
        "O4",
        "reproduced, stronger",
        "Diverse graph and embedding pre-rankers help.",
        baseline="opdai, no graph",
        claimed=0.004,
        estimate=0.0128,
        lo=0.0086,
        hi=0.0171,
        per_seed=[0.0121, 0.0133, 0.0130],
        direction="above zero",
        size="larger than claimed",
        headroom={"best possible": 1.0, "reference reaches": 0.7145},
    ),
    claim(
        "O5",
        "not reproduced",
        "Bagging over ten folds improves the ranking.",
        case="bagging",
        treatment="ten models",
        baseline="one model",
        estimate=0.0001,
        lo=-0.0022,
        hi=0.0024,
        seeds=[2022],
        per_seed=[0.0001],
        direction="not clear",
        size="the smallest difference that matters (0.005) is excluded",
        reason="The whole interval lies below the smallest difference that matters.",
    ),
    claim(
        "O6",
        "invalid run",
        "The leaked feature of the released t1 list lifts the out-of-fold figure to a false 0.910.",
        by="remeasure",
        source="remeasure",
        where="§1.7 of the specification; released src/feas_conf.py",
        case="leak",
        treatment="with the leak",
        baseline="opdai",
        claimed=0.195,
        estimate=0.1951,
        lo=0.1843,
        hi=0.2062,
        per_seed=[0.1951],
        seeds=[2022],
        reason="An arm is stamped invalid: its features were fitted with the labels they are judged on.",
        guards=guards(**{"no leak": "arm 'with the leak': features fitted with the reported labels"}),
    ),
    claim(
        "O7",
        "contradicted",
        "The starter kit's GMF++ reaches Recall@10 of 0.4976 within the epochs its readme gives.",
        by="other",
        source="starter kit of the WSDM Cup, readme",
        where="readme, table of baselines",
        kind="ratio",
        metric="Recall@10",
        case="gmf",
        treatment="GMF, 5 epochs",
        baseline="GMF++, published",
        claimed=1.0,
        estimate=0.41,
        lo=0.38,
        hi=0.44,
        per_seed=[0.40, 0.41, 0.42],
        direction="below one",
        size="the claimed size is excluded",
        audit="The number of epochs behind the published checkpoint is unknown (example 5, default 25).",
    ),
    claim(
        "O8",
        "direction only",
        "Swing as chunked sparse products is ten times as fast as the plain loop.",
        by="remeasure",
        source="remeasure",
        where="README of the system",
        kind="ratio",
        metric="fit CPU time",
        unit="s",
        better="lower",
        case="swing-cost",
        treatment="Swing (chunks)",
        baseline="Swing (plain loop)",
        evidence="scaled",
        data="simulated",
        data_label="generator, 2 sources, 4,000 users",
        data_sha256=sha("generator"),
        claimed=10.0,
        estimate=6.43,
        lo=5.91,
        hi=6.98,
        n=90,
        per_seed=[6.31, 6.43, 6.62],
        direction="above one",
        size="smaller than claimed",
        how=ROUNDS,
    ),
    claim(
        "O9",
        "shown, not judged",
        "Irrelevant source markets do not help: with relevance 0 the gain vanishes.",
        by="remeasure",
        source="remeasure",
        where="§5.1 of the specification",
        case="relevance",
        treatment="opdai",
        baseline="opdai, no sources",
        data="simulated",
        data_label="generator, relevance 0",
        data_sha256=sha("generator"),
        estimate=-0.0008,
        lo=-0.0041,
        hi=0.0025,
        n=4000,
        per_seed=[-0.0011, -0.0002, -0.0011],
        reason="A claim about data, and the data are simulated.",
    ),
    claim(
        "L2",
        "reproduced",
        "Throughput rises by a third against a model per instance.",
        system="blockllm",
        source="Li et al. 2024, arXiv 2404.18322",
        where="abstract, v1 and v2",
        kind="ratio",
        metric="requests/s",
        unit="requests/s",
        case="cluster",
        treatment="blockllm",
        baseline="pm-tuned",
        evidence="modelled",
        data_label="azure_llm_2023 (conversation)",
        data_sha256=sha("azure"),
        claimed=1.33,
        estimate=1.41,
        lo=1.29,
        hi=1.55,
        n=20,
        seeds=list(range(1, 6)),
        per_seed=[1.38, 1.44, 1.39, 1.45, 1.41],
        direction="above one",
        size="as claimed; the upper end is open",
        how="Geometric mean over 20 workload seeds; 95 % bootstrap interval.",
    ),
    claim(
        "L3",
        "inconclusive",
        "95th-percentile latency falls by a third.",
        system="blockllm",
        source="Li et al. 2024, arXiv 2404.18322",
        where="abstract, v1 and v2",
        kind="ratio",
        metric="p95 latency",
        unit="s",
        better="lower",
        case="cluster",
        treatment="blockllm",
        baseline="pm-tuned",
        evidence="modelled",
        data_label="azure_llm_2023 (conversation)",
        data_sha256=sha("azure"),
        claimed=1.504,
        estimate=1.12,
        lo=0.93,
        hi=1.36,
        n=20,
        seeds=list(range(1, 6)),
        per_seed=[1.02, 1.22, 1.05, 1.19, 1.13],
        direction="not clear",
        size="not resolved",
        audit="v1 says 33.5 %, the text of §7.2 says 31 %; the abstract's is used.",
        dirty=True,
    ),
    claim(
        "L5",
        "calibrated",
        "A block switch costs 12 ms on the paper's devices.",
        system="blockllm",
        source="Li et al. 2024, arXiv 2404.18322",
        where="§6.1",
        kind="value",
        metric="switch time",
        unit="ms",
        better="lower",
        case="cluster",
        treatment="blockllm",
        evidence="modelled",
        claimed=12.0,
        estimate=12.0,
        lo=12.0,
        hi=12.0,
        n=1,
        seeds=[1],
        per_seed=[12.0],
        reason="The number is an input of the cluster model.",
    ),
    claim(
        "L6",
        "reproduced",
        "Sharing blocks saves 15.6 GB of parameters over 20 applications.",
        system="blockllm",
        source="Li et al. 2024, arXiv 2404.18322",
        where="figure 9",
        kind="value",
        metric="parameter memory saved",
        unit="GB",
        case="zoo",
        treatment="blockllm",
        evidence="scaled",
        claimed=15.6,
        estimate=14.9,
        lo=14.1,
        hi=15.8,
        n=20,
        seeds=[1, 2],
        per_seed=[14.8, 15.0],
        size="within the stated tolerance of 2 GB",
    ),
    untested(
        "L7",
        "not run",
        "Overhead of the scheduler stays below 2 %.",
        system="blockllm",
        kind="bound",
        source="Li et al. 2024, arXiv 2404.18322",
        where="§7.5",
    ),
]


def arm(name: str, role: str, mean: float, half: float = 0.0, n: int = 2697, **fields: Any) -> ArmSummary:
    per_seed = fields.pop("per_seed", [mean - half / 5, mean, mean + half / 5] if half else [mean])
    return ArmSummary(
        arm=name,
        role=role,
        invalid=fields.pop("invalid", ""),
        mean=mean,
        lo=mean - half,
        hi=mean + half,
        n=n,
        per_seed=per_seed,
        config=fields.pop("config", {"model": name.split(",")[0], "folds": 10}),
        **fields,
    )


def summary(case: str, metric: str, arms: list[ArmSummary], **fields: Any) -> CaseSummary:
    usual: dict[str, Any] = {
        "system": "opdai",
        "question": "What does each stage of the pipeline add on the official lists of t1?",
        "unit": "",
        "better": "higher",
        "kind": "quality",
        "per": "user",
        "evidence": "measured",
        "data": "real",
        "data_label": "t1 (official lists)",
        "axis": "",
        "seeds": SEEDS,
        "commit": COMMIT,
        "environment": ENVIRONMENT,
        "command": f"remeasure run --case {fields.get('system', 'opdai')}/{case} --profile standard",
    }
    return CaseSummary(case=case, metric=metric, arms=arms, **{**usual, **fields})


TUNING = {
    "space": {"k": [10, 50, 200], "damping": [0.0, 0.5, 1.0]},
    "trials": 9,
    "judged_on": "pairs held out of the training data of t1",
    "chosen": {"k": 200, "damping": 0.5},
}
LEAK = "features fitted with the reported labels"
RANKING = [
    ("popularity", "strawman", 0.3262, 0.0148, 0.498, 0.02, 0.001),
    ("ItemCF-IoU, all markets", "optimized", 0.6861, 0.0151, 0.781, 0.7, 0.01),
    ("single-market", "optimized", 0.7012, 0.0153, 0.798, 46.0, 0.9),
    ("opdai", "reference", 0.7145, 0.0150, 0.814, 118.0, 2.1),
    ("opdai, no graph", "ablation", 0.7021, 0.0152, 0.798, 92.0, 1.7),
    ("opdai, no sources", "ablation", 0.7087, 0.0151, 0.811, 61.0, 1.2),
    ("with the leak", "control", 0.9101, 0.0089, 0.989, 114.0, 2.0),
]
SWING = "What does Swing cost, as chunks and as the plain loop?"
GROWTH = "How does the cost of fitting grow with the data, and where does a method stop being affordable?"
GROWN = {
    "ItemCF (sparse)": ("optimized", [0.11, 0.24, 0.52, 1.1]),
    "Swing (chunks)": ("reference", [5.3, 11.2, 24.1, 51.0]),
    "Swing (plain loop)": ("strawman", [34.0, 81.0, 190.0]),
    "EASE": ("optimized", [4.0, 20.3]),
}
FIRST = [
    ("popularity", "strawman", 0.3262, 0.05),
    ("Word2Vec max cosine", "optimized", 0.6371, 4.3),
    ("UserCF", "optimized", 0.6541, 0.5),
    ("ItemCF-IUF", "optimized", 0.6780, 0.12),
    ("RP3beta", "optimized", 0.6851, 1.0),
    ("EASE", "optimized", 0.6815, 3.8),
    ("ItemCF-IoU, all", "reference", 0.6861, 0.7),
    ("LightGCN d 512", "reference", 0.6905, 1137.0),
]


def grown() -> list[ArmSummary]:
    return [
        arm(f"{name} {2**i}×", role, mean, mean * 0.06, 9, series=name, x=float(2**i))
        for name, (role, means) in GROWN.items()
        for i, mean in enumerate(means)
    ]


def load() -> list[ArmSummary]:
    curve = {
        "blockllm": ("reference", [9.8, 19.2, 36.0, 52.0]),
        "pm-tuned": ("optimized", [9.9, 19.0, 29.0, 36.5]),
    }
    curve["pm"] = ("strawman", [9.9, 17.0, 22.0, 24.0])
    return [
        arm(f"{name} @ {x}", role, mean, 0.2 + mean * 0.05, 20, series=name, x=float(x))
        for name, (role, means) in curve.items()
        for x, mean in zip((10, 20, 40, 60), means, strict=True)
    ]


GENERATED = {"data": "simulated", "data_label": "generator, 2 sources, 4,000 users"}
CASES = [
    summary(
        "ranking",
        "NDCG@10",
        [
            arm(
                name,
                role,
                ndcg,
                half,
                invalid=LEAK if role == "control" else "",
                tuning=TUNING if role == "optimized" else None,
            )
            for name, role, ndcg, half, *_ in RANKING
        ],
    ),
    summary(
        "ranking",
        "Recall@10",
        [
            arm(name, role, recall, 0.0147, invalid=LEAK if role == "control" else "")
            for name, role, _, _, recall, *_ in RANKING
        ],
    ),
    summary(
        "ranking",
        "training CPU time",
        [
            arm(name, role, cpu, half, 3, invalid=LEAK if role == "control" else "")
            for name, role, _, _, _, cpu, half in RANKING
        ],
        unit="s",
        better="lower",
        kind="time",
        per="round",
    ),
    summary(
        "first-stage",
        "NDCG@10",
        [arm(n, r, v, 0.0155) for n, r, v, _ in FIRST],
        question="How far does each cheap recommender get alone?",
    ),
    summary(
        "first-stage",
        "fit and score CPU time",
        [arm(n, r, s, s * 0.04, 3) for n, r, _, s in FIRST],
        question="How far does each cheap recommender get alone?",
        unit="s",
        better="lower",
        kind="time",
        per="round",
    ),
    summary(
        "bagging",
        "NDCG@10",
        [arm("one model", "ablation", 0.7144, 0.015), arm("ten models", "reference", 0.7145, 0.015)],
        question="Does a bag of ten models rank better than one of them?",
        seeds=[2022],
    ),
    summary(
        "growth",
        "fit CPU time",
        grown(),
        question=GROWTH,
        unit="s",
        better="lower",
        kind="time",
        per="round",
        axis="size of the data (× t1)",
        evidence="scaled",
        **GENERATED,
    ),
    summary(
        "leak",
        "NDCG@10",
        [
            arm("opdai", "reference", 0.7145, 0.015),
            arm("with the leak", "control", 0.9101, 0.0089, invalid=LEAK),
            arm("deployed with the leak", "control", 0.7062, 0.0152, invalid=LEAK),
        ],
        seeds=[2022],
        question="What does the leaked feature promise, and what does it give when deployed?",
    ),
    summary(
        "bag-inference",
        "users/s",
        [arm("LightGBM", "strawman", 163.0, 9.0, 90), arm("numpy table", "reference", 671.0, 22.0, 90)],
        question="How many users a second does the bag score?",
        unit="users/s",
        kind="time",
        per="round",
    ),
    summary(
        "frozen-s3",
        "NDCG@10",
        [
            arm("popularity", "strawman", 0.341, 0.013, 3328),
            arm("ItemCF-IoU, all markets", "optimized", 0.7271, 0.0139, 3328),
            arm("opdai", "reference", 0.7502, 0.0136, 3328),
        ],
        seeds=[2022],
        data_label="s3 (official lists)",
        question="Does the configuration frozen on t1 hold on a second market?",
    ),
    summary(
        "gmf",
        "Recall@10",
        [
            arm("GMF, 5 epochs", "strawman", 0.05, 0.004),
            arm("GMF, 25 epochs", "optimized", 0.405, 0.016),
            arm("GMF, 50 epochs", "optimized", 0.4512, 0.016),
        ],
        question="What does the starter kit's GMF reach?",
    ),
    summary(
        "relevance",
        "NDCG@10",
        [
            arm("opdai", "reference", 0.611, 0.011, 4000),
            arm("opdai, no sources", "ablation", 0.6118, 0.011, 4000),
        ],
        question="Do source markets without signal leave the target alone?",
        **GENERATED,
    ),
    summary(
        "swing-cost",
        "fit CPU time",
        [
            arm("Swing (plain loop)", "strawman", 34.1, 1.1, 90),
            arm("Swing (chunks)", "reference", 5.3, 0.2, 90),
        ],
        question=SWING,
        unit="s",
        better="lower",
        kind="time",
        per="round",
        evidence="scaled",
        **GENERATED,
    ),
    summary(
        "cluster",
        "requests/s",
        load(),
        system="blockllm",
        question="Who keeps up as the load rises?",
        unit="requests/s",
        kind="virtual-time",
        per="seed",
        axis="offered load (requests/s)",
        lines={"the claim breaks here": 5.0},
        evidence="modelled",
        data_label="azure_llm_2023 (conversation)",
        seeds=[1, 2, 3, 4, 5],
    ),
]


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
    Noise(system="opdai", case="swing-cost", clock="cpu", ratio=1.0016, lo=0.9941, hi=1.0093, n=90, ok=True),
    Noise(system="opdai", case="growth", clock="cpu", ratio=0.997, lo=0.986, hi=1.010, n=36, ok=True),
    Noise(system="opdai", case="bag-inference", clock="cpu", ratio=1.031, lo=0.992, hi=1.072, n=90, ok=False),
    Noise(system="opdai", case="ranking", clock="wall", ratio=0.98, lo=0.91, hi=1.05, n=9, ok=True),
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
