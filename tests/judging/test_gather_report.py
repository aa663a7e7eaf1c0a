"""What stands in a report beside its judgements: order, rows of cases, noise, failures, notes, the release before."""

import hashlib

import msgspec
import numpy as np
import pytest
from judging.judged_records import FAST, RANKED, SIMULATED, at, figure
from records_factory import (
    CPU,
    NDCG,
    SEEDS,
    SYSTEM,
    better,
    case,
    claim,
    data,
    failure,
    judged,
    provenance,
    registry,
    report,
    timed,
)

from remeasure.judging import gather, notes
from remeasure.judging.judged import Report
from remeasure.records.record import content_digest


def test_papers_claims_come_first_then_others_then_ours():
    claims = [
        claim("a", by="remeasure"),
        claim("b", by="other", source="a blog"),
        claim("c"),
        claim("d", unverified=True),
        claim("e"),
    ]
    assert [judgement.id for judgement in report(FAST, claims).claims] == ["c", "e", "b", "d", "a"]


def test_every_arm_of_every_metric_has_a_row():
    rows = report([*FAST, *RANKED]).cases
    assert [(row.case, row.metric, [arm.arm for arm in row.arms]) for row in rows] == [
        ("speed", CPU.name, ["slow", "tuned", "ours"]),
        ("ranking", NDCG.name, ["slow", "tuned", "ours", "peek"]),
    ]
    ours = rows[1].arms[2]
    assert (ours.n, len(ours.per_seed), ours.role) == (400, 5, "reference")
    assert ours.lo < ours.mean < ours.hi
    assert rows[1].arms[3].invalid
    timed_arm = rows[0].arms[0]
    medians = [np.median(one.samples[CPU.name]["slow"]) for one in FAST]
    assert timed_arm.mean == pytest.approx(np.exp(np.mean(np.log(medians))))
    assert (timed_arm.n, timed_arm.spread) == (5, "interval")


def test_noise_is_shown_for_every_twin():
    (row,) = report(FAST).noise
    assert (row.case, row.clock, row.n, row.ok) == ("speed", "cpu", 5, True)
    (row,) = report([timed(seed, twin=1.1) for seed in SEEDS]).noise
    assert row.ok is False


def test_failures_are_shown():
    (row,) = report([*FAST, failure(9)]).failures
    assert (row.case, row.seed, row.kind, row.log_tail) == ("speed", 9, "timeout", "round 7")


def test_the_same_records_give_the_same_report_in_any_order():
    records = [*FAST, *RANKED, failure(9)]
    claims = [claim(), better()]
    encoded = [msgspec.json.encode(report(found, claims)) for found in (records, records[::-1])]
    assert encoded[0] == encoded[1]
    assert msgspec.json.decode(encoded[0], type=Report).claims[0].id == "faster"


def test_date_is_that_of_the_latest_record():
    made = report([timed(1, from_=at(3)), timed(2, from_=at(8))])
    assert (made.date, made.systems[0].date) == ("2026-07-08", "2026-07-08")


def test_system_row_names_every_commit_and_marks_a_dirty_tree():
    assert report(FAST).systems[0].commit == "c" * 40
    assert report([timed(1, from_=provenance(dirty="x"))]).systems[0].commit == "c" * 40 + "+dirty"
    two = report([timed(1), timed(2, from_=provenance(commit="a" * 40))])
    assert two.systems[0].commit == f"{'a' * 40}, {'c' * 40}"
    assert report([]).systems[0].commit == ""


@pytest.mark.parametrize(
    "records,said",
    [
        ([judged(s, data=SIMULATED) for s in SEEDS], "Simulated data: made/ranking"),
        ([judged(1)], "One seed: made/ranking"),
        ([judged(1)], "Not all declared seeds are measured: made/ranking (1 of 5)"),
        ([timed(1, budget_ended=True)], "The budget ended before all rounds of made/speed"),
        ([timed(1, from_=provenance(dirty="x"))], "Uncommitted changes: made/speed"),
        ([failure(1)], "Failed blocks: made/speed"),
        ([timed(1, contract="x")], "The contract tests refused made/speed"),
    ],
)
def test_notes_are_loud(records, said):
    assert any(note.startswith(said) for note in report(records).notes)
    assert not any(note.startswith(said[:12]) for note in report([*FAST, *RANKED]).notes)


@pytest.mark.parametrize(
    ("records", "asked", "said"),
    [
        (
            [judged(s, data=data(origin="directory")) for s in SEEDS],
            {"overrides": {"data": "x"}},
            "Your own data: made/ranking ran on a folder of yours, which has no published hash.",
        ),
        (
            [judged(s, overrides={"users": "3"}) for s in SEEDS],
            {"overrides": {"users": "3"}},
            "Other settings: made/ranking ran with --set, not as declared.",
        ),
        (
            [*RANKED, judged(1, overrides={"users": "3"}, key="o")],
            {},
            "1 record was with other --set settings left out; name the settings to see them.",
        ),
        (
            [*RANKED, *(judged(s, overrides={"users": "3"}, key=f"o{s}") for s in (1, 2))],
            {},
            "2 records were with other --set settings left out; name the settings to see them.",
        ),
        (
            [*RANKED, judged(1, key="old", from_=provenance(fingerprint="0" * 64, started="2020-01-01"))],
            {},
            "1 record was of older code left out.",
        ),
    ],
)
def test_what_was_asked_for_and_what_was_left_out_is_said(records, asked, said):
    assert said in report(records, selection=asked, fingerprint=lambda system, name: "f" * 64).notes


def test_one_seed_is_enough_where_nothing_is_random():
    cases = (case("ranking", (NDCG,), tags=("deterministic",)),)
    assert not any(note.startswith("One seed") for note in report([judged(1)], cases=cases).notes)
    assert not any(note.startswith("One seed") for note in report([timed(1)]).notes)
    assert not any(note.startswith("One seed") for note in report([judged(1), judged(2)]).notes)


def test_failures_count_among_the_seeds_that_were_measured():
    made = report([*RANKED[:4], failure(5, "ranking")])
    assert not any("Not all declared seeds" in note for note in made.notes)


def test_six_cases_of_a_system_are_named_and_seven_counted():
    six = [f"made/{n}" for n in range(6)]
    assert notes._list(six) == ", ".join(six)
    assert notes._list([*six, "made/6"]) == "7 cases of made"


def test_many_cases_of_a_system_are_counted_not_named():
    few = [f"small/{n}" for n in range(2)]
    assert notes._list([*few, *(f"large/{n}" for n in range(9)), ""]) == "small/0, small/1, 9 cases of large"


def test_nothing_is_said_of_an_honest_full_run():
    assert report([*FAST, *RANKED]).notes == []


def test_release_stands_beside_and_what_vanished_is_named():
    released = {
        "claims": [{"system": SYSTEM, "id": "faster", "verdict": "reproduced"},
                   {"system": SYSTEM, "id": "gone", "verdict": "reproduced"},
                   {"system": SYSTEM, "id": "never", "verdict": "not run"}],
        "figures": [{"system": SYSTEM, "name": "time"}, {"system": SYSTEM, "name": "old figure"}],
    }  # fmt: skip
    made = report(FAST, [claim()], [figure("time")], release=released)
    assert made.release == released
    assert made.vanished == ["claim made/gone", "figure made: old figure"]
    assert report([], [claim()], release=released).vanished[0] == "claim made/faster"
    part = report(FAST, [claim()], [figure("time")], release=released, selection={"cases": ["speed"]})
    assert part.vanished == []


def test_a_report_has_a_version_that_readers_know():
    assert report(FAST).schema == 1


def hashed(*parts):
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def test_what_a_report_is_generated_from_is_the_content_of_its_records():
    sealed = [msgspec.structs.replace(one, digest=str(one.seed) * 64) for one in FAST]
    digests = sorted(one.digest for one in sealed)
    assert report(sealed).systems[0].generated_from == hashed(*digests)
    assert report(FAST).systems[0].generated_from == hashed(*sorted(content_digest(one) for one in FAST))
    assert report([]).systems[0].generated_from == ""


def test_a_system_measured_by_one_code_has_its_fingerprint_and_by_several_one_of_all():
    assert report(FAST).systems[0].fingerprint == "f" * 64
    ranked = [judged(seed, from_=provenance(fingerprint="0" * 64)) for seed in SEEDS]
    assert report([*FAST, *ranked]).systems[0].fingerprint == hashed("0" * 64, "f" * 64)


def test_seeds_beyond_the_profiles_are_said_by_the_way_they_came_in():
    more = [*FAST, timed(6)]
    (judgement,) = report(more, [claim()]).claims
    assert judgement.beyond == "precision"
    (judgement,) = report(more, [claim()], selection={"seeds": [1, 2, 3, 4, 5, 6]}).claims
    assert judgement.beyond == "--seed"
    assert [report(records, [claim()]).claims[0].beyond for records in (FAST, FAST[:2])] == ["", ""]
    assert any("Seeds beyond the profile's, by precision: made/speed." in note for note in report(more).notes)


def test_what_vanished_is_asked_of_the_systems_that_were_asked_for():
    released = {"claims": [{"system": "other", "id": "gone", "verdict": "reproduced"}], "figures": []}
    assert report(FAST, [claim()], release=released).vanished == ["claim other/gone"]
    assert report(FAST, [claim()], release=released, selection={"systems": [SYSTEM]}).vanished == []


def test_todays_code_is_asked_for_with_the_card_of_the_data(monkeypatch):
    monkeypatch.setattr(gather, "code_fingerprint", lambda system, card: f"{system.name} on {card}")
    declared = registry([claim()])
    assert gather._fingerprint(declared, SYSTEM, "speed") == ""
    declared.datasets["things"] = "a card"
    assert gather._fingerprint(declared, SYSTEM, "speed") == "made on a card"
