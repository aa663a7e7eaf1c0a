"""The competition's submission file and TREC run files."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from remeasure.errors import UserError
from remeasure.impls.opdai.submission import write_submission, write_trec_run

USERS = np.array(["u1", "u2"])
CANDIDATES = np.array([[f"i{c:02d}" for c in range(12)], [f"i{c:02d}" for c in range(10, 20)] + ["", ""]])


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(size=CANDIDATES.shape)


def test_a_submission_holds_the_ten_best_of_every_user(tmp_path: Path, scores: np.ndarray) -> None:
    path = tmp_path / "t1" / "valid_pred.tsv"
    write_submission(path, USERS, CANDIDATES, scores)
    assert path.read_text().startswith("userId\titemId\tscore\n")
    frame = pd.read_csv(path, sep="\t")
    assert set(frame["userId"]) == set(USERS)
    assert not frame.duplicated(["userId", "itemId"]).any()
    assert np.isfinite(frame["score"]).all()
    for user, listed, score in zip(USERS, CANDIDATES, scores, strict=True):
        known = listed != ""
        best = listed[known][np.argsort(-score[known])][:10]
        assert frame.loc[frame["userId"] == user, "itemId"].tolist() == best.tolist()


def test_ties_go_to_the_later_id_as_in_trec_eval(tmp_path: Path) -> None:
    write_submission(tmp_path / "p.tsv", USERS, CANDIDATES, np.zeros(CANDIDATES.shape))
    frame = pd.read_csv(tmp_path / "p.tsv", sep="\t")
    assert frame["itemId"].tolist()[:2] == ["i11", "i10"]


def test_a_score_that_is_not_finite_is_refused_and_nothing_is_written(
    tmp_path: Path, scores: np.ndarray
) -> None:
    scores[1, 2] = np.nan
    with pytest.raises(UserError, match="u2"):
        write_submission(tmp_path / "p.tsv", USERS, CANDIDATES, scores)
    assert not list(tmp_path.iterdir())


def test_a_repeated_item_is_refused(tmp_path: Path, scores: np.ndarray) -> None:
    twice = CANDIDATES.copy()
    twice[0, 1] = twice[0, 0]
    with pytest.raises(UserError, match="stands twice"):
        write_submission(tmp_path / "p.tsv", USERS, twice, scores)


def test_a_full_disk_leaves_no_half_written_file(
    tmp_path: Path, scores: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        write_submission(tmp_path / "p.tsv", USERS, CANDIDATES, scores)
    assert not list(tmp_path.iterdir())


def test_a_trec_run_is_read_by_pytrec_eval(tmp_path: Path, scores: np.ndarray) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    write_trec_run(tmp_path / "run.gz", USERS, CANDIDATES, scores, "my run")
    lines = [
        line.split() for line in gzip.decompress((tmp_path / "run.gz").read_bytes()).decode().splitlines()
    ]
    assert len(lines) == 22 and all(line[5] == "my_run" for line in lines)
    run = {user: {line[2]: float(line[4]) for line in lines if line[0] == user} for user in USERS.tolist()}
    evaluator = pytrec_eval.RelevanceEvaluator({"u1": {lines[0][2]: 1}}, {"ndcg_cut_10"})
    assert evaluator.evaluate(run)["u1"]["ndcg_cut_10"] == 1.0
