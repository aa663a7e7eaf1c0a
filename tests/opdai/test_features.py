"""The first stage as a whole: nothing leaks into a feature, and what is kept on disk is what would be computed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from remeasure.datasets.xmrec.loader import XmrecData, load
from remeasure.datasets.xmrec.request import Request
from remeasure.errors import UserError
from remeasure.impls.opdai import cache
from remeasure.impls.opdai.config import Embedding, TwoStage
from remeasure.impls.opdai.corpus import Purpose, assert_no_leak
from remeasure.impls.opdai.features import Workbench, first_stage, leaking_column, rows_of
from remeasure.impls.opdai.pieces import pieces

SYSTEM = TwoStage(embedding=Embedding(dim=8, epochs=1), wide_embedding=Embedding(dim=12, epochs=1))
MEMORY = replace(SYSTEM, graph=False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def data() -> XmrecData:
    return load(Request(scale="tiny"), None)


def bench(data: XmrecData, keep: bool = False, purpose: Purpose = Purpose.JUDGED) -> Workbench:
    return Workbench(data, SYSTEM.tables, keep=keep, purpose=purpose)


def test_other_users_lists_change_no_feature_of_a_row(data: XmrecData) -> None:
    half = len(data.users) // 2
    rng = np.random.default_rng(0)
    others = rng.permuted(data.candidates[half:], axis=1)
    others = np.where(
        others == data.positives[half:, None], others, data.candidates[half:][rng.permutation(len(others))]
    )
    changed = replace(data, candidates=np.concatenate([data.candidates[:half], others]))
    before = first_stage(bench(data), SYSTEM).rows
    after = first_stage(bench(changed), SYSTEM).rows
    assert not np.array_equal(before.features[half:], after.features[half:])
    np.testing.assert_allclose(before.features[:half], after.features[:half], rtol=1e-4, atol=1e-6)


def test_no_corpus_of_the_first_stage_holds_a_judged_pair(data: XmrecData) -> None:
    workbench = bench(data)
    for piece in pieces(data, SYSTEM):
        assert_no_leak(workbench.corpus(piece.markets), data.users, data.positives)


def test_the_leaking_column_betrays_the_positives(data: XmrecData) -> None:
    column = leaking_column(bench(data))
    positive = np.argmax(data.candidates == data.positives[:, None], axis=1)
    leaked = np.mean(column.argmax(1) == positive)
    honest = np.mean(first_stage(bench(data), MEMORY).rows.features[:, :, -1].argmax(1) == positive)
    assert leaked > honest


def test_a_kept_score_equals_a_computed_one_and_a_damaged_file_is_made_again(data: XmrecData) -> None:
    computed = first_stage(bench(data), MEMORY).rows.features
    first_stage(bench(data, keep=True), MEMORY)
    kept = first_stage(bench(data, keep=True), MEMORY)
    assert kept.rows.features.tobytes() == computed.tobytes()
    for file in cache.cache_folder().glob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    assert first_stage(bench(data, keep=True), MEMORY).rows.features.tobytes() == computed.tobytes()


def test_what_was_paid_for_a_kept_score_is_remembered(data: XmrecData) -> None:
    paid = first_stage(bench(data, keep=True), MEMORY).cpu_s
    assert first_stage(bench(data, keep=True), MEMORY).cpu_s == paid


def test_test_rows_are_scored_with_the_targets_labels_in_the_corpus(data: XmrecData) -> None:
    submission = bench(data, purpose=Purpose.SUBMISSION)
    with_labels = submission.corpus((data.target,)).ratings.nnz
    assert with_labels == bench(data).corpus((data.target,)).ratings.nnz + len(data.users)
    assert first_stage(submission, MEMORY).rows.features.shape[0] == len(data.test_users)  # type: ignore[arg-type]


def test_a_target_without_test_lists_is_refused_for_a_submission(data: XmrecData) -> None:
    with pytest.raises(UserError, match=r"no test lists \(test_run.tsv\)"):
        bench(replace(data, test_users=None, test_candidates=None), purpose=Purpose.SUBMISSION)


def test_a_feature_that_is_not_finite_is_refused_by_name(data: XmrecData) -> None:
    features = np.zeros((*data.candidates.shape, 2), np.float32)
    features[3, 4, 1] = np.nan
    with pytest.raises(UserError, match="'second'"):
        rows_of(bench(data), ["first", "second"], features)


def test_ablations_take_away_exactly_their_pieces(data: XmrecData) -> None:
    def names(system: TwoStage) -> set[str]:
        return {piece.name for piece in pieces(data, system)}

    full = names(SYSTEM)
    without = replace(SYSTEM, embedding=None, wide_embedding=None)
    assert names(without) == {name for name in full if "lightgcn" not in name}
    alone = names(replace(SYSTEM, others=()))
    assert alone < full and all("+" not in name for name in alone)
    assert not any(
        part in name for name in names(MEMORY) for part in ("lightgcn", "rp3", "gf-cf", "2vec", "bi-graph")
    )
    only = {market for p in pieces(data, replace(SYSTEM, others=("s2",))) for market in p.markets}
    assert only == {data.target, "s2"}


def test_no_piece_stands_twice(data: XmrecData) -> None:
    found = [(p.markets, p.model, p.part) for p in pieces(data, SYSTEM)]
    assert len(set(found)) == len(found)
