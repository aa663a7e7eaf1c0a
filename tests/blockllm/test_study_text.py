"""Documents as blocks: which tokens are taken, and that figures are means of documents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from blockllm.study_models import text

from remeasure.errors import UserError
from remeasure.impls.blockllm.models.small import WIDTH_32
from remeasure.impls.blockllm.study.text import cut, joined

DOCUMENTS = ["a" * 5, "abcdefghij" * 3, "ü" * 8, "0123456789" * 40]


def test_the_first_blocks_of_documents_that_are_long_enough_are_taken() -> None:
    found = cut(WIDTH_32, DOCUMENTS, length=7, each=2)
    assert found.document.tolist() == [0, 0, 1, 1, 2, 2]
    assert (found.documents, found.length, found.tokens) == (3, 7, 42)
    assert bytes(found.blocks[0].tolist()) == b"abcdefgh"
    assert bytes(found.blocks[1].tolist()) == b"hijabcde"
    assert bytes(found.blocks[4].tolist()) == b"01234567"
    assert cut(WIDTH_32, DOCUMENTS, length=7, each=2, most=1).documents == 1


def test_a_document_with_more_characters_than_tokens_is_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one_a_hundred(config: object, words: str) -> torch.Tensor:
        return torch.zeros(len(words) // 100, dtype=torch.int64)

    monkeypatch.setattr("remeasure.impls.blockllm.study.text.encode", one_a_hundred)
    assert cut(WIDTH_32, ["x" * 900, "x" * 200], length=7).documents == 1


def test_documents_that_are_all_too_short_are_refused() -> None:
    with pytest.raises(UserError, match=r"none of 4 documents has 1001 tokens; give longer ones"):
        cut(WIDTH_32, DOCUMENTS, length=500, each=2)


def test_figures_are_means_of_documents() -> None:
    one = text(documents=2, each=2, length=3)
    values = torch.tensor([0.0, 0, 3, 1, 1, 1, 5, 5, 5, 7, 7, 7])
    assert one.means(values).tolist() == [1.0, 6.0]


def test_joined_texts_keep_their_documents_apart() -> None:
    both = joined([text(documents=2, seed=1), text(documents=3, seed=2)])
    assert both.document.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert torch.equal(both.blocks[4:], text(documents=3, seed=2).blocks)
    assert np.isfinite(both.means(torch.zeros(both.tokens))).all()


def test_halves_have_no_document_in_common() -> None:
    one = text(documents=5, each=2)
    even, odd = one.halves()
    assert torch.equal(even, one.blocks[[0, 1, 4, 5, 8, 9]]) and torch.equal(odd, one.blocks[[2, 3, 6, 7]])
    with pytest.raises(ValueError, match="one document has no halves"):
        text(documents=1).halves()
