"""Memory that objects are read into: aligned, never given twice where it stays, given again where it does not."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from blockllm.zoo_models import bits, model, same
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.zoo import memory, objects
from remeasure.impls.blockllm.zoo.memory import Bytes, Place, Reserved, Scratch, Spare, fresh, whole_pages
from remeasure.impls.blockllm.zoo.objects import described, read, write
from remeasure.impls.blockllm.zoo.store import Zoo

PAGE = mmap.PAGESIZE
MODELS = (model("base"), model("lora", delta={1: 0, 3: 1}), model("top", (0, 0, 0, 1, 1, 0)))
Make = Callable[[int], Place]


def reserved(nbytes: int) -> Place:
    return Reserved(fresh(nbytes))


def check_places(place: Place, sizes: list[int]) -> None:
    """Whole pages at a page's boundary, and none of them given twice."""
    given_ = [place(size) for size in sizes]
    for number, (size, piece) in enumerate(zip(sizes, given_, strict=True)):
        assert piece.ctypes.data % PAGE == len(piece) % PAGE == 0 and len(piece) >= size
        piece[:] = number
    assert all((piece == number).all() for number, piece in enumerate(given_))


@given(sizes=st.lists(st.integers(1, 3 * PAGE), max_size=6))
def test_what_is_given_is_aligned_and_given_once(sizes: list[int]) -> None:
    check_places(fresh, sizes)
    check_places(reserved(sum(map(whole_pages, sizes)) or PAGE), sizes)


def test_memory_that_is_given_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        check_places(Scratch(), [PAGE, PAGE])
    place = reserved(8 * PAGE)
    monkeypatch.setattr(memory, "whole_pages", lambda nbytes: nbytes)
    with pytest.raises(AssertionError):
        check_places(place, [100, 100])


def test_reserved_memory_that_is_full_is_said_and_what_is_left_can_be_had() -> None:
    place = reserved(3 * PAGE)
    place(PAGE + 1)
    with pytest.raises(
        UserError, match=rf"is full: {PAGE + 1} bytes are wanted, {PAGE} are left; reserve more\."
    ):
        place(PAGE + 1)
    assert len(place(PAGE)) == PAGE


def test_threads_are_given_different_parts_of_reserved_memory() -> None:
    place = reserved(64 * PAGE)
    with ThreadPoolExecutor(8) as pool:
        starts = [piece.ctypes.data for piece in pool.map(place, [PAGE] * 64)]
    assert len(set(starts)) == 64


def test_scratch_is_the_same_again_for_a_thread_and_another_one_for_another() -> None:
    place, together = Scratch(), Barrier(2)

    def twice(size: int) -> tuple[Bytes, Bytes]:
        found = place(size), place(size // 2)
        together.wait()
        return found

    with ThreadPoolExecutor(2) as pool:
        (a, a_again), (b, b_again) = pool.map(twice, [PAGE, 2 * PAGE])
    assert np.shares_memory(a, a_again) and np.shares_memory(b, b_again) and not np.shares_memory(a, b)
    assert len(place(5 * PAGE)) == 5 * PAGE


def test_a_spare_piece_is_lent_to_one_at_a_time_and_used_again() -> None:
    spare = Spare(PAGE)
    with spare.lent() as one, spare.lent() as other:
        assert not np.shares_memory(one, other)
    with pytest.raises(KeyError), spare.lent() as again:
        assert np.shares_memory(again, one) or np.shares_memory(again, other)
        raise KeyError
    with spare.lent() as one_, spare.lent() as other_:
        assert {x.ctypes.data for x in (one_, other_)} == {x.ctypes.data for x in (one, other)}


def test_models_are_fetched_bit_for_bit_into_reserved_memory(tmp_path: Path) -> None:
    zoo = Zoo(tmp_path / "zoo", threads=2)
    for one in MODELS:
        zoo.insert(one)
    memory = fresh(sum(whole_pages(path.stat().st_size) for path in zoo.objects.iterdir()))
    found = zoo.fetch(*zoo.models(), place=Reserved(memory))
    assert all(same(found[one.name], one) for one in MODELS)
    held = [tensor for one in found.values() for group in one.groups for tensor in group.values()]
    begin, end = memory.ctypes.data, memory.ctypes.data + len(memory)
    assert all(begin <= tensor.data_ptr() < end for tensor in held)


def test_memory_too_small_for_the_models_is_said(tmp_path: Path) -> None:
    zoo = Zoo(tmp_path / "zoo", threads=2)
    zoo.insert(MODELS[0])
    with pytest.raises(UserError, match="memory reserved for models is full"):
        zoo.fetch("base", place=reserved(PAGE))


@pytest.mark.parametrize("make", [lambda n: fresh, reserved, lambda n: Scratch()])
@pytest.mark.parametrize("piece", [PAGE, 3 * PAGE, 1 << 20])
def test_an_object_comes_whole_in_pieces_of_any_size(
    make: Make, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"long": torch.arange(5 * PAGE + 7).to(torch.float16), "short": torch.ones(3)}
    content = described(held, {"rank": 1})
    write(content, tmp_path / content.file, fresh(piece))
    monkeypatch.setattr(objects, "PIECE", piece)
    for check in (True, False):
        found = read(tmp_path / content.file, check, make(1 << 20))
        assert bits(found.tensors) == bits(held) and found.nbytes == content.nbytes


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = described({"x": torch.ones(PAGE)}, {})
    write(content, tmp_path / content.file, fresh(PAGE))
    monkeypatch.setattr(objects, "PIECE", PAGE)
    really = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, into, at: really(fd, into, at) if at < PAGE else 0)
    with pytest.raises(ValueError, match=rf"ends after {PAGE} of its {content.nbytes} bytes"):
        read(tmp_path / content.file)
