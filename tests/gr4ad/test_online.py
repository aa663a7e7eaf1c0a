"""Continual learning: time only moves on, all arms meet the same stream, and a planted leak is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.datasets.adsim import loader as adsim
from remeasure.datasets.common.interactions import Log
from remeasure.datasets.uci_online_retail import loader as retail
from remeasure.errors import UserError
from remeasure.impls.gr4ad.engine.snapshots import Snapshot
from remeasure.impls.gr4ad.learning.prefer import id_log_p
from remeasure.impls.gr4ad.learning.train import Supervised
from remeasure.impls.gr4ad.measures import Ratio
from remeasure.impls.gr4ad.online.journal import Events, Journal, Shown, extended
from remeasure.impls.gr4ad.online.loop import Loop
from remeasure.impls.gr4ad.online.measures import Delays, first_of_users, joined, third_of
from remeasure.impls.gr4ad.online.questions import Online
from remeasure.impls.gr4ad.online.server import serving
from remeasure.impls.gr4ad.online.start import Start, begun
from remeasure.impls.gr4ad.online.streams import Hour, Month, filled, hours, months
from remeasure.impls.gr4ad.requests import Requests

ASKED = Online(
    scheme="mr+business", sizes=(16, 8, 8), dims=8, history=4, d=16, layers=2, parallel=1, heads=2, bins=4,
    weights=True, steps=3, widths=(4, 8, 16), steps_served=3, learning="vsl",
)  # fmt: skip


@lru_cache(maxsize=1)
def world() -> adsim.Adsim:
    return adsim.load(adsim.Request(ads=80, users=50, requests=10), None)


@lru_cache(maxsize=1)
def shop() -> retail.Retail:
    return retail.load(retail.Request(customers=120, products=80), None)


@lru_cache(maxsize=1)
def started() -> Start:
    return begun(world().test, ASKED, 0)


@lru_cache(maxsize=1)
def opened() -> Start:
    return begun(next(shop().months()), ASKED, 0)


def weights(loop: Loop) -> torch.Tensor:
    return torch.cat([part.detach().flatten() for part in loop.decoder.parameters()])


def log(counts: list[int]) -> Log:
    """Users with so many events, at the times 0, 1, 2 …"""
    events = sum(counts)
    return Log(
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        np.arange(events),
        np.ones(events),
        np.zeros(events, dtype=np.int64),
        np.concatenate([np.arange(many, dtype=float) for many in [0, *counts]]),
        np.arange(events),
    )


def events(user: list[int], time: list[float]) -> Events:
    many = len(user)
    return Events(
        np.array(user, dtype=np.int64),
        np.arange(100, 100 + many),
        np.ones(many),
        np.zeros(many, dtype=np.int64),
        np.array(time, dtype=float),
        np.arange(many),
    )


def shown(user: list[int], time: list[float], length: list[int]) -> Shown:
    many = (len(user), 2)
    return Shown(
        np.array(user, dtype=np.int64),
        np.array(time, dtype=float),
        np.array(length, dtype=np.int64),
        np.zeros(many, dtype=np.int64),
        np.ones(many, dtype=bool),
        np.ones(many),
        np.zeros(many, dtype=np.int64),
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.data())
def test_a_log_grows_at_the_end_of_each_user_and_stays_in_order(
    counts: list[int], data: st.DataObject
) -> None:
    users = sorted(data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=8)))
    before = log(counts)
    after = extended(before, events(users, [10.0 + place for place in range(len(users))]))
    assert after.offsets[-1] == len(after) == len(before) + len(users)
    for user in range(len(counts)):
        own = slice(after.offsets[user], after.offsets[user + 1])
        old = slice(before.offsets[user], before.offsets[user + 1])
        assert after.item[own].tolist() == [
            *before.item[old], *(100 + place for place, of in enumerate(users) if of == user)
        ]  # fmt: skip
        assert (np.diff(after.time[own]) >= 0).all()
    assert (np.diff(after.basket) == 1).all()


@pytest.mark.parametrize("time", [3.0, 8.0, 9.0])
def test_an_event_outside_its_step_is_refused_with_the_first_offender(time: float) -> None:
    journal = Journal(log([2, 2]), 4.0)
    with pytest.raises(UserError, match=rf"event 1 of a step, of user 1, happened at {time:.0f}, .* 4 to 8"):
        journal.add(events([0, 1], [5.0, time]), shown([0], [5.0], [2]), 8.0)
    with pytest.raises(UserError, match=f"list 0 of a step, of user 1, happened at {time:.0f}"):
        journal.add(events([0], [5.0]), shown([1], [time], [2]), 8.0)


def test_an_event_of_an_unknown_user_is_refused() -> None:
    with pytest.raises(UserError, match="an event is of user 2, but there are 2"):
        extended(log([1, 1]), events([2], [5.0]))


def test_a_history_that_holds_what_came_after_its_request_is_refused() -> None:
    journal = Journal(log([2, 2]), 4.0).add(events([0], [6.0]), shown([0], [5.0], [3]), 8.0)
    with pytest.raises(
        UserError, match="the history of list 0, of user 0, goes on to 6, but the request was at 5"
    ):
        journal.rows()


class Leaking(Month):
    """A month with a basket of the next one among its events."""

    def answered(self, rows, lists, offers):  # type: ignore[no-untyped-def]
        found, lists_shown = super().answered(rows, lists, offers)
        time = found.time.copy()
        time[-1] = self.end + 1
        return replace(found, time=time), lists_shown


def test_a_planted_leak_stops_the_loop_before_it_learns() -> None:
    loop = Loop(opened(), ASKED, 0, 10, fresh=True)
    month = next(months(shop(), 1))
    before = weights(loop).clone()
    with pytest.raises(UserError, match="give the rows in order of time"):
        loop.step(Leaking(month.split, month.log, month.begin, month.end))
    assert torch.equal(weights(loop), before)
    assert loop.snapshots.current.version == 1


def test_the_future_changes_nothing_that_was_learned_before() -> None:
    data = shop()
    cut = next(months(data, 1)).end
    late = data.log.time >= cut
    rng = np.random.default_rng(0)
    item = np.where(late, rng.permutation(data.log.item), data.log.item)
    other = replace(data, log=replace(data.log, item=item, value=data.log.value + 1e6 * late))
    first, second = (Loop(opened(), ASKED, 0, 10, fresh=True) for _ in range(2))
    for loop, of in ((first, data), (second, other)):
        loop.step(next(months(of, 1)))
    assert torch.equal(weights(first), weights(second))


@pytest.mark.parametrize("learning", ["frozen", "scratch", "ntp", "vsl", "fixed", "uvr"])
def test_versions_grow_with_every_change_and_the_same_seed_gives_the_same_bytes(learning: str) -> None:
    asked = replace(ASKED, learning=learning)
    loops = [Loop(started(), asked, 0, 10) for _ in range(2)]
    begun_with = weights(loops[0]).clone()
    served = [list(loop.run(hours(world(), 0, 3))) for loop in loops]
    versions = [one.version for one in served[0]]
    assert versions == ([1, 1, 1] if learning == "frozen" else [1, 2, 3])
    assert torch.equal(weights(loops[0]), weights(loops[1]))
    assert torch.equal(weights(loops[0]), begun_with) == (learning == "frozen")
    for one, same in zip(*served, strict=True):
        assert np.array_equal(one.lists, same.lists)


def test_no_update_before_it_is_due() -> None:
    served = list(Loop(started(), replace(ASKED, every=2), 0, 10).run(hours(world(), 0, 5)))
    assert [one.version for one in served] == [1, 1, 2, 2, 3]


def test_only_ads_on_offer_are_shown_and_the_index_is_what_a_rebuild_gives() -> None:
    loop = Loop(started(), ASKED, 0, 10)
    for served in loop.run(hours(world(), 0, 26)):
        assert np.isin(served.lists[served.lists >= 0], served.step.offered).all()
    snapshot = loop.snapshots.current
    assert np.array_equal(np.sort(snapshot.recommender.index.item), served.step.offered)
    whole = started().naming.catalogue(served.step.items)
    assert torch.equal(whole.sids, snapshot.catalogue.sids)
    assert torch.equal(whole.vectors, snapshot.catalogue.vectors)


def test_every_policy_meets_the_same_requests() -> None:
    rows = [
        [(one.rows.user, one.rows.time) for one in Loop(started(), replace(ASKED, learning=how), 0, 10).run(
            hours(world(), 0, 2)
        )]
        for how in ("frozen", "vsl")
    ]  # fmt: skip
    for one, other in zip(*rows, strict=True):
        assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


def test_the_log_of_an_hour_holds_every_click_and_what_was_shown() -> None:
    hour: Hour = next(hours(world(), 0, 1))
    rows = hour.requests(world().test.train)
    lists = np.tile(hour.offered[:10], (len(rows), 1))
    found, listed = hour.answered(rows, lists, 10)
    assert listed.took.sum() == len(found.user) > 0
    assert np.array_equal(listed.item, lists)
    row, place = np.nonzero(listed.took)
    assert sorted(found.value) == sorted(listed.value[row, place])
    assert (np.diff(found.user) >= 0).all()


def test_every_item_of_a_basket_stands_in_one_list_and_the_rest_was_not_bought() -> None:
    month = next(months(shop(), 1))
    rows = month.requests(month.log)
    lists = np.tile(month.offered[:40], (len(rows), 1))
    found, listed = month.answered(rows, lists, 6)
    whose, place = np.nonzero(listed.took)
    assert len(whose) == len(rows.item)
    bought = {(int(u), float(t), int(i)) for u, t, i in zip(
        rows.user[rows.row()], rows.time[rows.row()], rows.item, strict=True
    )}  # fmt: skip
    taken = {(int(listed.user[m]), float(listed.time[m]), int(listed.item[m, n])) for m, n in zip(
        whose, place, strict=True
    )}  # fmt: skip
    assert taken == bought
    for m, n in zip(*np.nonzero(~listed.took), strict=True):
        key = (int(listed.user[m]), float(listed.time[m]), int(listed.item[m, n]))
        assert (key in bought) == (listed.item[m, n] == listed.item[m, 0])
    assert set(np.unique(rows.user)) <= set(np.unique(found.user))


def test_judged_rows_of_a_month_are_those_of_its_split() -> None:
    for month in months(shop(), 2):
        rows = month.requests(month.log)
        first = rows.select(first_of_users(rows, month.begin))
        assert np.array_equal(first.user, month.split.rows.user)
        assert np.array_equal(first.item, month.split.rows.item)
        assert np.array_equal(first.new(), month.split.rows.new())
        assert np.allclose(first.spent(), month.split.rows.spent())


@given(st.integers(3, 40))
def test_thirds_follow_each_other_and_none_is_empty(steps: int) -> None:
    thirds = [third_of(step, steps) for step in range(steps)]
    assert thirds == sorted(thirds) and set(thirds) == {1, 2, 3}


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 9), st.floats(0.1, 9)), min_size=1, max_size=9))
def test_users_without_a_row_leave_the_ratio_as_it_is(rows: list[tuple[int, float, float]]) -> None:
    user, found, of = (np.array(column) for column in zip(*rows, strict=True))
    ratio = Ratio(user.astype(np.int64), found, of)
    whole = joined([ratio], np.arange(6))
    users, values = whole.by_user()
    assert users.tolist() == list(range(6))
    assert values.mean() == pytest.approx(ratio.overall())


def test_an_ad_waits_until_it_is_shown_or_taken_off() -> None:
    delays = Delays(np.array([0, 1]))
    delays.add(np.array([0, 1]), 0.0, np.array([[0]]), np.array([0.0]))
    delays.add(np.array([1, 2, 3, 4]), 10.0, np.array([[1], [3], [3]]), np.array([11.0, 12.0, 13.0]))
    delays.add(np.array([1, 3, 4]), 20.0, np.array([[1]]), np.array([21.0]))
    ads, ever, waited = delays.of(30.0)
    assert ads.tolist() == [2, 3, 4]
    assert ever.tolist() == [False, True, False]
    assert waited.tolist() == [10.0, 2.0, 20.0]


@pytest.mark.parametrize("how", ["ntp", "vsl"])
def test_pairs_read_from_lists_have_the_loss_that_each_has_alone(how: str) -> None:
    loop = Loop(started(), replace(ASKED, learning=how, every=9), 0, 10)
    list(loop.run(hours(world(), 0, 1)))
    lesson = loop.lesson(loop.snapshots.current.catalogue)
    ids = lesson.samples.requests.catalogue.sids[lesson.item]
    tokens = torch.cat((ids, lesson.samples.bin[lesson.pair][..., None]), dim=-1).flatten(0, 1)
    context = lesson.samples.requests.batch(torch.arange(len(lesson)))
    with torch.no_grad():
        logits = loop.decoder.eval()(context, tokens)
        weight = lesson.samples.weight[lesson.pair]
        found, imitated = loop.learner.read(logits, tokens, lesson.pair, weight)
        plain = Supervised(value_token=how != "ntp", weights=how != "ntp")
        alone = plain.losses(loop.decoder, *lesson.samples.batch(torch.arange(len(lesson.samples))))
        torch.testing.assert_close(imitated, alone)
        torch.testing.assert_close(found, id_log_p(loop.decoder, context, ids))


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_a_list_that_ends_goes_on_with_its_first_item(lengths: list[int]) -> None:
    item = np.array([[*range(many), *([-1] * (4 - many))] for many in lengths])
    got, value = filled(item, item + 1.0)
    assert (got >= 0).all()
    assert np.array_equal(got + 1.0, value)


def test_a_server_in_another_process_answers_with_the_snapshot_that_was_in_use_when_it_was_asked() -> None:
    loop = Loop(started(), ASKED, 0, 10)
    loop.step(next(hours(world(), 0, 1)))
    later = loop.snapshots.current
    first = Snapshot.of(1, replace(later.recommender, decoder=started().decoder), later.catalogue)
    rows = world().test.rows.select(np.arange(3))
    requests = Requests.of(rows, later.catalogue, ASKED.history, 1.0)
    with serving(first) as server:
        server.send(requests, 5)
        server.swap(later)
        server.send(requests, 5)
        answers = [server.receive() for _ in range(2)]
    for got, snapshot in zip(answers, (first, later), strict=True):
        whole = snapshot.answer(requests, 5)
        assert got.seconds > 0
        assert got.answer.version == whole.version == snapshot.version
        assert np.array_equal(got.answer.items, whole.items)
