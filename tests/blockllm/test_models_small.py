"""The small models of bytes: of their size, trained once, and better than guessing."""

from __future__ import annotations

import math
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from remeasure.impls.blockllm.groups import places, signature, tensors_at
from remeasure.impls.blockllm.models import corpus, forward, variants
from remeasure.impls.blockllm.models.small import WIDTH_32, WIDTH_128, WIDTH_192, small, untrained

WORDS = ["river", "stone", "lamp", "quiet", "under", "seven", "walks", "the", "a", "and"]
TEXT = " ".join(np.random.default_rng(0).choice(WORDS, size=900))
HELD_OUT = " ".join(np.random.default_rng(1).choice(WORDS, size=200))


def test_a_small_model_learns_the_language_of_its_text_and_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small(TEXT, WIDTH_32, steps=60, root=tmp_path)
    blocks = corpus.blocks(corpus.encode(WIDTH_32, HELD_OUT), 64)
    assert forward.surprise(model, blocks, 64).mean() < 0.6 * math.log(256)
    assert (model.name, model.parent, model.delta) == ("bytes-32", "", None)
    assert len(list(tmp_path.iterdir())) == 1

    monkeypatch.setattr(variants, "train", lambda *a: pytest.fail("it was trained again"))
    again = small(TEXT, WIDTH_32, steps=60, root=tmp_path)
    for a, b in zip(model.groups, again.groups, strict=True):
        assert all(torch.equal(a[name], b[name]) and a[name].dtype == torch.float16 for name in a)


def test_the_small_models_have_the_size_that_is_said_and_can_be_stitched() -> None:
    numbers = sum(prod(s.shape) for place in places(WIDTH_128) for s in tensors_at(WIDTH_128, place))
    assert f"{numbers / 1e6:.2f}" == "0.82"
    assert places(WIDTH_128) == places(WIDTH_192)
    one, other = signature(WIDTH_128, "attn"), signature(WIDTH_192, "attn")
    assert (one.rope_theta, one.head_dim) == (other.rope_theta, other.head_dim)


def test_random_models_are_those_of_the_seed() -> None:
    one, same, other = (untrained(WIDTH_32, seed).groups[1]["q"] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other) and one.dtype == torch.float16
