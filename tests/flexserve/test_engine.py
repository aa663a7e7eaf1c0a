"""The host engine runs a plan's operations once, in order, beside each other, and stops as a whole."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.policy.plan import Op, Part, plan
from remeasure.impls.flexserve.real import engine
from remeasure.impls.flexserve.real.bounds import schedule
from remeasure.impls.flexserve.real.engine import RESOURCE, Timeline, execute

KINDS = ("alloc", "load", "decrypt", "compute")
PATIENCE_S = 20.0
"""After which a rendezvous that can never happen is given up; a right engine never waits for it."""
LAYER = 100_000

parts = st.lists(st.builds(Part, st.integers(0, 3 * LAYER), st.booleans()), min_size=1, max_size=6)
systems = st.builds(
    System,
    alloc=st.sampled_from(["mmap", "cma", "cma overlapped", "flex"]),
    overlap=st.booleans(),
    granularity=st.sampled_from(["layer", "64 KiB"]),
    crypto=st.sampled_from(["none", "software"]),
)


def nothing(op: Op) -> None:
    """An operation without work."""


def run(ops: list[Op], staging_bytes: int | None = None, **actions) -> Timeline:
    return execute(ops, {kind: actions.get(kind, nothing) for kind in KINDS}, staging_bytes=staging_bytes)


def violations(ops: list[Op], timeline: Timeline) -> list[tuple[int, int]]:
    """Pairs (operation, predecessor) where the operation began before the predecessor had ended."""
    return [
        (index, earlier)
        for index, op in enumerate(ops)
        for earlier in op.after
        if timeline.start_ns[index] < timeline.end_ns[earlier]
    ]


def overlapping(ops: list[Op], timeline: Timeline) -> list[tuple[int, int]]:
    """Pairs of operations of one resource that ran at the same time."""
    found = []
    for resource in set(RESOURCE.values()):
        mine = sorted(
            (timeline.start_ns[i], timeline.end_ns[i], i)
            for i, op in enumerate(ops)
            if RESOURCE[op.kind] == resource
        )
        found += [(a[2], b[2]) for a, b in pairwise(mine) if b[0] < a[1]]
    return found


@given(parts, systems)
def test_every_operation_runs_once_after_its_predecessors_and_alone_on_its_resource(found, system):
    ops = plan(found, system)
    ran = Counter()
    timeline = run(ops, **dict.fromkeys(KINDS, lambda op: ran.update([op])))
    assert ran == Counter(ops)
    assert not violations(ops, timeline)
    assert not overlapping(ops, timeline)
    assert [op.part for op in ops if op.kind == "compute"] == list(range(len(found)))


def test_mutant_that_forgets_what_an_operation_waits_for_is_caught(monkeypatch):
    class Hasty(engine._Run):
        def __init__(self, ops, *rest):
            super().__init__([replace(op, after=()) for op in ops], *rest)

    monkeypatch.setattr(engine, "_Run", Hasty)
    decrypted = threading.Event()
    ops = plan([Part(LAYER)], System())
    timeline = run(ops, load=lambda op: decrypted.wait(PATIENCE_S), decrypt=lambda op: decrypted.set())
    assert violations(ops, timeline)


def test_a_layer_is_computed_while_the_next_is_loaded():
    meet = threading.Barrier(2, timeout=PATIENCE_S)
    ops = plan([Part(LAYER), Part(LAYER)], System())
    run(
        ops,
        load=lambda op: op.part == 1 and meet.wait(),
        compute=lambda op: op.part == 0 and meet.wait(),
    )


def test_without_overlap_nothing_runs_beside_anything():
    ops = plan([Part(LAYER, cached) for cached in (False, True, False)], System(overlap=False))
    timeline = run(ops)
    order = sorted(range(len(ops)), key=lambda index: timeline.start_ns[index])
    assert order == list(range(len(ops)))
    assert all(timeline.start_ns[b] >= timeline.end_ns[a] for a, b in pairwise(order))


def test_memory_is_claimed_ahead_but_a_chunk_that_has_arrived_is_decrypted_first():
    ops = [
        Op("alloc", 0, 0, LAYER, ()),
        Op("load", 0, 0, LAYER, (0,)),
        Op("decrypt", 0, 0, LAYER, (1,)),
        Op("alloc", 1, 0, LAYER, ()),
        Op("load", 1, 0, LAYER, (1,)),
        Op("alloc", 2, 0, LAYER, ()),
    ]
    claimed, arrived, took = threading.Event(), threading.Event(), []

    def alloc(op):
        took.append(("alloc", op.part))
        if op.part == 1:
            claimed.set()
            assert arrived.wait(PATIENCE_S)

    def load(op):
        assert claimed.wait(PATIENCE_S), "no memory was claimed while the first layer was read"
        if op.part == 1:  # begun only when the first layer's load has ended
            arrived.set()

    run(ops, alloc=alloc, load=load, decrypt=lambda op: took.append(("decrypt", op.part)))
    assert took == [("alloc", 0), ("alloc", 1), ("decrypt", 0), ("alloc", 2)]


@given(parts, systems, st.data())
def test_after_an_error_nothing_that_needs_it_is_begun_and_it_is_raised(found, system, data):
    ops = plan(found, system)
    bad = data.draw(st.integers(0, len(ops) - 1))
    began = set()

    def action(op):
        began.add(ops.index(op))
        if op == ops[bad]:
            raise OSError("planted")

    with pytest.raises(OSError, match="planted"):
        run(ops, **dict.fromkeys(KINDS, action))
    lost = {bad}
    for index, op in enumerate(ops):
        if lost & set(op.after):
            lost.add(index)
    assert began & lost == {bad}
    assert max((ops[i].part for i in began if ops[i].kind == "compute"), default=-1) <= ops[bad].part


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_any_worker_stops_the_others_and_leaves_no_thread(kind, error):
    def fail(op):
        raise error("planted")

    before = threading.active_count()
    computed = []
    actions = {"compute": computed.append, kind: fail}
    with pytest.raises(error, match="planted"):
        run(plan([Part(LAYER)] * 4, System()), **actions)
    assert not computed
    assert threading.active_count() == before


def test_two_errors_at_once_are_raised_as_one():
    meet = threading.Barrier(2, timeout=PATIENCE_S)

    def fail(op):
        if op.part == (0 if op.kind == "compute" else 1):
            meet.wait()
            raise ValueError(op.kind)

    with pytest.raises(ValueError, match=r"load|compute") as caught:
        run(plan([Part(LAYER)] * 2, System()), load=fail, compute=fail)
    assert caught.value.__context__ is None


@given(st.lists(st.integers(1, 3 * LAYER), min_size=1, max_size=6), st.integers(0, LAYER))
def test_staged_ciphertext_stays_within_its_bound_and_never_blocks_the_run(sizes, more):
    system = System(granularity="64 KiB")
    ops = plan([Part(size) for size in sizes], system)
    bound = max(op.nbytes for op in ops) + more
    staged, lock, peak = 0, threading.Lock(), 0

    def change(by: int) -> None:
        nonlocal staged, peak
        with lock:
            staged += by
            peak = max(peak, staged)

    actions = {"load": lambda op: change(op.nbytes), "decrypt": lambda op: change(-op.nbytes)}
    run(ops, bound, **actions)
    assert staged == 0
    assert peak <= bound


def test_mutant_without_a_bound_is_caught_staging_more(monkeypatch):
    meet, staged = threading.Event(), []

    class Unbounded(engine._Run):
        def __init__(self, ops, actions, staging_bytes):
            super().__init__(ops, actions, None)

    monkeypatch.setattr(engine, "_Run", Unbounded)

    def load(op):
        staged.append(op.nbytes)
        if op.part == 2:
            meet.set()

    run(plan([Part(LAYER)] * 3, System()), LAYER, load=load, decrypt=lambda op: meet.wait(PATIENCE_S))
    assert meet.is_set(), "three layers were staged at once"


@pytest.mark.parametrize("overlap", [True, False])
def test_a_staging_area_that_is_too_small_is_refused_instead_of_waited_for(overlap):
    staging = LAYER - 1 if overlap else 2 * LAYER - 1
    with pytest.raises(ValueError, match="staging"):
        run(plan([Part(LAYER)] * 2, System(overlap=overlap)), staging)


def test_waiting_for_staging_is_not_counted_as_reading():
    freed = threading.Event()
    ops = plan([Part(LAYER)] * 2, System())
    timeline = run(ops, LAYER, decrypt=lambda op: op.part == 0 and freed.wait(0.05))
    first_decrypt = next(i for i, op in enumerate(ops) if op.kind == "decrypt")
    second_load = next(i for i, op in enumerate(ops) if op.kind == "load" and op.part == 1)
    assert timeline.start_ns[second_load] >= timeline.end_ns[first_decrypt]


def test_a_plan_that_waits_for_a_later_operation_is_refused():
    with pytest.raises(ValueError, match="itself or a later one"):
        run([Op("compute", 0, 0, 0, (0,))])


@given(parts, systems)
def test_no_run_ends_before_the_lower_bound_of_its_own_busy_times(found, system):
    made = schedule(run(plan(found, system)), cores=engine_cores())
    resources = (made.busy["load"], made.busy["compute"], made.busy["alloc"] + made.busy["decrypt"])
    assert max(resources) <= made.makespan_s
    assert made.lower_bound_s >= max(resources)
    assert 0 <= made.bubble_s <= made.makespan_s
    assert made.overlap_efficiency <= len(resources)


def engine_cores() -> int:
    """So many that the CPU clock, which ticks in its own steps, never sets the bound of an empty run."""
    return 1_000_000
