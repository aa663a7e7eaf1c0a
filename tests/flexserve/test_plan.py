"""A plan restores every missing byte once, in an order that a pipeline may run, and computes the parts in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.policy.plan import Op, Part, chunks, plan
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE

KIB = 1 << 10
PARTS = st.lists(st.builds(Part, st.sampled_from([0, 1, 64 * KIB, 200 * KIB + 1, 9 << 20]), st.booleans()))
SYSTEMS = st.builds(
    System,
    alloc=st.sampled_from(["mmap", "cma", "cma overlapped", "flex"]),
    overlap=st.booleans(),
    granularity=st.sampled_from(["layer", "16 MiB", "4 MiB", "64 KiB"]),
    crypto=st.sampled_from(["none", "software", "inline"]),
)


def ancestors(ops: Sequence[Op]) -> list[int]:
    """For every operation the set, as bits, of all that must have ended before it."""
    before: list[int] = []
    for op in ops:
        mask = 0
        for index in op.after:
            mask |= before[index] | 1 << index
        before.append(mask)
    return before


def covered(ops: Sequence[Op], kind: str, part: int) -> list[tuple[int, int]]:
    return sorted((op.offset, op.nbytes) for op in ops if op.kind == kind and op.part == part)


def check(parts: Sequence[Part], system: System, ops: Sequence[Op]) -> None:
    """Everything that a backend relies on."""
    for at, op in enumerate(ops):
        assert all(0 <= index < at for index in op.after), "a dependency points forwards"
    assert [op.part for op in ops if op.kind == "compute"] == list(range(len(parts))), "compute out of order"
    missing = [i for i, part in enumerate(parts) if part.nbytes and not part.cached]
    restored = ["load"] + ["decrypt"] * (system.crypto == "software")
    assert {op.kind for op in ops} <= {"alloc", "compute", *restored}, "an operation that nobody asked for"
    assert {op.part for op in ops if op.kind != "compute"} <= set(missing), "a cached part was touched"
    for kind in restored:
        for part in missing:
            assert contiguous(covered(ops, kind, part), parts[part].nbytes), f"{kind} of part {part}"
    allocations = [op for op in ops if op.kind == "alloc"]
    if system.alloc == "cma" and missing:
        assert [ops[0]] == allocations, "the region is not claimed first, at once"
        assert ops[0].nbytes == sum(parts[part].nbytes for part in missing)
    else:
        for part in missing:
            assert contiguous(covered(ops, "alloc", part), parts[part].nbytes), f"alloc of part {part}"
    waits_for_its_own(ops, system, restored)
    if not system.overlap:
        assert [op.after for op in ops] == [(at - 1,) if at else () for at in range(len(ops))], (
            "not one by one"
        )
        order = [*dict.fromkeys(op.kind for op in ops)]
        assert [op.kind for op in ops] == sorted((op.kind for op in ops), key=order.index), "stages mix"


def contiguous(pieces: Sequence[tuple[int, int]], nbytes: int) -> bool:
    end = 0
    for offset, size in pieces:
        if offset != end or size <= 0:
            return False
        end += size
    return end == nbytes


def waits_for_its_own(ops: Sequence[Op], system: System, restored: Sequence[str]) -> None:
    before = ancestors(ops)
    where = {(op.kind, op.part, op.offset): at for at, op in enumerate(ops)}
    computed = -1
    for at, op in enumerate(ops):
        if op.kind == "load":
            alloc = 0 if system.alloc == "cma" else where["alloc", op.part, op.offset]
            assert before[at] >> alloc & 1, "loads into memory that is not there"
        elif op.kind == "decrypt":
            assert before[at] >> where["load", op.part, op.offset] & 1, "decrypts what was not loaded"
        elif op.kind == "compute":
            assert computed < 0 or before[at] >> computed & 1, "computes before the part before it"
            computed = at
            for index, other in enumerate(ops):
                if other.part == op.part and other.kind == restored[-1]:
                    assert before[at] >> index & 1, "computes from what is not restored"


@given(PARTS, SYSTEMS)
def test_every_missing_byte_is_restored_once_and_in_order(parts: list[Part], system: System) -> None:
    check(parts, system, plan(parts, system))


@pytest.mark.parametrize("system", [FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE])
def test_a_cached_model_is_only_computed(system: System) -> None:
    ops = plan([Part(10, cached=True), Part(0), Part(10, cached=True)], system)
    assert [(op.kind, op.part) for op in ops] == [("compute", 0), ("compute", 1), ("compute", 2)]


def test_layers_restore_independently_of_compute_in_a_pipeline() -> None:
    ops = plan([Part(10)] * 3, FLEXSERVE)
    before = ancestors(ops)
    computes = sum(1 << at for at, op in enumerate(ops) if op.kind == "compute")
    assert not any(before[at] & computes for at, op in enumerate(ops) if op.kind != "compute")


@given(st.integers(1, 20 << 20), SYSTEMS)
def test_chunks_are_of_the_granularity(nbytes: int, system: System) -> None:
    sizes = [size for _, size in chunks(nbytes, system)]
    limit = {"layer": nbytes, "16 MiB": 16 << 20, "4 MiB": 4 << 20, "64 KiB": 64 << 10}[system.granularity]
    assert set(sizes[:-1]) <= {limit} and 0 < sizes[-1] <= limit and sum(sizes) == nbytes


def without(kind: str) -> Callable[[list[Op]], list[Op]]:
    """The plan with one operation of a kind replaced by nothing: its place computes nothing new."""

    def mutate(ops: list[Op]) -> list[Op]:
        at = next(i for i, op in enumerate(ops) if op.kind == kind)
        return [*ops[:at], replace(ops[at], nbytes=0), *ops[at + 1 :]]

    return mutate


def with_change(kind: str, **fields: object) -> Callable[[list[Op]], list[Op]]:
    """The plan with fields of the last operation of a kind replaced."""

    def mutate(ops: list[Op]) -> list[Op]:
        at = max(i for i, op in enumerate(ops) if op.kind == kind)
        return [*ops[:at], replace(ops[at], **fields), *ops[at + 1 :]]  # type: ignore[arg-type]

    return mutate


MUTANTS: dict[str, Callable[[list[Op]], list[Op]]] = {
    "loads nothing": without("load"),
    "decrypts nothing": without("decrypt"),
    "loads the same bytes again": lambda ops: [*ops, next(op for op in ops if op.kind == "load")],
    "does not wait for decryption": with_change("compute", after=()),
    "does not wait for memory": with_change("load", after=()),
    "does not wait for the load": with_change("decrypt", after=()),
    "waits for itself": with_change("compute", after=(10**6,)),
    "computes parts backwards": lambda ops: [
        replace(op, part=2 - op.part) if op.kind == "compute" else op for op in ops
    ],
    "loads a cached part": lambda ops: [*ops, Op("load", 1, 0, 10, (0,))],
}


@pytest.mark.parametrize("name", MUTANTS)
@pytest.mark.parametrize("system", [FLEXSERVE, STRAWMAN, STRAWMAN_OPT], ids=["flexserve", "strawman", "opt"])
def test_a_broken_plan_is_noticed(name: str, system: System) -> None:
    parts = [Part(10), Part(10, cached=True), Part(20)]
    ops = plan(parts, system)
    check(parts, system, ops)
    with pytest.raises(AssertionError):
        check(parts, system, MUTANTS[name](ops))


def test_a_region_claimed_piece_by_piece_is_noticed() -> None:
    parts = [Part(10), Part(20)]
    with pytest.raises(AssertionError, match="claimed first"):
        check(parts, STRAWMAN_OPT, plan(parts, TZLLM_LIKE))


@pytest.mark.parametrize("crypto", ["none", "inline"])
def test_decryption_without_a_software_cipher_is_noticed(crypto: str) -> None:
    parts = [Part(10), Part(20)]
    with pytest.raises(AssertionError, match="nobody asked"):
        check(parts, replace(FLEXSERVE, crypto=crypto), plan(parts, FLEXSERVE))  # type: ignore[arg-type]


def test_stages_that_overlap_by_mistake_are_noticed() -> None:
    parts = [Part(10), Part(20)]
    with pytest.raises(AssertionError, match="one by one"):
        check(parts, STRAWMAN, plan(parts, STRAWMAN_OPT))
