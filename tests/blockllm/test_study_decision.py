"""What is allowed keeps within both thresholds; a cosine lets through what they refuse; sums are judged jointly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from blockllm.study_models import chains, text
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.blockllm.groups import Place
from remeasure.impls.blockllm.study import decision
from remeasure.impls.blockllm.study import joint as module
from remeasure.impls.blockllm.study.compare import Divergences, compare
from remeasure.impls.blockllm.study.decision import Thresholds, decide, let_through, rank_correlations
from remeasure.impls.blockllm.study.equivalence import Row, Swap, measure, same_place, swapped
from remeasure.impls.blockllm.study.joint import Joint, choose, jointly, sweep, worst_together
from remeasure.impls.blockllm.study.likeness import Likeness
from remeasure.impls.blockllm.study.swaps import study


def row(number: int, cosine: float, kl: float, agree: float, same: bool = True) -> Row:
    one = np.array([kl, kl]), np.array([agree, agree])
    place = Place("ffn", number)
    swap = Swap(place, "a", "b", place if same else Place("ffn", number + 1))
    return Row(swap, Likeness(cosine, 1 - cosine), Divergences(*one, one[1], one[0]), one[0])


SHARES = st.floats(0, 1)
ROWS = st.lists(st.tuples(SHARES, SHARES, SHARES), max_size=12).map(
    lambda drawn: [row(number, *values) for number, values in enumerate(drawn)]
)
THRESHOLDS = st.builds(Thresholds, SHARES, SHARES)


def check(rows: list[Row], thresholds: Thresholds) -> None:
    allowed = decision.decide(rows, thresholds)
    for one in rows:
        within = one.apart.kl.mean() <= thresholds.kl and one.apart.agree.mean() >= thresholds.agree
        assert (one.swap in allowed) == within, "decided otherwise than by both thresholds"


@given(ROWS, THRESHOLDS)
def test_what_is_allowed_keeps_within_both_thresholds(rows: list[Row], thresholds: Thresholds) -> None:
    check(rows, thresholds)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda self, row: row.likeness.cosine >= 0.98,
        lambda self, row: row.kl <= self.kl,
        lambda self, row: row.kl <= self.kl or row.agree >= self.agree,
    ],
    ids=["by cosine", "by KL alone", "by either"],
)
def test_another_rule_is_noticed(mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Thresholds, "allows", mutant)
    with pytest.raises(AssertionError, match="decided otherwise"):
        check([row(0, 0.99, 1, 0.1), row(1, 0.1, 0.001, 0.5), row(2, 0.1, 0, 1)], Thresholds(0.01, 0.97))


@given(ROWS, THRESHOLDS, THRESHOLDS)
def test_stricter_thresholds_allow_no_more(rows: list[Row], one: Thresholds, other: Thresholds) -> None:
    strict = Thresholds(min(one.kl, other.kl), max(one.agree, other.agree))
    assert decide(rows, strict) <= decide(rows, one)


@given(ROWS, THRESHOLDS, SHARES)
def test_a_cosine_lets_through_what_the_thresholds_refuse(
    rows: list[Row], thresholds: Thresholds, cosine: float
) -> None:
    found, allowed = let_through(rows, cosine, thresholds), decide(rows, thresholds)
    assert {one.swap for one in found.accepted} == {one.swap for one in rows if one.likeness.cosine >= cosine}
    assert {one.swap for one in found.wrongly} == {one.swap for one in found.accepted} - allowed
    assert {one.swap for one in found.missed} == allowed - {one.swap for one in found.accepted}
    harm = [one.kl for one in found.wrongly]
    assert harm == sorted(harm, reverse=True)


def test_shapes_that_cannot_be_compared_are_accepted_by_no_cosine() -> None:
    found = let_through([row(0, math.nan, 0, 1)], -1, Thresholds(0.01, 0.97))
    assert (found.accepted, len(found.missed)) == ((), 1)


def test_rank_correlation_is_one_where_more_alike_is_less_harmful() -> None:
    rows = [row(n, 1 - n / 10, n / 100, 1) for n in range(5)]
    harmful = [row(9, 0.95, 1, 0), row(10, 0, 0, 1, same=False)]
    assert rank_correlations(rows[1:])["all"] == pytest.approx(1)
    found = rank_correlations(rows + harmful)
    assert found["all"] < found["same layer"] < 1
    # A row whose matrices are equal has distance 0, here at cosine 1.
    assert found["same layer, matrices differ"] < found["same layer"]
    assert all(math.isnan(value) for value in rank_correlations(rows[:1]).values())


FAMILY = chains("base", "lora a", "lora b", "top")
VALID = {name: text(seed=number) for number, name in enumerate(FAMILY)}
TEST = {name: text(seed=10 + number) for number, name in enumerate(FAMILY)}
SWAPS = same_place(FAMILY)
MEASURED = measure(FAMILY, SWAPS, VALID)
MEDIAN = float(np.median([one.kl for one in MEASURED]))
GRID = tuple(Thresholds(share * MEDIAN, 0.0) for share in (0, 0.3, 0.6, 1, 1, 3, 100))


@pytest.mark.parametrize("most", [None, 1, 2])
def test_the_worst_that_is_allowed_is_made_at_each_place(most: int | None) -> None:
    allowed = decide(MEASURED, GRID[3])
    kls = {one.swap: one.kl for one in MEASURED}
    made = worst_together(MEASURED, allowed, most)
    assert set(made) == {swap.original for swap in allowed}
    for original, swaps in made.items():
        own = [swap for swap in allowed if swap.original == original]
        assert len({swap.place for swap in swaps}) == len(swaps) <= (most or 100)
        worst = {swap.place: max(kls[o] for o in own if o.place == swap.place) for swap in own}
        assert [kls[swap] for swap in swaps] == sorted(worst.values(), reverse=True)[: most or 100]


def test_a_sweep_says_what_whole_chains_do_and_computes_equal_ones_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed = []

    def counted(chain: object, others: list[object], *rest: object) -> object:
        computed.extend(others)
        return compare(chain, others, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "compare", counted)
    found = sweep(FAMILY, MEASURED, VALID, GRID)
    kls = {one.swap: one.kl for one in MEASURED}
    several = {swaps for joint in found for swaps in joint.made.values() if len(swaps) > 1}
    assert len(computed) == len(several) > 0
    assert (found[0].made, found[0].kl, found[0].agree) == ({}, 0.0, 1.0)
    assert found[3].apart["base"] is found[4].apart["base"]
    for one in found:
        assert one.allowed == decide(MEASURED, one.thresholds)
        for original, swaps in one.made.items():
            _, (apart,) = compare(FAMILY[original], [swapped(FAMILY, swaps)], VALID[original])
            assert np.allclose(one.apart[original].kl, apart.kl)
            assert math.isclose(one.summed[original], sum(kls[swap] for swap in swaps))
    last = found[-1]
    assert last.kl == max(apart.kl.mean() for apart in last.apart.values())
    assert last.agree == min(apart.agree.mean() for apart in last.apart.values())


def test_with_one_substitution_a_chain_is_as_bad_as_its_worst_swap() -> None:
    for one in sweep(FAMILY, MEASURED, VALID, GRID, most=1):
        worst = max((r.kl for r in MEASURED if r.swap in one.allowed), default=0.0)
        assert one.kl == worst
        assert one.kl <= one.thresholds.kl + 1e-9


def joint(kl: float, agree: float, allowed: int, thresholds: Thresholds) -> Joint:
    apart = row(0, 1, kl, agree).apart
    swaps = frozenset(row(number, 1, 0, 1).swap for number in range(allowed))
    return Joint(thresholds, swaps, {}, {"a": apart}, {"a": kl})


def test_what_is_chosen_keeps_within_the_targets_and_allows_most() -> None:
    swept = [
        joint(0.02, 0.99, 9, Thresholds(0.1, 0.9)),
        joint(0.005, 0.96, 8, Thresholds(0.05, 0.9)),
        joint(0.005, 0.98, 5, Thresholds(0.01, 0.9)),
        joint(0.005, 0.98, 5, Thresholds(0.005, 0.9)),
        joint(0.0, 1.0, 2, Thresholds(0.001, 0.9)),
    ]
    assert choose(swept) is swept[3]
    assert choose(swept, kl=0.03) is swept[0]
    assert choose(swept, agree=0.99) is swept[4]
    assert choose(swept[:2]) is None


def test_thresholds_are_chosen_on_validation_text_and_reported_on_test_text() -> None:
    # With thresholds of this family's size: its models are drawn, hence farther apart than real variants.
    targets = {"grid": GRID, "kl": 2 * MEDIAN, "agree": 0.0}
    found = study(FAMILY, SWAPS, VALID, TEST, **targets)  # type: ignore[arg-type]
    other = study(FAMILY, SWAPS, VALID, VALID, **targets)  # type: ignore[arg-type]
    assert [c.most for c in found.chosen] == [1, None]
    for one, same in zip(found.chosen, other.chosen, strict=True):
        assert one.joint is not None and same.joint is not None
        assert one.joint.thresholds == same.joint.thresholds and one.joint.allowed == same.joint.allowed
        assert 0 < len(one.joint.allowed) < len(SWAPS)
        expected = jointly(FAMILY, one.joint.made, TEST)
        assert all(np.array_equal(one.apart[name].kl, expected[name].kl) for name in expected)
        assert other.held(same) == 1.0
        kept = [one.joint.thresholds.allows(r) for r in found.test if r.swap in one.joint.allowed]
        assert found.held(one) == sum(kept) / len(kept)
    assert [r.swap for r in found.test] == [r.swap for r in found.valid] == SWAPS
    single, every = (len(c.joint.allowed) for c in found.chosen if c.joint)
    assert single >= every
    nothing = study(FAMILY, SWAPS[:2], VALID, TEST, grid=GRID[-1:], kl=0.0)
    assert [(c.joint, c.apart, nothing.held(c)) for c in nothing.chosen] == [(None, {}, 1.0)] * 2


def test_a_choice_by_the_text_that_is_reported_is_noticed() -> None:
    """So that the test above says something: on these texts it matters which of them chooses."""
    by_test = sweep(FAMILY, measure(FAMILY, SWAPS, TEST), TEST, GRID)
    by_valid = sweep(FAMILY, MEASURED, VALID, GRID)
    assert [one.allowed for one in by_test] != [one.allowed for one in by_valid]
