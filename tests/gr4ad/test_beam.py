"""The beam search against brute force, and what never changes its result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gr4ad.tiny_models import context, decoder, every_id, shape

from remeasure.errors import UserError
from remeasure.impls.gr4ad.decoder.steps import DecoderSteps, teacher_forced
from remeasure.impls.gr4ad.engine.beam import Beams, BeamSearch
from remeasure.impls.gr4ad.engine.brute import brute_force
from remeasure.impls.gr4ad.engine.trie import PrefixTrie, pack

CODES = (5, 4, 3)
FULL = (5, 20, 60)
ARMS = [{"parallel": 0}, {"parallel": 1}, {"parallel": 2}, {"fuse": "add"}, {"fuse": "concat"}, {"bins": 0}]


def search(model, encoded, widths=FULL, trie=None, kv="shared", **options) -> Beams:
    bins = model.shape.bins
    return BeamSearch(CODES, widths, value=bool(bins), **options).search(
        DecoderSteps(model, encoded, kv), trie
    )


def same(found: Beams, expected: Beams) -> None:
    torch.testing.assert_close(found.log_p, expected.log_p, rtol=0, atol=1e-4)
    assert torch.equal(found.codes, expected.codes)
    if expected.bins is not None:
        torch.testing.assert_close(found.bins, expected.bins, rtol=0, atol=1e-4)


@pytest.mark.parametrize("changed", ARMS, ids=str)
def test_at_full_width_the_beams_are_every_id_in_the_order_of_brute_force(changed):
    model = decoder(**changed)
    encoded = model.encode(context(3))
    same(search(model, encoded), brute_force(model, encoded, every_id(), chunk=7))


@pytest.mark.parametrize("changed", ARMS, ids=str)
def test_decoding_through_the_cache_gives_the_probabilities_of_teacher_forcing(changed):
    model = decoder(**changed)
    asked = context(60)
    tokens = torch.cat((every_id(), torch.arange(60)[:, None] % 4), dim=1)[:, : model.shape.positions]
    with torch.inference_mode():
        logits = model(asked, tokens).tokens
        stepped = teacher_forced(DecoderSteps(model, model.encode(asked)), tokens)
    for position, found in enumerate(stepped):
        expected = logits[position].log_softmax(-1).gather(1, tokens[:, position : position + 1])[:, 0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("parallel", [0, 2])
@pytest.mark.parametrize("widths", [(3, 7, 11), (5, 5, 5), (1, 4, 12)])
def test_copied_keys_and_values_find_what_shared_ones_find(parallel, widths):
    model = decoder(parallel=parallel)
    encoded = model.encode(context(3))
    same(search(model, encoded, widths, kv="replicated"), search(model, encoded, widths))


def test_a_cut_no_smaller_than_the_width_changes_nothing_and_a_smaller_one_may():
    model = decoder()
    encoded = model.encode(context(20))
    plain = search(model, encoded, (3, 3, 3))
    same(search(model, encoded, (3, 3, 3), precut=3), plain)
    assert not torch.equal(search(model, encoded, (3, 3, 3), precut=1).codes, plain.codes)
    assert search(model, encoded, (1, 4, 12), precut=1).codes.shape == (20, 12, 3)


def test_the_requests_of_a_batch_do_not_see_each_other():
    model = decoder()
    asked = context(4)
    together = search(model, model.encode(asked), (3, 5, 8))
    for request in range(4):
        alone = search(model, model.encode(asked.rows(slice(request, request + 1))), (3, 5, 8))
        assert torch.equal(alone.codes[0], together.codes[request])


def test_under_a_trie_only_its_ids_are_found_with_the_same_probabilities():
    model = decoder()
    encoded = model.encode(context(3))
    ids = every_id()[torch.randperm(60, generator=torch.Generator().manual_seed(1))[:9]]
    found = search(model, encoded, trie=PrefixTrie.of(ids.numpy(), CODES))
    there = found.log_p > -torch.inf
    assert there.sum(1).tolist() == [9, 9, 9]
    expected = brute_force(model, encoded, ids)
    assert torch.equal(found.codes[:, :9], expected.codes)
    torch.testing.assert_close(found.log_p[:, :9], expected.log_p, rtol=0, atol=1e-4)


def test_the_ids_of_a_narrow_constrained_search_are_in_the_index():
    model = decoder()
    ids = every_id()[::7]
    found = search(model, model.encode(context(5)), (2, 3, 4), PrefixTrie.of(ids.numpy(), CODES))
    ends = found.codes[found.log_p > -torch.inf].numpy()
    assert np.isin(pack(ends, CODES), pack(ids.numpy(), CODES)).all()


def test_the_trunk_does_not_depend_on_tokens_and_position_one_meets_no_fusion():
    model = decoder()
    asked = context(2)
    with torch.inference_mode():
        one = model(asked, torch.tensor([[0, 0, 0], [0, 0, 0]])).tokens
        other = model(asked, torch.tensor([[4, 3, 2], [1, 2, 1]])).tokens
        model.fuse.mix.weight.mul_(3)
        fused = model(asked, torch.tensor([[0, 0, 0], [0, 0, 0]])).tokens
    assert torch.equal(one[0], other[0])
    torch.testing.assert_close(one[0], fused[0])
    assert not torch.allclose(one[1], other[1], atol=1e-3)
    assert not torch.allclose(one[1], fused[1], atol=1e-3)


@pytest.mark.parametrize(
    ("widths", "sentence"),
    [
        ((6, 5, 5), "width 6 at level 1 exceeds its 5 codes; choose 1 to 5."),
        ((2, 9, 5), "width 9 at level 2 exceeds its 8 codes; choose 1 to 8."),
        ((0, 9, 5), "width 0 at level 1 keeps nothing; choose 1 to 5."),
        ((5, 5), "2 widths for 3 levels; give one width a level."),
    ],
)
def test_widths_that_cannot_be_are_refused(widths, sentence):
    with pytest.raises(UserError, match=sentence.replace(".", r"\.")):
        BeamSearch(CODES, widths)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"parallel": 9, "layers": 9},
            "K = 9 leaves no layer for the autoregressive stage; choose 1 to 8 of 9",
        ),
        ({"heads": 3}, "3 heads do not divide d = 16"),
    ],
)
def test_shapes_that_cannot_be_are_refused(changed, sentence):
    with pytest.raises(UserError, match=sentence):
        shape(**changed)
