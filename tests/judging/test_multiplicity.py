"""Many words at once: Holm's correction, and what is said of all words of a report together."""

import msgspec
import numpy as np
import pytest
from judging.judged_records import FAST, QUEUE, RANKED, queue_claim, simulated
from records_factory import better, claim, report
from scipy import stats

from remeasure.judging.judged import ALPHA, Verdict
from remeasure.judging.multiplicity import chance, holm
from remeasure.judging.rules import STRENGTH
from remeasure.report.summary import limits


def test_holm_rejects_step_by_step_and_stops_at_the_first_that_stands():
    assert holm([0.01, 0.04, 0.03]) == [True, False, False]
    assert holm([0.01, 0.02, 0.03]) == [True, True, True]
    assert holm([0.02, 0.9, 0.8]) == [False, False, False]
    assert holm([0.04]) == [True]
    assert holm([None, 0.01]) == [False, True]
    assert holm([]) == []


def test_holm_rejects_at_its_limit():
    assert holm([0.025, 0.05]) == [True, True]
    assert holm([0.026, 0.05]) == [False, False]
    assert holm([ALPHA / 2, ALPHA]) == [True, True]
    assert holm([1.0, None], alpha=1.0) == [False, False]


def judgement(word, p=None):
    words = better()
    made = report([], [words]).claims[0]
    return msgspec.structs.replace(made, verdict=Verdict(word=word), p=p)


def test_every_word_that_follows_from_an_interval_is_counted():
    words = [
        *STRENGTH,
        "below resolution",
        "invalid run",
        "not run",
        "shown, not judged",
        "not testable here",
    ]
    assert chance([judgement(word) for word in words]).judged == len(STRENGTH)


def test_p_at_alpha_is_not_below_it_and_without_p_nothing_survives():
    counted = chance([judgement("reproduced", ALPHA)])
    assert (counted.tested, counted.significant, counted.survive) == (1, 0, 0)
    counted = chance([judgement("reproduced", 0.04), judgement("contradicted", 0.06)])
    assert (counted.tested, counted.significant, counted.survive) == (2, 1, 0)
    assert chance([judgement("reproduced")]).survive == 0


def test_holm_keeps_false_alarms_of_a_whole_family_below_five_percent():
    rng = np.random.default_rng(5)
    families = rng.uniform(size=(4000, 3))
    assert np.mean([any(holm(list(family))) for family in families]) < 0.06
    assert (families.min(axis=1) < 0.05).mean() > 0.12


def test_all_words_together_are_counted_beside_the_verdicts():
    claims = [
        claim(),
        better(),
        claim("v", "value", case="ranking", value=0.5, tolerance=0.02, baseline="", over="units"),
        claim("no", testability="not-testable", why="no such machine"),
    ]
    made = report([*FAST, *RANKED], claims)
    assert (made.chance.judged, made.chance.tested, made.chance.left_out) == (3, 2, 1)
    assert made.chance.expected_wrong == pytest.approx(0.1)
    assert made.chance.significant == made.chance.survive == 2
    (said,) = [sentence for sentence in limits(made) if "by chance" in sentence]
    assert "Of 2 tested words about 0.1 would be wrong" in said and "1 have no test" in said


def test_p_is_two_sided_from_the_same_t():
    judgement = report(simulated({"slow": 4.0, "ours": 3.99}), [queue_claim(value=2.0)], cases=QUEUE).claims[
        0
    ]
    logs = np.log(judgement.per_seed)
    assert judgement.p == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)


def test_the_p_of_an_order_is_the_largest_of_its_pairs():
    order = claim("o", "ordering", order=["ours", "tuned", "slow"], treatment="", baseline="")
    pairs = [
        claim(f"{a}{b}", treatment=a, baseline=b)
        for a, b in (("ours", "tuned"), ("tuned", "slow"), ("ours", "slow"))
    ]
    judged, *each = report(FAST, [order, *pairs]).claims
    assert judged.p == pytest.approx(max(one.p for one in each))
