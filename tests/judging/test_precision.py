"""Whether a case's intervals are as narrow as it wants them, and where it is said that they are not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from judging.judged_records import FAST, RANKED
from records_factory import (
    CPU,
    NDCG,
    SEEDS,
    STEPS,
    SYSTEM,
    WALL,
    better,
    case,
    claim,
    failure,
    record,
    registry,
    report,
    timed,
)

from remeasure.contracts import At
from remeasure.judging.intervals import Interval, Part, of_parts
from remeasure.judging.precision import half_width, narrow_enough, too_wide
from remeasure.records.record import TWIN_SUFFIX


def wanting(width, metric=CPU, name="speed"):
    return case(name, (metric,), profiles={"smoke": At(seeds=SEEDS, precision={metric.name: width})})


FASTER = claim()
PAIRS = (("ours", "tuned"), ("tuned", "slow"), ("ours", "slow"))


def wide(width, records=FAST, claims=(FASTER,), metric=CPU, name="speed"):
    return list(too_wide(wanting(width, metric, name), claims, records, "smoke"))


def test_half_a_width_is_relative_of_a_ratio_and_in_the_unit_of_anything_else():
    ratio = of_parts(math.log(2.0), (Part(0.01, 4),), 5, logs=True)
    assert half_width(ratio) == pytest.approx(ratio.hi / ratio.estimate - 1)
    assert half_width(Interval(2.0, 1.0, 4.0, 5)) == 1.5


def test_what_is_wider_than_wanted_is_named_with_both_numbers():
    (interval,) = (one for one in report(FAST, [claim()]).claims)
    is_known = math.sqrt(interval.hi / interval.lo) - 1
    assert wide(is_known * 1.01) == []
    (said,) = wide(is_known * 0.99)
    assert said == f"faster is known to ± {is_known:.2g}, ± {is_known * 0.99:g} was wanted"


def test_of_several_pairs_the_widest_counts():
    order = claim("o", "ordering", order=["ours", "tuned", "slow"], treatment="", baseline="")
    pairs = [claim(f"{a}{b}", treatment=a, baseline=b) for a, b in PAIRS]
    widths = [math.sqrt(one.hi / one.lo) - 1 for one in report(FAST, pairs).claims]
    (said,) = wide(np.mean([max(widths), min(widths)]), claims=[order])
    assert said.startswith(f"o is known to ± {max(widths):.2g},")
    assert not wide(max(widths) * 1.01, claims=[order])


def test_a_claim_of_another_case_or_another_metric_is_not_asked():
    assert wide(1e-9, claims=[better()]) == []
    assert wide(1e-9, RANKED, [claim(case="ranking")], NDCG, "ranking")[0].startswith("faster is known")
    two = case(metrics=(CPU, NDCG), profiles={"smoke": At(seeds=SEEDS, precision={CPU.name: 1e-9})})
    assert list(too_wide(two, [claim(metric=NDCG.name)], FAST, "smoke")) == []


def test_what_is_passed_over_hides_nothing_that_comes_after_it():
    assert wide(1e-9, claims=[better(), claim("b")])[0].startswith("b is known")
    unequal = {"slow": [1.0, 2.0], "slow" + TWIN_SUFFIX: [1.0]}
    unpaired = [record({CPU.name: unequal, WALL.name: walls(seed)}, seed, twin_of="slow") for seed in SEEDS]
    precision = {CPU.name: 1.0, WALL.name: 1e-9}
    two = case(metrics=(CPU, WALL), profiles={"smoke": At(seeds=SEEDS, precision=precision)})
    (said,) = too_wide(two, [claim("w", metric=WALL.name)], unpaired, "smoke")
    assert said.startswith("w is known")


def walls(seed):
    return {arm: [level * (1 + seed / 100)] * 6 for arm, level in (("slow", 2.0), ("ours", 1.0 + seed / 50))}


def test_of_a_deterministic_case_nothing_is_too_wide():
    declared = case("queue", (STEPS,), tags=("deterministic",))
    exact = wanting_all(declared)
    records = [record({STEPS.name: {"ours": [1.0 + seed], "slow": [9.0]}}, seed, "queue") for seed in SEEDS]
    asked = claim(kind="difference", case="queue", metric=STEPS.name)
    assert list(too_wide(exact, [asked], records, "smoke")) == []
    random = replace(exact, tags=())
    assert list(too_wide(random, [asked], records, "smoke"))


def wanting_all(declared):
    return replace(declared, profiles={"smoke": At(seeds=SEEDS, precision={STEPS.name: 1e-9})})


def test_a_claim_that_cannot_be_compared_says_so_itself():
    assert wide(1e-9, claims=[claim(treatment="nobody"), claim("b")])[0].startswith("b is known")


def test_a_control_that_is_off_is_not_narrow_enough():
    off = [timed(seed, twin=1.1) for seed in SEEDS]
    assert [said[:14] for said in wide(1.0, off)] == ["its A/A contro"]
    assert wide(1.0) == []
    enough = narrow_enough_of(1.0)
    assert enough(FAST) and not enough(off)
    assert not narrow_enough_of(1e-9)(FAST)


def narrow_enough_of(width):
    made = registry([claim()], cases=[wanting(width)])
    made.case = lambda name: made.systems[SYSTEM].cases[name.split("/")[1]]
    made.system = made.systems.get
    return narrow_enough(made)


def test_a_report_says_which_precision_was_not_reached():
    def said(width, records=FAST):
        notes = report(records, [claim()], cases=[wanting(width)]).notes
        return [note for note in notes if "Precision" in note]

    assert said(1.0) == []
    (note,) = said(1e-9)
    assert note.startswith("Precision not reached: made/speed: faster is known to")
    assert said(1e-9, [failure(1)]) == []
    assert [note for note in report(FAST, [claim()]).notes if "Precision" in note] == []
