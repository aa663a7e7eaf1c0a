"""Every guard refuses the fault that is planted for it, and passes the honest twin of the same records."""

import msgspec
import pytest
from records_factory import (
    INVALID,
    NDCG,
    SEEDS,
    WALL,
    better,
    case,
    claim,
    data,
    environment,
    failure,
    judged,
    provenance,
    record,
    registry,
    timed,
    verdict_on,
)

from remeasure.judging.gather import build_report
from remeasure.judging.guards import GUARDS, Subject, run_guards
from remeasure.records.record import TWIN_SUFFIX


def runs(**third):
    """Three honest blocks of timed rounds; `third` changes the last one."""
    return [timed(1), timed(2), timed(3, **third)]


def rankings(**third):
    return [judged(1), judged(2), judged(3, **third)]


def broken(records, change):
    """The last record with its samples changed after it was made."""
    samples = msgspec.to_builtins(records[-1].samples)
    change(samples)
    return [*records[:-1], msgspec.structs.replace(records[-1], samples=samples)]


def refused_by(judgement):
    return [guard.name for guard in judgement.guards if not guard.ok]


def test_honest_records_pass_every_guard():
    fast, fine = verdict_on(claim(), runs()), verdict_on(better(), rankings())
    assert (fast.verdict.word, refused_by(fast)) == ("reproduced", [])
    assert (fine.verdict.word, refused_by(fine)) == ("reproduced", [])


def test_each_guard_is_asked():
    names = {guard.name for guard in verdict_on(claim(), runs(), releasing=True).guards}
    assert len(names) == len(GUARDS)


@pytest.mark.parametrize("said", ["arm 'ours' is not deterministic", ""])
def test_contract_that_did_not_pass_is_refused(said):
    judgement = verdict_on(claim(), runs(contract=said))
    assert judgement.verdict.word == "invalid run"
    assert refused_by(judgement) == ["contract"]
    assert (said or "did not run") in judgement.verdict.reason


def test_wrong_data_hash_is_refused():
    judgement = verdict_on(better(), [judged(seed, data=data(verified=False)) for seed in SEEDS])
    assert judgement.verdict.word == "invalid run"
    assert refused_by(judgement) == ["data hash"]


def test_own_data_without_a_published_hash_are_judged_and_it_is_said():
    own = data(origin="directory", verified=False)
    judgement = verdict_on(
        better(), [judged(seed, data=own) for seed in SEEDS], selection={"overrides": {"data": "somewhere"}}
    )
    assert judgement.verdict.word == "reproduced"
    assert "your own data, no published hash" in [guard.detail for guard in judgement.guards]


def test_seeds_on_different_data_are_refused():
    judgement = verdict_on(better(), rankings(data=data(sha256="0" * 64)))
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["same data"])


def test_control_outside_its_band_is_refused():
    biased = verdict_on(claim(), [timed(seed, twin=1.08) for seed in SEEDS])
    assert (biased.verdict.word, refused_by(biased)) == ("invalid run", ["A/A control"])
    assert "allowed 1 ± 0.05" in biased.verdict.reason
    assert biased.estimate is not None


def test_control_that_is_too_noisy_is_refused():
    noisy = verdict_on(claim(), [timed(seed, noise=0.4) for seed in SEEDS])
    assert refused_by(noisy) == ["A/A control"]


def test_control_may_be_wider_on_the_wall_clock():
    on_wall = (case(metrics=(WALL,)),)
    fine = verdict_on(claim(), [timed(seed, twin=1.08, metric=WALL) for seed in SEEDS], on_wall)
    assert fine.verdict.word == "reproduced"
    biased = verdict_on(claim(), [timed(seed, twin=1.2, metric=WALL) for seed in SEEDS], on_wall)
    assert refused_by(biased) == ["A/A control"]
    assert "allowed 1 ± 0.12" in biased.verdict.reason


def test_control_with_lost_rounds_is_refused():
    records = broken(runs(), lambda samples: samples["CPU seconds"]["slow" + TWIN_SUFFIX].pop())
    assert refused_by(verdict_on(claim(), records)) == ["A/A control"]


def test_arms_that_time_themselves_have_no_control_and_it_is_said():
    arms = {
        arm: [seconds * (1 + i / 1000) for i in range(12)] for arm, seconds in (("slow", 0.3), ("ours", 0.1))
    }
    judgement = verdict_on(claim(), [record({"CPU seconds": arms}, seed) for seed in SEEDS])
    assert judgement.verdict.word == "reproduced"
    assert "no twin: the arms time themselves" in [guard.detail for guard in judgement.guards]


def in_environment(sha):
    return provenance(environment=sha * 64)


def judged_in(environments, records):
    return build_report(registry([better()]), records, environments, "smoke").claims[0]


def test_seeds_in_different_environments_are_refused():
    records = rankings(from_=in_environment("9"))
    for other in (
        environment(cpu_model="Another processor"),
        environment(python="3.12.1"),
        environment(packages={"numpy": "1.26.0"}),
        environment(threads={}),
    ):
        judgement = judged_in({"e" * 64: environment(), "9" * 64: other}, records)
        assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["same environment"])


def test_environments_that_differ_in_what_changes_no_number_count_as_the_same():
    records = rankings(from_=in_environment("9"))
    packages = {**environment().packages, "rich": "15.0", "pytest": "9.0"}
    judgement = judged_in({"e" * 64: environment(), "9" * 64: environment(packages=packages)}, records)
    assert judgement.verdict.word == "reproduced"


def test_different_environments_without_their_records_are_refused():
    assert refused_by(judged_in({}, rankings(from_=in_environment("9")))) == ["same environment"]


def test_seeds_measured_by_different_code_are_refused():
    def guards(third):
        records = tuple(rankings(from_=third))
        return [g.name for g in run_guards(Subject(records, NDCG.name, ("ours", "tuned"))) if not g.ok]

    assert guards(provenance(fingerprint="0" * 64)) == ["same code"]
    assert guards(provenance()) == []


@pytest.mark.parametrize(
    "records,said",
    [
        ([timed(seed, rounds=9) for seed in SEEDS], "27 pairs, 30 needed"),
        ([timed(seed, rounds=20) for seed in SEEDS[:2]], "2 processes, 3 needed"),
        ([timed(seed, ours=0.0007) for seed in SEEDS], "1 ms needed"),
    ],
)
def test_too_few_or_too_short_rounds_are_refused(records, said):
    judgement = verdict_on(claim(), records)
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["enough samples"])
    assert said in judgement.verdict.reason


def test_thirty_pairs_in_three_processes_are_enough():
    assert verdict_on(claim(), [timed(seed, rounds=10) for seed in SEEDS]).verdict.word == "reproduced"


def test_budget_that_ended_is_said_where_enough_was_measured():
    judgement = verdict_on(claim(), [timed(seed, budget_ended=True) for seed in SEEDS])
    assert judgement.verdict.word == "reproduced"
    assert any("the budget ended" in guard.detail for guard in judgement.guards)


def test_quality_needs_no_thirty_pairs():
    assert "enough samples" not in [guard.name for guard in verdict_on(better(), rankings()).guards]


def test_failed_seed_is_not_dropped():
    judgement = verdict_on(claim(), [timed(1), timed(2), timed(3), failure(4)])
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["no failure"])
    assert "seed 4 failed (timeout" in judgement.verdict.reason
    assert judgement.estimate is not None


def test_case_that_failed_with_every_seed_is_an_invalid_run():
    judgement = verdict_on(claim(), [failure(seed) for seed in SEEDS])
    assert (judgement.verdict.word, judgement.estimate) == ("invalid run", None)


def test_failure_of_another_case_or_profile_does_not_matter():
    others = [failure(4, case="ranking"), failure(4, profile="standard")]
    assert verdict_on(claim(), [*runs(), *others]).verdict.word == "reproduced"


def test_negative_control_gives_its_reason_and_its_number_but_no_verdict():
    leak = better(treatment="peek", by="remeasure")
    judgement = verdict_on(leak, rankings())
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["honest arms"])
    assert INVALID["peek"] in judgement.verdict.reason
    assert judgement.estimate > 0.1


@pytest.mark.parametrize(
    "change,said",
    [
        (lambda samples: samples[NDCG.name]["ours"].pop(), "the arms have 399 and 400 samples"),
        (lambda samples: samples[NDCG.name]["ours"].__setitem__(0, float("nan")), "a sample is not finite"),
        (lambda samples: samples[NDCG.name].pop("ours"), "an arm has no samples"),
    ],
)
def test_samples_that_are_not_whole_are_refused(change, said):
    judgement = verdict_on(better(), broken(rankings(), change))
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["whole samples"])
    assert said in judgement.verdict.reason


def test_ratio_of_rounds_that_took_no_time_is_refused():
    records = broken(runs(), lambda samples: samples["CPU seconds"]["ours"].__setitem__(0, 0.0))
    assert "whole samples" in refused_by(verdict_on(claim(), records))


@pytest.mark.parametrize(
    "third,said",
    [
        ({"dirty": "d1ff"}, "uncommitted changes"),
        ({"commit": "0" * 40}, "not by one known commit"),
    ],
)
def test_release_from_an_uncommitted_tree_or_several_commits_is_refused(third, said):
    records = rankings(from_=provenance(**third))
    releasing = verdict_on(better(), records, releasing=True)
    assert (releasing.verdict.word, refused_by(releasing)) == ("invalid run", ["clean tree"])
    assert said in releasing.verdict.reason
    assert verdict_on(better(), records).verdict.word == "reproduced"
    assert verdict_on(better(), rankings(), releasing=True).verdict.word == "reproduced"


def test_release_by_an_unknown_commit_is_refused():
    records = [judged(seed, from_=provenance(commit="unknown")) for seed in SEEDS]
    assert refused_by(verdict_on(better(), records, releasing=True)) == ["clean tree"]
