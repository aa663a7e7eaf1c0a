"""The systems as the cases run them, on simulated markets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from remeasure.datasets.xmrec.generator import generate
from remeasure.datasets.xmrec.loader import XmrecData, judge, load, simulation
from remeasure.datasets.xmrec.request import Request
from remeasure.impls.common.ranking import ndcg_at
from remeasure.impls.opdai import arms, measures, optimized, reference, twostage
from remeasure.impls.opdai.arms import SINGLE_MODELS
from remeasure.impls.opdai.config import Nested, Single, Trees, TwoStage
from remeasure.impls.opdai.dictionary import itemcf_iuf
from remeasure.impls.opdai.features import Workbench, leaking_column
from remeasure.impls.opdai.pieces import single_piece
from remeasure.impls.opdai.predict import export_runs, submit
from remeasure.impls.opdai.ranker import Rows
from remeasure.impls.opdai.twostage import nested, single, two_stage
from remeasure.judging.estimates import of_units

SYSTEM = TwoStage(graph=False, sequence=False, embedding=None, trees=Trees(rounds=20), folds=3)


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REMEASURE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data() -> XmrecData:
    return load(Request(scale="tiny"), None)


def quality(ranked: twostage.Ranked) -> float:
    return float(ndcg_at(ranked.rank).mean())


def test_two_stages_beat_popularity(data: XmrecData) -> None:
    assert quality(two_stage(data, SYSTEM, 1)) > quality(single(data, Single("popularity"), 0))


def test_every_number_bears_the_id_of_its_user(data: XmrecData) -> None:
    found = measures.quality(two_stage(data, SYSTEM, 1))
    assert list(found["units"]) == data.users.tolist()  # type: ignore[call-overload]
    assert len(set(data.users.tolist())) == len(data.users) == len(found["NDCG@10"])  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_out_of_fold_bytes(data: XmrecData) -> None:
    first, second = (two_stage(data, SYSTEM, 1).scores.tobytes() for _ in range(2))
    assert first == second != two_stage(data, SYSTEM, 2).scores.tobytes()


def test_shuffled_labels_are_ranked_by_chance(data: XmrecData) -> None:
    chance = 0.0454
    assert abs(quality(two_stage(data, replace(SYSTEM, shuffled_labels=True), 1)) - chance) < 0.05


def test_the_leak_switch_trains_on_the_leaking_column_and_deployment_is_judged_on_the_honest_one(
    data: XmrecData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path))  # nothing kept: every call reaches the spy
    seen = []

    def spy(rows: Rows, trees: Trees, folds: np.ndarray, seed: int, judged: Rows | None = None) -> object:
        seen.append((rows, judged))
        return np.zeros(rows.shape), []

    monkeypatch.setattr(twostage, "out_of_fold", spy)
    for leak in ("none", "everywhere", "training rows"):
        two_stage(data, replace(SYSTEM, leak=leak), 1)  # type: ignore[arg-type]
    (honest, _), (leaky, nothing), (trained, deployed) = seen
    column = leaking_column(Workbench(data, SYSTEM.tables))
    score = single_piece(data, Single("itemcf-iuf", merge="all"))
    assert honest.names == leaky.names[:-1] and nothing is None
    assert np.array_equal(leaky.features[:, :, -1], column)
    assert np.array_equal(trained.features, leaky.features)
    assert np.array_equal(deployed.features[:, :, -1], Workbench(data, SYSTEM.tables).score(score).values)


@pytest.mark.parametrize("form", ["bag", "one of the bag", "one on all rows"])
def test_nested_folds_score_every_user(data: XmrecData, form: str) -> None:
    ranked = nested(data, Nested(SYSTEM, outer=2, ranker=form), 1)  # type: ignore[arg-type]
    assert np.isfinite(ranked.scores).all() and quality(ranked) > 0.1


def test_the_dictionary_strawman_gives_the_sparse_scores(data: XmrecData) -> None:
    config = Single("itemcf-iuf", tables=("train_5core",))
    bench = Workbench(data, config.tables, keep=False)
    piece = single_piece(data, config)
    slow = itemcf_iuf(bench.corpus(piece.markets), bench.users, bench.candidates)
    np.testing.assert_allclose(bench.score(piece).values, slow, rtol=1e-4, atol=1e-6)


def test_a_submission_covers_every_user_of_both_run_files(data: XmrecData, tmp_path: Path) -> None:
    valid, test = submit(data, tmp_path, SYSTEM, report=lambda line: None)
    for path, users in ((valid, data.users), (test, data.test_users)):
        written = [line.split("\t") for line in path.read_text().splitlines()[1:]]
        assert {row[0] for row in written} == set(users)  # type: ignore[arg-type]
        assert len(written) == 10 * len(users)  # type: ignore[arg-type]


def test_a_target_without_test_lists_gets_its_validation_file_only(data: XmrecData, tmp_path: Path) -> None:
    without = replace(data, test_users=None, test_candidates=None)
    assert [path.name for path in submit(without, tmp_path, SYSTEM, report=lambda line: None)] == [
        "valid_pred.tsv"
    ]


def test_run_files_hold_every_arm(data: XmrecData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from remeasure.contracts import Arm
    from remeasure.impls.opdai import predict

    arms = (Arm("a", "strawman", Single("popularity")), Arm("b, c", "reference", SYSTEM))
    monkeypatch.setattr(predict, "RANKING", arms)
    names = [path.name for path in export_runs(data, tmp_path, report=lambda line: None)]
    assert names == ["a.trec.gz", "b-c.trec.gz", "qrel.trec"]


def test_the_frozen_configurations_are_the_selected_ones() -> None:
    recorded = json.loads(Path(arms.__file__).with_name("selection.json").read_text())
    frozen = {"opdai": reference.OPDAI, "single market, two stages": optimized.SINGLE_MARKET}
    for name, system in frozen.items():
        tried = recorded["systems"][name]
        best = max(tried["trials"], key=lambda trial: trial["NDCG@10"])
        assert {field: best[field] for field in recorded["space"]} == tried["chosen"]
        assert {field: getattr(system.trees, field) for field in tried["chosen"]} == tried["chosen"]
    counts = {len(recorded["systems"][name]["trials"]) for name in frozen}
    assert len(counts) == 1, "the baseline had as many trials as the reference"


def test_the_single_model_that_the_system_is_compared_with_is_the_best_on_held_out_pairs() -> None:
    recorded = json.loads(Path(arms.__file__).with_name("selection.json").read_text())["single models"]
    by_name = {arm.name: arm.config for arm in SINGLE_MODELS}
    assert set(recorded["NDCG@10"]) == set(by_name)
    best = max(recorded["NDCG@10"], key=lambda name: recorded["NDCG@10"][name])
    assert recorded["chosen"] == best
    assert by_name[best] == reference.BEST_SINGLE


def test_sources_without_relevance_do_not_help() -> None:
    """Where the sources carry no signal, the claim that they help must not come out as reproduced."""
    request = Request(scale="tiny")
    roles = {"sources": ("s1", "s2", "s3"), "targets": ("t1", "t2")}
    markets = generate(replace(simulation(request, **roles), relevance=0))
    data = replace(judge(markets, request, roles["targets"]), simulated=True)
    merged = ndcg_at(two_stage(data, SYSTEM, 1).rank)
    alone = ndcg_at(two_stage(data, replace(SYSTEM, others=()), 1).rank)
    assert of_units((merged - alone)[:, None]).lo <= 0
