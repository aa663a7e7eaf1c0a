"""The sample's cases: arms with curves, growth, rounds and tuning, on made-up numbers."""

from __future__ import annotations

from typing import Any

from remeasure.judging.judged import ArmSummary, CaseSummary
from report.sample_claims import COMMIT, ENVIRONMENT, SEEDS


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
