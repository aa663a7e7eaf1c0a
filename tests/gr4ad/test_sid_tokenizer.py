"""Tokenizers: one interface, the same seed the same file, a new item moves none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from remeasure.datasets.common.sids import read_sids, write_sids
from remeasure.errors import UserError
from remeasure.impls.gr4ad.sid.business import Business, CounterLevel, HashLevel
from remeasure.impls.gr4ad.sid.metrics import balance, separation
from remeasure.impls.gr4ad.sid.residual import ResidualKMeans
from remeasure.impls.gr4ad.sid.schemes import SCHEMES, TITLES, tokenizer
from remeasure.impls.gr4ad.sid.tokenizer import distinct

SIZES = (16, 8, 4)


def catalogue(count: int = 200) -> tuple[np.ndarray, Business]:
    """Vectors of which each stands twice, and fields that tell the two apart."""
    rng = np.random.default_rng(1)
    vectors = np.repeat(rng.normal(size=(count // 2, 6)).astype(np.float32), 2, axis=0)
    number = np.arange(count)
    return vectors, Business(number.astype(str), (number % 5).astype(str), (number % 3).astype(str))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_gives_codes_within_its_sizes_and_the_same_file_for_the_same_seed(
    scheme: str, tmp_path: Path
) -> None:
    vectors, business = catalogue()
    files = []
    for run in range(2):
        fitted = tokenizer(scheme, SIZES).fit(vectors, business, np.random.default_rng(5))
        codes = fitted.encode(vectors, business)
        assert codes.shape == (200, len(fitted.sizes)) and codes.dtype == np.int64
        assert (codes >= 0).all() and (codes < fitted.sizes).all()
        write_sids(tmp_path / f"{run}.json", business.item, codes)
        files.append((tmp_path / f"{run}.json").read_bytes())
        assert np.array_equal(read_sids(tmp_path / f"{run}.json", business.item.tolist()), codes)
    assert files[0] == files[1]
    assert scheme in TITLES


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if "rqvae" not in scheme])
def test_an_item_has_the_same_sid_alone_and_among_others(scheme: str) -> None:
    vectors, business = catalogue()
    fitted = tokenizer(scheme, SIZES).fit(vectors, business, np.random.default_rng(5))
    one = np.array([17])
    alone = fitted.encode(vectors[one], business.select(one))
    assert np.array_equal(alone, fitted.encode(vectors, business)[one])


def test_plain_equal_levels_have_the_space_of_falling_ones() -> None:
    vectors, business = catalogue()
    spaces = {
        scheme: np.prod(tokenizer(scheme, SIZES).fit(vectors, business, np.random.default_rng(0)).sizes)
        for scheme in ("rq", "mr", "mr+business", "mr+item", "random")
    }
    assert set(spaces.values()) == {512}


def test_equal_vectors_share_the_content_levels_and_the_counter_parts_them() -> None:
    vectors, business = catalogue()
    codes = (
        tokenizer("mr+counter", SIZES)
        .fit(vectors, business, np.random.default_rng(0))
        .encode(vectors, business)
    )
    assert np.array_equal(codes[::2, :2], codes[1::2, :2])
    assert separation(codes, SIZES).cpr == 1


def test_balance_counts_equal_vectors_once() -> None:
    vectors, _ = catalogue()
    copies = np.repeat(vectors, np.where(np.arange(200) < 2, 50, 1), axis=0)
    business = Business(*(np.arange(len(copies)).astype(str) for _ in range(3)))
    fitted = tokenizer("mr", SIZES).fit(copies, business, np.random.default_rng(0))
    assert fitted.semantic is not None
    first = balance(fitted.semantic.encode(distinct(copies)[0])[:, 0], SIZES[0])
    assert first.largest <= 1.25 and first.empty == 0


def test_the_counter_numbers_new_items_after_the_known_ones() -> None:
    prefixes = np.array([[1, 2], [1, 2], [3, 4], [1, 2]])
    names = np.array(["a", "b", "c", "d"])
    counter = CounterLevel().fit(prefixes, Business(names, names, names))
    assert counter.encode(prefixes, Business(names, names, names)).tolist() == [0, 1, 0, 2]
    new = np.array(["d", "e", "f", "g"])
    later = np.array([[1, 2], [3, 4], [3, 4], [9, 9]])
    assert counter.encode(later, Business(new, new, new)).tolist() == [2, 1, 2, 0]


def test_the_hash_is_equal_in_another_process_and_differs_by_field_and_salt() -> None:
    _, business = catalogue()
    nothing = np.empty((200, 0), dtype=np.int64)
    level = HashLevel(64, ("account", "conversion"), "x")
    code = int(level.encode(nothing, business)[7])
    script = (
        "import numpy as np; from remeasure.impls.gr4ad.sid.business import Business, HashLevel;"
        "b = Business(np.array(['q']), np.array(['2']), np.array(['1']));"
        "print(HashLevel(64, ('account', 'conversion'), 'x').encode(np.empty((1, 0)), b)[0])"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(other.stdout) == code
    for another in (HashLevel(64, ("item",), "x"), HashLevel(64, ("account", "conversion"), "y")):
        assert not np.array_equal(another.encode(nothing, business), level.encode(nothing, business))


def test_equal_fields_have_equal_hashes_and_codes_are_spread() -> None:
    _, business = catalogue()
    codes = HashLevel(1000, ("account", "conversion")).encode(np.empty((200, 0)), business)
    assert len(set(codes.tolist())) == 15
    assert np.array_equal(codes[:15], codes[15:30])


def test_unknown_fields_and_schemes_are_named_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="field bid is not known; choose among: item, account, conversion"):
        HashLevel(4, ("bid",))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="scheme opq is not known; choose one of: rq, mr, "):
        tokenizer("opq")


def test_vectors_that_are_not_finite_are_refused_by_row() -> None:
    vectors, business = catalogue()
    vectors[3, 1] = np.nan
    with pytest.raises(UserError, match="item vectors, row 4: dimension 2 is nan; give finite numbers"):
        tokenizer("mr", SIZES).fit(vectors, business, np.random.default_rng(0))


def test_a_codebook_is_compared_with_the_distinct_vectors() -> None:
    vectors, business = catalogue()
    with pytest.raises(UserError, match="codebook 128 is larger than the 100 distinct vectors"):
        tokenizer("mr", (128, 8, 4)).fit(vectors, business, np.random.default_rng(0))


def test_each_residual_level_lowers_what_is_left_over() -> None:
    vectors, _ = distinct(catalogue()[0])
    books = ResidualKMeans((16, 16)).fit(vectors, np.random.default_rng(0))
    codes = books.encode(vectors)
    left = [np.square(vectors).sum()]
    for level, book in enumerate(books.codebooks):
        vectors = vectors - book.centres[codes[:, level]]
        left.append(np.square(vectors).sum())
    assert left[0] > left[1] > left[2]


def test_separation_of_a_catalogue_counted_by_hand() -> None:
    found = separation(np.array([[0, 1], [0, 1], [0, 1], [1, 0]]), (2, 2))
    assert (found.distinct, found.cpr, found.collided_share, found.excess) == (2, 2.0, 0.75, 0.5)
    assert (found.util, found.largest_bucket) == (0.5, 3)
