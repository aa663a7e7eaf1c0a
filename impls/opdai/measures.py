"""OPDAI's metrics, and what a round hands to the harness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remeasure.contracts import Metric

if TYPE_CHECKING:
    from .twostage import Ranked

NDCG = Metric("NDCG@10", "", better="higher", kind="quality", per="user")
RECALL = Metric("Recall@10", "", better="higher", kind="quality", per="user")
MRR = Metric("MRR", "", better="higher", kind="quality", per="user")
FIRST_STAGE_CPU = Metric("first stage CPU", "s", better="lower", kind="time")
RANKER_CPU = Metric("ranker CPU", "s", better="lower", kind="time")
TOTAL_CPU = Metric("total CPU", "s", better="lower", kind="time")
CPU = Metric("CPU", "s", better="lower", kind="time")
FIT_AND_SCORE = Metric("fit and score", "s", better="lower", kind="time")
INFERENCE = Metric("inference of the lists", "s", better="lower", kind="time", per="round")
PEAK_MB = Metric("peak memory", "MB", better="lower", kind="count", exact=False)

QUALITY = (NDCG, RECALL, MRR)
COST = (TOTAL_CPU, FIRST_STAGE_CPU, RANKER_CPU)


def quality(ranked: Ranked) -> dict[str, object]:
    """NDCG@10, Recall@10 and MRR of every user, and who the users are: each has one list."""
    from remeasure.impls.common.ranking import ndcg_at, recall_at, reciprocal_rank

    return {
        "units": ranked.users,
        NDCG.name: ndcg_at(ranked.rank),
        RECALL.name: recall_at(ranked.rank),
        MRR.name: reciprocal_rank(ranked.rank),
    }


def cost(ranked: Ranked) -> dict[str, object]:
    """CPU seconds of the stages, each measured once, when it ran; kept scores are not counted as free."""
    return {
        FIRST_STAGE_CPU.name: ranked.first_stage_s,
        RANKER_CPU.name: ranked.ranker_s,
        TOTAL_CPU.name: ranked.first_stage_s + ranked.ranker_s,
    }
