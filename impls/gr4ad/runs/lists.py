"""Ranked lists on a data set's test rows: any arm is fitted to the training part, asked, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from remeasure.datasets.common.interactions import Interactions, Split

from ..arms import Recommending, fitted
from ..cases.metrics import (
    FIT,
    HR_10,
    HR_10_COLD,
    HR_10_EVERY,
    HR_50,
    NDCG_10,
    NDCG_10_COLD,
    SERVE,
    VR_50,
    VR_50_EVERY,
    VR_50_RAW,
)
from ..measures import Judged, judge, kept

LENGTH = 50


def office(asked: Recommending, data: Interactions, seed: int) -> Callable[[], dict[str, object]]:
    """All rows, nothing masked, and beside it the rows whose target never occurs in training. A list's item counts as
    a hit where it has the published id of the target: 15 ids are shared by two items."""

    def run() -> dict[str, object]:
        split = data.test
        (lists,), costs = _asked(asked, split, seed, (False,))
        every = judge(lists, split.rows, codes=split.items.sids)
        cold = judge(lists, split.rows, kept(split, "cold"), codes=split.items.sids)
        every_users, found = _by_user(every, {HR_10.name: "hits", NDCG_10.name: "ndcg"}, data)
        cold_users, found_cold = _by_user(cold, {HR_10_COLD.name: "hits", NDCG_10_COLD.name: "ndcg"}, data)
        units = {HR_10.per: every_users, HR_10_COLD.per: cold_users}
        return {"units": units, **found, **found_cold, **costs}

    return run


def retail(asked: Recommending, data: Interactions, seed: int) -> Callable[[], dict[str, object]]:
    """Items new to the customer, from lists without what he had; and beside it all items of the same basket."""

    def run() -> dict[str, object]:
        split = data.test
        (new_lists, lists), costs = _asked(asked, split, seed, (True, False))
        new = kept(split, "new")
        of_new = judge(new_lists, split.rows, new, split.capped())
        raw = judge(new_lists, split.rows, new)
        every = judge(lists, split.rows, value=split.capped())
        users, found = _by_user(of_new, {HR_10.name: "hits", NDCG_10.name: "ndcg"}, data)
        found[HR_50.name] = of_new.hits(LENGTH).by_user()[1]
        found[VR_50.name] = of_new.value_recall(LENGTH).by_user()[1]
        found[VR_50_RAW.name] = raw.value_recall(LENGTH).by_user()[1]
        all_users, found_all = _by_user(every, {HR_10_EVERY.name: "hits"}, data)
        found_all[VR_50_EVERY.name] = every.value_recall(LENGTH).by_user()[1]
        units = {HR_10.per: users, HR_10_EVERY.per: all_users}
        return {"units": units, **found, **found_all, **costs}

    return run


def _asked(
    asked: Recommending, split: Split, seed: int, without_seen: tuple[bool, ...]
) -> tuple[list[np.ndarray], dict[str, object]]:
    """Lists int64 [R, 50] for each way of asking, and the CPU seconds of fitting and of all lists."""
    begun = time.process_time()
    model = fitted(asked, split, seed)
    ready = time.process_time()
    lists = [model.top(split.rows, LENGTH, exclude_seen=each)[0] for each in without_seen]
    costs: dict[str, object] = {FIT.name: ready - begun, SERVE.name: time.process_time() - ready}
    return lists, costs


def _by_user(
    judged: Judged, wanted: Mapping[str, str], data: Interactions
) -> tuple[list[str], dict[str, object]]:
    """Users' names and, by metric, one number a user, all at 10."""
    ratios = {metric: getattr(judged, measure)(10).by_user() for metric, measure in wanted.items()}
    users = next(iter(ratios.values()))[0]
    return data.users[users].tolist(), {metric: values for metric, (_, values) in ratios.items()}
