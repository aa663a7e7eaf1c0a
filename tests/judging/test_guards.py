"""Every guard refuses the fault that is planted for it, and passes the honest twin of the same records."""

import re
from dataclasses import replace

import msgspec
import pytest
from judging.guarded import broken, rankings, refused_by, runs
from judging.judged_records import block
from records_factory import (
    CPU,
    INVALID,
    LATENCY,
    NDCG,
    SEEDS,
    better,
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
from remeasure.judging.guards import GUARDS, WITHOUT_A_METRIC, Subject, run_guards


def test_honest_records_pass_every_guard():
    fast, fine = verdict_on(claim(), runs()), verdict_on(better(), rankings())
    assert (fast.verdict.word, refused_by(fast)) == ("reproduced", [])
    assert (fine.verdict.word, refused_by(fine)) == ("reproduced", [])


def test_each_guard_is_asked():
    names = {guard.name for guard in verdict_on(claim(), runs(), releasing=True).guards}
    assert len(names) == len(GUARDS)


NAMES = [
    "contract",
    "data hash",
    "same data",
    "same environment",
    "same code",
    "no failure",
    "honest arms",
    "whole samples",
    "long enough",
    "A/A control",
    "clean tree",
]


def test_a_guard_that_passes_says_its_name_and_what_it_saw():
    guards = verdict_on(claim(), runs(), releasing=True).guards
    assert [guard.name for guard in guards] == NAMES
    said = {guard.name: guard.detail for guard in guards}
    assert said["contract"] == "contract tests of all arms passed"
    assert said["same data"] == "all seeds on the same data"
    assert said["clean tree"] == "one commit, nothing uncommitted"
    assert re.fullmatch(
        r"[\d.]+ \[[\d.]+, [\d.]+\], within 1 ± 0.05 and not outside 1 ± 0.02", said["A/A control"]
    )
    one = verdict_on(claim(), [timed(1)]).guards
    assert re.fullmatch(r"[\d.]+, one process", {guard.name: guard.detail for guard in one}["A/A control"])


def test_a_property_is_guarded_by_what_needs_no_samples():
    assert [guard.__name__ for guard in WITHOUT_A_METRIC] == [
        "contract",
        "data_hash",
        "same_environment",
        "same_code",
        "no_failure",
        "clean_tree",
    ]


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


@pytest.mark.parametrize(
    ("used", "said"),
    [
        (data(), "agrees with the data card"),
        (data(kind="simulated", origin="simulator"), "made by the declared simulator"),
        (None, "needs no data"),
    ],
)
def test_what_is_known_of_the_data_is_said(used, said):
    subject = Subject((judged(data=used),), NDCG.name, ("ours", "tuned"))
    (found,) = (guard for guard in run_guards(subject) if guard.name == "data hash")
    assert (found.ok, found.detail) == (True, said)


def test_seeds_on_different_data_are_refused():
    judgement = verdict_on(better(), rankings(data=data(sha256="0" * 64)))
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["same data"])


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


def test_rounds_that_are_too_short_are_refused():
    judgement = verdict_on(claim(), [timed(seed, ours=0.0007) for seed in SEEDS])
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["long enough"])
    assert re.search(r"the shortest sample takes 0\.\d+ ms, 1 ms needed", judgement.verdict.reason)


def length(*seconds, **changes):
    columns = {"ours": list(seconds), "slow": [1.0] * len(seconds)}
    records = (record({CPU.name: columns}, 1), record({CPU.name: columns}, 2, **changes))
    (found,) = (
        g for g in run_guards(Subject(records, CPU.name, ("ours", "slow"))) if g.name == "long enough"
    )
    return found


@pytest.mark.parametrize(
    ("shortest", "ok", "said"),
    [
        (0.001, True, "takes 1 ms"),
        (0.0009999, False, "takes 1 ms, 1 ms needed"),
        (0.0009951, False, "takes 1 ms, 1 ms needed"),
        (0.0009945, False, "takes 0.99 ms, 1 ms needed"),
        (0.0003, False, "takes 0.3 ms, 1 ms needed"),
    ],
)
def test_the_shortest_of_all_samples_must_take_a_millisecond(shortest, ok, said):
    for places in ((shortest, 9.0), (9.0, shortest)):
        found = length(*places)
        assert (found.ok, found.detail) == (ok, f"the shortest sample {said}")


@pytest.mark.parametrize(
    ("unit", "shortest", "ok", "said"),
    [
        ("ms", 1.0, True, "the shortest sample takes 1 ms"),
        ("ms", 0.9, False, "the shortest sample takes 0.9 ms, 1 ms needed"),
        ("µs", 999.0, False, "the shortest sample takes 1 ms, 1 ms needed"),
        ("h", 1.0, True, "the shortest sample takes 3.6e+06 ms"),
        ("ms a token", 0.001, True, "1 processes"),  # the timer saw many at once
    ],
)
def test_a_sample_is_as_long_as_its_unit_says(unit, shortest, ok, said):
    subject = Subject((block(replace(CPU, unit=unit), a=[shortest]),), CPU.name, ("a",))
    (found,) = (guard for guard in run_guards(subject) if guard.name == "long enough")
    assert (found.ok, found.detail) == (ok, said)


def test_one_process_that_the_budget_ended_is_enough_to_say_so():
    assert length(1.0).detail == "the shortest sample takes 1e+03 ms"
    assert length(1.0, budget_ended=True).detail.endswith("ms; the budget ended before all rounds had run")


def test_of_several_faults_the_first_is_named_with_all_its_seeds():
    refused = [timed(seed, contract=f"fault {seed}") for seed in (1, 2)]
    assert "seeds 1, 2: fault 1" in verdict_on(claim(), [*refused, *runs()[2:]]).verdict.reason
    wrong = [
        judged(1, data=data(name="one", verified=False)),
        judged(2, data=data(name="two", verified=False)),
    ]
    assert "the files of one are not" in verdict_on(better(), wrong).verdict.reason
    failed = [failure(8), msgspec.structs.replace(failure(9), failure=None)]
    assert "seeds 8, 9 failed (timeout: It took" in verdict_on(claim(), [*runs(), *failed]).verdict.reason
    assert (
        "seeds 8, 9 failed (failed)"
        in verdict_on(
            claim(), [*runs(), msgspec.structs.replace(failure(8), failure=None), failure(9)]
        ).verdict.reason
    )


@pytest.mark.parametrize(
    "records,said",
    [
        (
            [timed(seed, rounds=4) for seed in SEEDS],
            "5 processes of 4 rounds; 5 processes of 5 rounds are needed",
        ),
        ([timed(seed, rounds=20) for seed in SEEDS[:4]], "4 processes of 20 rounds; 5 processes"),
        ([timed(1)], "1 process of 12 rounds"),
    ],
)
def test_too_few_processes_or_rounds_are_no_fault_but_carry_no_word(records, said):
    judgement = verdict_on(claim(), records)
    assert (judgement.verdict.word, refused_by(judgement)) == ("inconclusive", [])
    assert said in judgement.verdict.reason


def test_five_rounds_in_five_processes_are_enough():
    assert verdict_on(claim(), [timed(seed, rounds=5) for seed in SEEDS]).verdict.word == "reproduced"


def test_budget_that_ended_is_said_where_enough_was_measured():
    judgement = verdict_on(claim(), [timed(seed, budget_ended=True) for seed in SEEDS])
    assert judgement.verdict.word == "reproduced"
    assert any("the budget ended" in guard.detail for guard in judgement.guards)


def test_what_is_no_time_needs_no_control_and_no_length():
    names = [guard.name for guard in verdict_on(better(), rankings()).guards]
    assert not {"long enough", "A/A control"} & set(names)


def test_failed_seed_is_not_dropped():
    judgement = verdict_on(claim(), [*runs(), failure(9)])
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["no failure"])
    assert "seed 9 failed (timeout" in judgement.verdict.reason
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


def whole(metric, columns, kind):
    subject = Subject((record({metric.name: columns}),), metric.name, tuple(columns), kind)
    (found,) = (guard for guard in run_guards(subject) if guard.name == "whole samples")
    return found.ok


@pytest.mark.parametrize("zero", [0.0, -1.0])
@pytest.mark.parametrize(
    ("metric", "kind", "one", "two"),
    [
        (CPU, "value", False, False),
        (CPU, "difference", False, False),
        (LATENCY, "ratio", True, False),
        (LATENCY, "ordering", True, False),
        (LATENCY, "difference", True, True),
        (NDCG, "difference", True, True),
        (NDCG, "ratio", True, True),  # of means, of which none is 0
    ],
)
def test_a_sample_of_nothing_is_refused_where_samples_make_a_ratio(metric, kind, one, two, zero):
    assert whole(metric, {"ours": [zero, 9.0]}, kind) is one
    assert whole(metric, {"ours": [zero, 9.0], "slow": [1.0, 1.0]}, kind) is two


def test_a_ratio_of_means_needs_means_above_nothing():
    assert whole(NDCG, {"ours": [0.2, 0.3], "slow": [0.1, 0.1]}, "ratio")
    assert not whole(NDCG, {"ours": [0.0, 0.0], "slow": [1.0, 1.0]}, "ratio")
    assert not whole(NDCG, {"ours": [1.0, 1.0], "slow": [1.0, -1.0]}, "ratio")


@pytest.mark.parametrize(
    "third,said",
    [
        ({"dirty": "d1ff"}, "uncommitted changes"),
        ({"commit": "0" * 40}, f"made by {'0' * 40} and {'c' * 40}, not by one known commit"),
        ({"commit": ""}, f"made by unknown and {'c' * 40}, not by one known commit"),
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
