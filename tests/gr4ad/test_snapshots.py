"""Snapshots that take each other's place while requests go on: an answer is of one of them, never of two."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from gr4ad.tiny_models import INPUTS, context, decoder, every_id

from remeasure.impls.gr4ad.engine.beam import Beams, BeamSearch
from remeasure.impls.gr4ad.engine.index import Index
from remeasure.impls.gr4ad.engine.snapshots import Answer, Snapshot, Snapshots
from remeasure.impls.gr4ad.recommend import Recommender
from remeasure.impls.gr4ad.requests import Catalogue, Requests

CODES = (5, 4, 3)
ITEMS = 30
K = 6


def catalogue(seed: int) -> Catalogue:
    """The same items with other ids for every seed, as after another tokenizer."""
    known = context(1, size=ITEMS)
    sids = every_id()[torch.randperm(60, generator=torch.Generator().manual_seed(seed))[:ITEMS]]
    return Catalogue(known.content[0], sids, known.account[0], known.conversion[0], INPUTS)


def snapshot(version: int, search: BeamSearch | None = None) -> Snapshot:
    """Of another model, other ids and other ads for each of the versions 1 and 2."""
    known = catalogue(version)
    index = Index.of(known.sids.numpy(), CODES, np.arange(version - 1, ITEMS, 2))
    made = Recommender(decoder(version), search or BeamSearch(CODES, (5, 12, 20)), index)
    return Snapshot.of(version, made, known)


def requests() -> Requests:
    """Of a catalogue that no snapshot has: what answers must not read."""
    item = torch.arange(8).view(2, 4)
    return Requests(catalogue(9), item, torch.zeros(2, 4), torch.zeros(2, 1))


def of_one(answer: Answer, whole: dict[int, Answer]) -> bool:
    """Whether an answer is that of the version whose number it carries; odd versions are 1's, even ones 2's."""
    expected = whole[2 - answer.version % 2]
    return np.array_equal(answer.items, expected.items) and np.allclose(
        answer.scores, expected.scores, rtol=0, atol=1e-5
    )


@pytest.fixture(scope="module")
def whole() -> dict[int, Answer]:
    return {version: snapshot(version).answer(requests(), K) for version in (1, 2)}


@dataclass(frozen=True)
class Interrupted(BeamSearch):
    """Something happens between a search and what is made of it."""

    happens: Callable[[], None] = lambda: None

    def search(self, steps, trie=None) -> Beams:
        found = super().search(steps, trie)
        self.happens()
        return found


class Careless(Snapshots):
    """A server that asks for the current snapshot more than once a request."""

    def answer(self, requests, k, order="log p") -> Answer:
        asked = replace(requests, catalogue=self.current.catalogue)
        beams = self.current.recommender.beams(asked)
        return Answer(self.current.version, *self.current.recommender.ranked(beams, k, order))


@pytest.mark.parametrize(("kind", "version", "right"), [(Snapshots, 1, True), (Careless, 2, False)])
def test_a_request_ends_with_the_snapshot_it_began_with_and_a_planted_mixture_is_caught(
    whole, kind, version, right
):
    following = snapshot(2)
    first = snapshot(1, Interrupted(CODES, (5, 12, 20), happens=lambda: held.swap(following)))
    held = kind(first)
    answer = held.answer(requests(), K)
    assert held.current is following
    assert answer.version == version
    assert of_one(answer, whole) is right
    assert of_one(held.answer(requests(), K), whole)


def test_the_answers_of_threads_during_swaps_are_each_of_one_version(whole):
    kinds = {1: snapshot(1), 0: snapshot(2)}
    held, done = Snapshots(kinds[1]), threading.Event()

    def swapping() -> None:
        version = 1
        while not done.wait(1e-4):
            version += 1
            held.swap(replace(kinds[version % 2], version=version))

    def asking(_: int) -> list[Answer]:
        answers: list[Answer] = []
        while len({answer.version for answer in answers}) < 8 and len(answers) < 1000:
            answers.append(held.answer(requests(), K))
        return answers

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            swapper = pool.submit(swapping)
            asked = list(pool.map(asking, range(3)))
            done.set()
            swapper.result()
    finally:
        done.set()
        sys.setswitchinterval(before)
    for answers in asked:
        assert {answer.version % 2 for answer in answers} == {0, 1}
        assert all(of_one(answer, whole) for answer in answers)
        versions = [answer.version for answer in answers]
        assert versions == sorted(versions)


def test_what_training_does_afterwards_does_not_reach_a_snapshot(whole):
    known = catalogue(1)
    made = Recommender(decoder(1), BeamSearch(CODES, (5, 12, 20)), Index.of(known.sids.numpy(), CODES))
    taken = Snapshot.of(1, made, known)
    before = taken.answer(requests(), K)
    with torch.no_grad():
        for weight in made.decoder.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    after = taken.answer(requests(), K)
    assert np.array_equal(before.items, after.items)
    assert np.array_equal(before.scores, after.scores)
    assert not np.array_equal(Snapshot.of(2, made, known).answer(requests(), K).items, after.items)


def test_another_process_gets_the_same_snapshot(whole):
    assert of_one(pickle.loads(pickle.dumps(snapshot(1))).answer(requests(), K), whole)


def test_ids_of_another_catalogue_make_no_snapshot():
    with pytest.raises(ValueError, match="version 3 is a mixture"):
        Snapshot.of(3, snapshot(1).recommender, catalogue(2))


@pytest.mark.parametrize("version", [1, 2])
def test_versions_only_grow(version):
    held = Snapshots(snapshot(2))
    with pytest.raises(ValueError, match=f"version {version} does not follow 2"):
        held.swap(replace(snapshot(1), version=version))
    assert held.current.version == 2
