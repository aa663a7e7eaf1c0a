"""Days, caches and updates as the cases run them: formulas, rebuilds, and what must hold whatever the clock says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.datasets.common.interactions import Items
from remeasure.datasets.complete_journey.loader import Journey, Request, load
from remeasure.errors import UserError
from remeasure.impls.gr4ad.engine.snapshots import Snapshot, Snapshots
from remeasure.impls.gr4ad.questions import Decoding
from remeasure.impls.gr4ad.runs import serving, updates
from remeasure.impls.gr4ad.runs.shop import Shop, served, shop_of
from remeasure.impls.gr4ad.serving import apart
from remeasure.impls.gr4ad.serving.cache import ResultCache
from remeasure.impls.gr4ad.serving.intake import Intake, extended, some
from remeasure.impls.gr4ad.serving.inverted import Inverted
from remeasure.impls.gr4ad.serving.questions import Cached, OneDay, UnderWay, Updating
from remeasure.impls.gr4ad.serving.simulation import Machine
from remeasure.impls.gr4ad.serving.visits import Visits
from remeasure.impls.gr4ad.sid.index import SIDIndex

DECODING = Decoding(parallel=2, widths=(4, 8, 8), codes=(16, 8, 8), d=16, layers=3, heads=4, history=7)
SHOP = Updating(ads=15, singles=2, sizes=(16, 8, 8), lists=6, decoding=DECODING)
DAY = OneDay(decoding=DECODING, hour=200.0, samples=3, k=5)
MACHINE = Machine(
    times=np.array([[0.010, 0.012], [0.012, 0.014], [0.014, 0.016], [0.016, 0.018]]),
    scale=np.array(DAY.factors),
    value=np.array([0.90, 0.92, 0.94, 0.96]),
    threads=2,
)


@lru_cache(maxsize=1)
def journey() -> Journey:
    return load(Request(households=60, products=200), None)


def shop(ads: int = 15) -> Shop:
    return shop_of(replace(SHOP, ads=ads), journey(), 0)


@pytest.fixture
def same_times(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Service times that no clock gave."""
    monkeypatch.setattr(serving, "measured", lambda asked, seed: MACHINE)
    yield


def of_day(policy: Any, load: float) -> dict[str, Any]:
    return serving.day(replace(DAY, policy=policy, load=load), journey(), 1)


# --- a day ---------------------------------------------------------------------------------------------------------


def test_hours_are_shares_of_the_busiest_one() -> None:
    times = np.array([0.0, 10.0, 3600.0, 86400.0, 86400.0 * 5 + 23 * 3600])
    shares = serving.by_hour_of_day(times)
    assert shares[[0, 1, 23]].tolist() == [1.0, 1 / 3, 1 / 3] and shares.sum() == pytest.approx(5 / 3)


def test_a_quiet_day_is_answered_in_full_and_wide_beams_are_worth_more(same_times: None) -> None:
    narrow, wide, tabs = (of_day(policy, 0.3) for policy in ("narrow", "wide", "adaptive"))
    for got in (narrow, wide, tabs):
        assert got["dropped"] == got["lost"] == 0
    assert narrow["value"] == pytest.approx(90) and wide["value"] == pytest.approx(96)
    assert 95 < tabs["value"] <= 96 and tabs["mean width"] > 1.5


def test_on_a_full_day_adaptive_widths_drop_no_more_than_narrow_ones_and_are_worth_more(
    same_times: None,
) -> None:
    narrow, wide, tabs = (of_day(policy, 1.0) for policy in ("narrow", "wide", "adaptive"))
    assert tabs["value"] > narrow["value"] > wide["value"]
    assert tabs["lost"] < narrow["lost"] + 2 < wide["lost"]
    assert narrow["busy"] < tabs["busy"] < wide["busy"] <= 100


def test_the_busiest_hour_has_the_load_that_is_asked_for(same_times: None) -> None:
    asked = replace(DAY, policy="narrow", load=0.7, hour=4000.0)
    hours: Any = serving.day(asked, journey(), 1)["extras"]
    assert max(hours["by hour"]["load"]) == pytest.approx(0.7, rel=0.05)


def test_the_same_seed_and_times_give_the_same_day(same_times: None) -> None:
    one, other = of_day("adaptive", 0.85), of_day("adaptive", 0.85)
    assert all(one[name] == other[name] for name in one if name != "extras")


def test_measured_machines_have_a_time_and_a_recall_for_every_width_and_request() -> None:
    machine = serving.measured(replace(DAY, samples=4), 0)
    assert machine.times.shape == (4, 4) and (machine.times > 0).all() and machine.threads == 2
    assert ((machine.value > 0) & (machine.value <= 1)).all()


def test_beams_as_wide_as_the_judging_ones_are_worth_everything() -> None:
    machine = serving.measured(replace(DAY, factors=(1.0, 4.0), judged=4.0), 0)
    assert machine.value[1] == pytest.approx(1.0)


# --- a cache -------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.9), st.floats(0.1, 60), st.floats(0, 200), st.integers(0, 99))
def test_hits_are_as_many_as_the_formula_says(again: float, gap: float, ttl: float, seed: int) -> None:
    visits = Visits(4000, again, gap)
    cache: ResultCache[bool] = ResultCache(ttl)
    hits = []
    for now, user in zip(*visits.requests(np.random.default_rng(seed)), strict=True):
        hits.append(cache.get(user, now) is not None)
        if not hits[-1]:
            cache.put(user, True, now)
    assert np.mean(hits) == pytest.approx(visits.hit_share(ttl), abs=0.05)


def test_the_trace_of_the_case_hits_as_often_as_the_paper_says() -> None:
    asked = Cached()
    share = Visits(asked.visits, asked.again, asked.gap).hit_share(60.0)
    assert share == pytest.approx(0.278, abs=0.0005)


def test_requests_come_in_order_and_every_visit_asks_at_least_once() -> None:
    times, visit = Visits(50, 0.5, 10.0).requests(np.random.default_rng(0))
    assert (np.diff(times) >= 0).all() and set(visit.tolist()) == set(range(50))


def test_a_cache_that_keeps_nothing_never_hits_and_a_longer_life_hits_more() -> None:
    hits = [
        serving.cached(Cached(ttl, decoding=DECODING, visits=40), 0)()["hits"] for ttl in (0.0, 15.0, 240.0)
    ]
    assert hits[0] == 0 and hits[0] < hits[1] < hits[2]  # type: ignore[operator]


@pytest.mark.parametrize("visits", ((0, 0.3, 1.0), (5, 1.0, 1.0), (5, 0.3, 0.0)))
def test_visits_that_cannot_be_are_refused(visits: tuple[int, float, float]) -> None:
    with pytest.raises(UserError, match="give at least one visit"):
        Visits(*visits)


# --- new ads -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", ("sid", "ivf"))
@pytest.mark.parametrize("how", ("put in", "built anew"))
def test_every_way_to_take_ads_in_ends_with_what_a_rebuild_has(index: Any, how: Any) -> None:
    run = updates.updating(replace(SHOP, index=index, how=how), journey(), 0)
    assert [run()["entries unlike a rebuild"] for _ in range(2)] == [0, 0]


def test_an_index_that_lacks_the_new_ads_is_told_from_a_rebuild(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(intake: Intake, ads: Items) -> Snapshot:
        intake.names.add(ads.ids, intake.reader.read(ads)[1])
        return intake.snapshots.current

    monkeypatch.setattr(Intake, "add", forgets)
    run = updates.updating(SHOP, journey(), 0)
    assert run()["entries unlike a rebuild"] >= SHOP.ads  # type: ignore[operator]


def test_a_new_ad_can_be_generated_and_old_ones_keep_their_places() -> None:
    made = shop()
    first = served(made, SHOP, 0)
    snapshots, names = Snapshots(first), SIDIndex.of(made.old.ids, made.sids)
    following = Intake(made.reader, snapshots, names).add(made.new)
    assert snapshots.current is following and following.version == 1
    before, after = first.catalogue, following.catalogue
    assert torch.equal(after.sids[: len(before.sids)], before.sids)
    assert torch.equal(after.vectors[: len(before.vectors)], before.vectors)
    places = len(made.old) + np.arange(len(made.new))
    index = following.recommender.index
    assert np.isin(places, index.item).all() and not np.isin(places, first.recommender.index.item).any()
    for name, place in zip(made.new.ids, places, strict=True):
        assert names.sid(name) == tuple(after.sids[place].tolist())
        packed = index.packed[index.item == place]
        found, _ = index.items(packed[None], np.zeros((1, 1)), len(index))
        assert place in found


def test_an_ad_that_is_there_already_changes_nothing() -> None:
    made = shop()
    snapshots = Snapshots(served(made, SHOP, 0))
    intake = Intake(made.reader, snapshots, SIDIndex.of(made.old.ids, made.sids))
    before = snapshots.current
    with pytest.raises(UserError, match="is in the index already"):
        intake.add(some(made.old, np.array([3])))
    assert snapshots.current is before and len(intake.names) == len(made.old)


def test_values_known_at_serving_are_asked_for_where_old_ads_have_them() -> None:
    made = shop()
    first = served(made, SHOP, 0)
    first = replace(first, recommender=replace(first.recommender, known=np.ones(len(made.old))))
    vectors, sids = made.reader.read(made.new)
    with pytest.raises(ValueError, match="give that of the new ones"):
        extended(first, made.new, vectors, sids)
    known = extended(first, made.new, vectors, sids, np.full(len(made.new), 2.0)).recommender.known
    assert known is not None and known.tolist() == [1.0] * len(made.old) + [2.0] * len(made.new)


def test_more_ads_than_there_are_products_are_refused() -> None:
    with pytest.raises(UserError, match="more than the catalogue's 200; ask for fewer"):
        shop(200)


def test_another_process_reads_the_same_ids_and_ends_with_what_asks_it() -> None:
    made = shop()
    reading = apart.ReadApart(made.reader)
    for _ in range(2):
        for one, other in zip(reading.read(made.new), made.reader.read(made.new), strict=True):
            assert np.array_equal(one, other)
    process = reading._process
    del reading
    assert process.poll() == 0


def test_a_process_that_has_died_is_said_to_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(_: object, **pipes: Any) -> Any:
        return subprocess.Popen([sys.executable, "-c", ""], **pipes)

    monkeypatch.setattr(apart, "Popen", dead)
    with pytest.raises(UserError, match="has died"):
        apart.ReadApart(shop().reader).read(shop().new)


@pytest.mark.parametrize("where", ("nowhere", "thread"))
def test_requests_are_answered_while_ads_come_in(where: Any) -> None:
    got = updates.under_way(UnderWay(where, 0.0, 5, SHOP), journey(), 0)()
    assert got["latency, p95"] >= got["latency, p50"] > 0  # type: ignore[operator]
    assert (got["updates meanwhile"] > 0) == (where == "thread")  # type: ignore[operator]


def test_an_update_that_fails_ends_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ArithmeticError("no")

    run = updates.under_way(UnderWay("thread", 0.0, 3, SHOP), journey(), 0)
    monkeypatch.setattr(updates, "extended", fails)
    with pytest.raises(ArithmeticError):
        run()


# --- vectors in lists ----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(0, 20), st.integers(1, 5), st.integers(0, 99))
def test_lists_that_items_are_put_in_equal_those_made_of_all(
    old: int, new: int, lists: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(old + new, 3)).astype(np.float32)
    centres = rng.normal(size=(lists, 3)).astype(np.float32)
    made = Inverted.of(vectors, centres)
    grown = Inverted.of(vectors[:old], centres).with_items(vectors[old:], np.arange(old, old + new))
    for name in ("begin", "item", "vectors"):
        assert np.array_equal(getattr(made, name), getattr(grown, name))


def test_all_lists_together_find_what_all_vectors_do() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 8)).astype(np.float32)
    made = Inverted.fitted(vectors, 7, rng)
    query = vectors[5]
    wanted = np.argsort(-(vectors @ query), kind="stable")[:10]
    assert made.find(query, 10, probes=7).tolist() == wanted.tolist()
    assert 5 in made.find(query * 0.01, 300, probes=7)
