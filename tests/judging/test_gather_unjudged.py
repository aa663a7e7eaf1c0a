"""What is shown, calibrated, not testable or not run is not judged, and each says why."""

import pytest
from judging.judged_records import FAST, QUEUE, SIMULATED, queue_claim, simulated
from records_factory import CPU, SEEDS, better, case, claim, judged, record, timed, verdict_on

from remeasure.contracts import At


def test_claim_that_cannot_be_tested_gives_its_reason():
    judgement = verdict_on(claim(testability="not-testable", why="No such machine."), FAST)
    assert (judgement.verdict.word, judgement.verdict.reason) == ("not testable here", "No such machine.")
    assert judgement.estimate is None


def test_calibrated_number_is_shown_and_stays_outside():
    judgement = verdict_on(
        queue_claim(value=2.0, calibrated=True), simulated({"slow": 4.0, "ours": 2.0}), QUEUE
    )
    assert (judgement.verdict.word, judgement.estimate) == ("calibrated", pytest.approx(2.0))
    assert verdict_on(queue_claim(value=2.0, calibrated=True), [], QUEUE).verdict.word == "not run"


def test_claim_about_data_is_shown_and_not_judged_on_simulated_data():
    made_up = [judged(seed, data=SIMULATED) for seed in SEEDS]
    judgement = verdict_on(better(), made_up)
    assert (judgement.verdict.word, judgement.data) == ("shown, not judged", "simulated")
    assert judgement.estimate == pytest.approx(0.02, abs=0.003)


def test_claim_about_an_algorithm_is_judged_on_simulated_data_and_says_so():
    judgement = verdict_on(claim(about="algorithm"), [timed(seed, data=SIMULATED) for seed in SEEDS])
    assert judgement.verdict.word == "reproduced"
    assert "simulated data" in judgement.verdict.reason.lower()


def test_failed_guard_outranks_simulated_data():
    judgement = verdict_on(better(), [judged(seed, data=SIMULATED, contract="no") for seed in SEEDS])
    assert judgement.verdict.word == "invalid run"


def test_remembered_claim_is_never_printed_as_the_papers():
    judgement = verdict_on(claim(unverified=True), FAST)
    assert (judgement.by, judgement.verdict.word) == ("other", "shown, not judged")
    assert "Remembered, not read" in judgement.verdict.reason
    assert "Author" not in judgement.source


def test_evidence_is_the_weakest_of_claim_and_records():
    assert verdict_on(claim(), FAST).evidence == "measured"
    assert verdict_on(claim(), [timed(s, evidence="scaled") for s in SEEDS]).evidence == "scaled"
    modelled = verdict_on(claim(testability="modelled"), FAST)
    assert modelled.evidence == "modelled"
    assert "Computed by a model." in modelled.verdict.reason


@pytest.mark.parametrize(
    "profile,records,said",
    [
        ("smoke", [], "Nothing is measured"),
        ("full", FAST, "no part of profile full"),
        ("tiny", FAST, "The arm ours does not run in profile tiny"),
    ],
)
def test_claim_without_records_is_not_run_and_says_why(profile, records, said):
    cases = (case(profiles={"smoke": At(seeds=SEEDS), "tiny": At(arms=("slow",))}),)
    judgement = verdict_on(claim(), records, cases, profile=profile)
    assert judgement.verdict.word == "not run"
    assert said in judgement.verdict.reason


def test_records_of_older_code_without_the_arm_are_not_run():
    records = [record({CPU.name: {"slow": [0.1] * 10}}, seed) for seed in SEEDS]
    assert verdict_on(claim(), records).verdict.reason == "The records have no arm ours; run the case again."
