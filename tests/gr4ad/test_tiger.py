"""The encoder-decoder baseline: exact beams, and what it learns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from gr4ad.tiny_models import every_id
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.datasets.adsim.loader import Request, load
from remeasure.datasets.common.interactions import Log, Rows, training_rows
from remeasure.errors import UserError
from remeasure.impls.gr4ad.baselines import popularity
from remeasure.impls.gr4ad.baselines.config import Popularity
from remeasure.impls.gr4ad.baselines.tiger.config import Tiger
from remeasure.impls.gr4ad.baselines.tiger.model import TigerModel, fit
from remeasure.impls.gr4ad.baselines.tiger.network import Network, TigerSteps
from remeasure.impls.gr4ad.engine.beam import BeamSearch
from remeasure.impls.gr4ad.engine.index import Index
from remeasure.impls.gr4ad.engine.trie import PrefixTrie
from remeasure.impls.gr4ad.measures import judge

CODES = (5, 4, 3)
TINY = Tiger(size=6, dim=16, encoder=2, decoder=2, heads=2, batch=16, epochs=3, beam=60)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def walks(users: int = 40, events: int = 9, items: int = 12, step: int = 1) -> Log:
    """Users who take one item after the other, each from another begin; two items a basket every third time."""
    user, place = np.divmod(np.arange(users * events), events)
    basket = user * events + place - (place % 3 == 2)
    return Log(
        offsets=np.arange(users + 1) * events,
        item=(user * 5 + place * step) % items,
        value=np.ones(users * events),
        depth=np.zeros(users * events, dtype=np.int64),
        time=(basket % events).astype(float),
        basket=basket,
    )


def model(seed: int = 0, **changed: object) -> TigerModel:
    """Drawn weights, large enough that tokens and histories matter."""
    sids = every_id().numpy()[::5]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(CODES, Tiger(**(vars(TINY) | changed)))
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 2:
                weight.mul_(2)
    return TigerModel(
        Tiger(**(vars(TINY) | changed)), network.eval(), torch.from_numpy(sids), Index.of(sids, CODES)
    )


def questions(users: int = 4) -> Rows:
    return training_rows(walks(users))


def scored(made: TigerModel, rows: Rows, ids: torch.Tensor) -> torch.Tensor:
    """log p of every id for every row, by teacher forcing, float32 [R, ids]."""
    with torch.inference_mode():
        found = made.network(made.read(rows), ids.repeat(len(rows), 1))
    return found.view(len(rows), len(ids))


def test_at_full_width_the_beams_are_every_id_in_the_order_of_brute_force():
    made, rows = model(), questions()
    found = BeamSearch(CODES, (5, 20, 60), value=False).search(TigerSteps(made.network, _read(made, rows)))
    log_p, order = scored(made, rows, every_id()).sort(dim=1, descending=True, stable=True)
    torch.testing.assert_close(found.log_p, log_p, rtol=0, atol=1e-4)
    assert torch.equal(found.codes, every_id()[order])
    assert log_p.std(1).min() > 0.5


def test_probabilities_of_all_ids_sum_to_one():
    made, rows = model(), questions()
    torch.testing.assert_close(scored(made, rows, every_id()).exp().sum(1), torch.ones(len(rows)))


def test_only_ids_of_the_trie_are_found_with_unchanged_probabilities():
    made, rows = model(), questions()
    ids = every_id()[[2, 3, 17, 40, 58]]
    trie = PrefixTrie.of(ids.numpy(), CODES)
    found = BeamSearch(CODES, (5, 20, 60), value=False).search(
        TigerSteps(made.network, _read(made, rows)), trie
    )
    log_p, order = scored(made, rows, ids).sort(dim=1, descending=True)
    torch.testing.assert_close(found.log_p[:, :5], log_p, rtol=0, atol=1e-4)
    assert torch.equal(found.codes[:, :5], ids[order])
    assert torch.isneginf(found.log_p[:, 5:]).all()


@settings(max_examples=20, deadline=None)
@given(length=st.integers(1, 5), more=st.integers(1, 5), seed=st.integers(0, 99))
def test_padding_in_a_batch_changes_no_request(length, more, seed):
    made, g = model(), torch.Generator().manual_seed(seed)
    codes = torch.stack([torch.randint(0, size, (2, 6), generator=g) for size in CODES], dim=2)
    there = torch.arange(6) >= torch.tensor([[6 - length], [6 - min(6, length + more)]])
    ids = every_id()[torch.randint(0, 60, (2,), generator=g)]
    with torch.inference_mode():
        together = made.network(made.network.read(codes, there), ids)
        alone = made.network(made.network.read(codes[:1, 6 - length :], there[:1, 6 - length :]), ids[:1])
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-4)


def test_the_history_is_read_in_both_directions_and_in_its_order():
    made, ids = model(), every_id()[:1]
    codes = torch.stack([torch.arange(6) % size for size in CODES], dim=1)[None]
    there = torch.ones(1, 6, dtype=torch.bool)
    with torch.inference_mode():
        asked = [made.network(made.network.read(given, there), ids) for given in (codes, codes.flip(1))]
    assert not torch.allclose(*asked, atol=1e-3)


def test_what_always_follows_is_learned():
    sids = every_id().numpy()[:12]
    learned = fit(walks(), sids, CODES, Tiger(**(vars(TINY) | {"epochs": 12, "learning_rate": 5e-3})), _rng())
    rows = training_rows(walks(users=12))
    hits = judge(learned.top(rows, 2)[0], rows).hits(2).overall()
    assert hits > 0.9


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    sids = every_id().numpy()[:12]
    torch.manual_seed(7)
    state = torch.get_rng_state()
    one, again, other = (fit(walks(), sids, CODES, TINY, _rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [
        [w.numpy().tobytes() for w in made.network.state_dict().values()] for made in (one, again, other)
    ]
    assert weights[0] == weights[1] != weights[2]
    tops = [made.top(questions(), 5) for made in (one, again)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*tops, strict=True))


def test_lists_hold_every_item_once_and_leave_out_what_was_seen():
    made, rows = model(), questions()
    items, scores = made.top(rows, 20)
    assert items.dtype == np.int64
    assert scores.dtype == np.float32
    assert (np.sort(items, axis=1)[:, 8:] == np.arange(12)).all()
    assert (np.diff(scores[:, :12], axis=1) <= 0).all()
    unseen, scores = made.top(rows, 20, exclude_seen=True)
    for row in range(len(rows)):
        seen = set(rows.log.item[rows.start[row] : rows.end[row]])
        assert [item for item in items[row] if item >= 0 and item not in seen] == [
            i for i in unseen[row] if i >= 0
        ]
    assert (np.isneginf(scores) == (unseen < 0)).all()


def test_batches_change_no_list(monkeypatch):
    made, rows = model(), questions(6)
    whole = made.top(rows, 8)[0]
    monkeypatch.setattr("remeasure.impls.gr4ad.baselines.tiger.model.BATCH", 3)
    assert (made.top(rows, 8)[0] == whole).all()


def test_multiplications_are_those_of_the_maps_and_attentions():
    made = model(beam=4)
    rows = questions().select(np.array([4]))  # of more than six events, of which six are read
    n, d, beams = 18, 16, (1, 4, 4)
    reader = n * (4 * d * d + 8 * d * d) + 2 * n * n * d
    keys = n * 2 * d * d
    writer = sum(b * (4 + 2 + 8) * d * d + 2 * b * n * d + 2 * b * (t + 1) * d for t, b in enumerate(beams))
    heads = sum(b * d * size for b, size in zip(beams, CODES, strict=True))
    assert made.macs(rows) == 2 * (reader + keys + writer) + heads


def test_what_cannot_be_is_refused():
    sids = every_id().numpy()[:12]
    with pytest.raises(UserError, match="3 heads do not divide d = 16; choose a number that does"):
        fit(walks(), sids, CODES, Tiger(dim=16, heads=3), _rng())
    with pytest.raises(UserError, match="nobody has two baskets"):
        fit(walks(events=1), sids, CODES, TINY, _rng())
    with pytest.raises(UserError, match="the loss of TIGER is nan in epoch 1, step 1"):
        fit(walks(), sids, CODES, Tiger(**(vars(TINY) | {"learning_rate": float("inf")})), _rng())


def test_watching_may_end_the_training_early():
    told = []
    fit(
        walks(),
        every_id().numpy()[:12],
        CODES,
        TINY,
        _rng(),
        lambda epoch, made: bool(told.append(epoch)) or epoch == 2,
    )
    assert told == [1, 2]


def test_on_simulated_ads_it_learns_more_than_popularity():
    data = load(Request(ads=60, users=120, requests=20), None)
    content = data.world.ads.content
    sids = np.stack([content[:, :3].argmax(1), content[:, 3:7].argmax(1), np.zeros(60, np.int64)], axis=1)
    sids[:, 2] = _rank_in_bucket(sids[:, 0] * 4 + sids[:, 1])
    codes = (3, 4, int(sids[:, 2].max()) + 1)
    config = Tiger(dim=32, encoder=1, decoder=1, heads=2, epochs=3, batch=64, beam=40, learning_rate=1e-2)
    log, rows = data.test.train, data.test.rows
    found = fit(log, sids, codes, config, _rng()).top(rows, 10)[0]
    usual = popularity.fit(log, data.test.items, Popularity(), _rng()).top(rows, 10)[0]
    assert judge(found, rows).hits(10).overall() > judge(usual, rows).hits(10).overall() + 0.05


def _read(made: TigerModel, rows: Rows) -> list:
    with torch.inference_mode():
        return made.read(rows)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _rank_in_bucket(bucket: np.ndarray) -> np.ndarray:
    order = np.argsort(bucket, kind="stable")
    ordered = bucket[order]
    rank = np.empty(len(bucket), dtype=np.int64)
    rank[order] = np.arange(len(bucket)) - np.searchsorted(ordered, ordered)
    return rank
