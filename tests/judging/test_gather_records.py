"""Which records a judgement rests on, and that every number leads back to them."""

import pytest
from judging.judged_records import FAST, RANKED, at
from records_factory import (
    NDCG,
    SEEDS,
    SYSTEM,
    better,
    case,
    claim,
    data,
    failure,
    provenance,
    report,
    timed,
    verdict_on,
)


def test_every_number_leads_back_to_what_made_it():
    judgement = verdict_on(claim(), FAST)
    assert judgement.records == [f"speed-{seed}" for seed in SEEDS]
    assert judgement.command == (
        "remeasure run --system made --case speed --seed 1 --seed 2 --seed 3 --seed 4 --seed 5 --profile smoke"
    )
    assert (judgement.commit, judgement.environment) == ("c" * 40, "e" * 64)
    assert (judgement.data, judgement.data_sha256) == ("real", "d" * 64)
    assert judgement.dirty is False
    assert verdict_on(claim(), [*FAST[:4], timed(5, from_=provenance(dirty="x"))]).dirty is True


def test_command_repeats_settings_and_own_data_without_a_path():
    own = data(origin="directory", verified=False)
    records = [timed(seed, overrides={"steps": "9"}, data=own) for seed in SEEDS]
    judgement = verdict_on(claim(), records, selection={"overrides": {"steps": "9", "data": "/home/me/x"}})
    assert judgement.command.endswith("--set steps=9 --set data=DIR")


def test_records_of_other_settings_are_a_report_of_their_own():
    changed = [timed(seed, key=f"o{seed}", ours=0.03, overrides={"steps": 9}) for seed in SEEDS]
    made = report([*FAST, *changed], [claim()])
    assert made.claims[0].estimate == pytest.approx(3.0, rel=0.02)
    assert any("other --set settings left out" in note for note in made.notes)
    asked = report([*FAST, *changed], [claim()], selection={"overrides": {"steps": "9"}})
    assert asked.claims[0].estimate == pytest.approx(1.0, rel=0.02)


def test_own_data_are_a_report_of_their_own_and_so_are_their_failures():
    own = [timed(s, key=f"o{s}", data=data(origin="directory", verified=False)) for s in SEEDS]
    failed = failure(9, from_=provenance(command="remeasure run --case speed --set data=DIR"))
    assert report([*own, failed], [claim()]).claims[0].verdict.word == "not run"
    made = report([*FAST, *own, failed], [claim()])
    assert (made.claims[0].records[0], made.claims[0].verdict.word) == ("speed-1", "reproduced")
    asked = report([*FAST, *own, failed], [claim()], selection={"overrides": {"data": "x"}})
    assert asked.claims[0].records == [f"o{seed}" for seed in SEEDS]
    assert asked.claims[0].verdict.word == "invalid run"


def test_of_several_records_of_a_seed_the_newest_counts():
    older = [timed(seed, key=f"a{seed}", from_=at(1), ours=0.03) for seed in SEEDS]
    newer = [timed(seed, key=f"b{seed}", from_=at(2)) for seed in SEEDS]
    for records in ([*older, *newer], [*newer, *older]):
        assert verdict_on(claim(), records).records == [f"b{seed}" for seed in SEEDS]


def test_records_of_todays_code_count_before_newer_ones_of_other_code():
    todays = [timed(seed, key=f"a{seed}", from_=at(1, "1")) for seed in SEEDS]
    others = [timed(seed, key=f"b{seed}", from_=at(2, "2")) for seed in (*SEEDS, 6)]
    known = verdict_on(claim(), [*todays, *others], fingerprint=lambda system, name: "1" * 64)
    assert known.records == [f"a{seed}" for seed in SEEDS]
    unknown = report([*todays, *others], [claim()], fingerprint=lambda system, name: "")
    assert unknown.claims[0].records == [f"b{seed}" for seed in (*SEEDS, 6)]
    assert any("of older code left out" in note for note in unknown.notes)


def test_failure_that_was_repeated_with_success_is_forgotten_and_a_newer_one_is_not():
    early, late = failure(1, key="x", from_=at(1)), failure(1, key="x", from_=at(9))
    runs = [timed(seed, from_=at(5)) for seed in SEEDS]
    assert verdict_on(claim(), [early, *runs]).verdict.word == "reproduced"
    assert verdict_on(claim(), [late, *runs]).verdict.word == "invalid run"


@pytest.mark.parametrize(
    "selection,claims,cases",
    [
        (None, {"faster", "better"}, {"speed", "ranking"}),
        ({"cases": ["speed"]}, {"faster"}, {"speed"}),
        ({"cases": ["made/ranking"]}, {"better"}, {"ranking"}),
        ({"claims": ["better"]}, {"better"}, {"ranking"}),
        ({"claims": ["made/faster"]}, {"faster"}, {"speed"}),
        ({"tags": ["quick"]}, {"faster"}, {"speed"}),
        ({"systems": [SYSTEM]}, {"faster", "better"}, {"speed", "ranking"}),
        ({"systems": ["other"]}, set(), set()),
    ],
)
def test_selection(selection, claims, cases):
    declared = (case(tags=("quick",)), case("ranking", (NDCG,)))
    made = report([*FAST, *RANKED], [claim(), better()], cases=declared, selection=selection)
    assert {judgement.id for judgement in made.claims} == claims
    assert {row.case for row in made.cases} == cases


def test_selected_seeds_only():
    assert verdict_on(better(), RANKED, selection={"seeds": [1, 2]}).seeds == [1, 2]
