"""The profile table of blocks, and the limits of the machine that the zoo is judged by."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from blockllm.zoo_models import PLACES, TINY, model

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Block
from remeasure.impls.blockllm.groups import parameters
from remeasure.impls.blockllm.zoo import limits as module
from remeasure.impls.blockllm.zoo.assemble import chain_of
from remeasure.impls.blockllm.zoo.limits import Limits, evict, limits, seconds_to_fill
from remeasure.impls.blockllm.zoo.memory import Bytes, fresh
from remeasure.impls.blockllm.zoo.profile import BATCHES, profile, read, write
from remeasure.impls.blockllm.zoo.store import Zoo

CORES = sorted({1, len(os.sched_getaffinity(0))})


def fake(block: Block, batch: int) -> float:
    return block.parameters * batch / 1e6


def blocks() -> list[Block]:
    shared: dict[str, Block] = {}
    chains = [chain_of(model("base"), shared), chain_of(model("lora", delta={1: 0}), shared)]
    return [part for chain in chains for link in chain.links for part in (link.block, link.delta) if part]


def test_each_block_is_profiled_once_at_every_batch_size() -> None:
    asked: list[tuple[str, int]] = []

    def measure(block: Block, batch: int) -> float:
        asked.append((block.id, batch))
        return fake(block, batch)

    rows = profile(blocks(), measure)
    assert BATCHES == (1, 2, 4, 8, 16, 32, 64)
    assert len(asked) == len(set(asked)) == len(rows) == 7 * len(BATCHES)
    by_kind = {row.kind: row for row in rows if row.batch == 64}
    for place in PLACES:
        row = by_kind[place.kind]
        assert row.parameters == parameters(TINY, place) and row.bytes == 2 * row.parameters
    assert by_kind["delta_lora"].ms == 2 * 2 * 12 * 64 / 1e6


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows, path = profile(blocks(), fake, batches=(1, 3)), tmp_path / "profile.parquet"
    write(rows, path)
    assert read(path) == rows
    write(rows[:1], path)
    assert read(path) == rows[:1] and list(tmp_path.iterdir()) == [path]


def test_a_profile_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, path = profile(blocks(), fake), tmp_path / "profile.parquet"
    write(rows, path)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"profile\.parquet cannot be written \(No space left on device\)"):
        write(rows[:1], path)
    assert read(path) == rows and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, b"", b"PAR1 what", b"x" * 100])
def test_a_damaged_profile_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "profile.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"profile\.parquet is no profile of a zoo \(.*\); profile its blocks again\."
    ) as said:
        read(path)
    assert "\n" not in str(said.value)


def test_another_table_is_no_profile(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "profile.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(UserError, match="is no profile of a zoo"):
        read(path)


@pytest.fixture
def objects(tmp_path: Path) -> list[Path]:
    zoo = Zoo(tmp_path / "zoo", threads=2)
    zoo.insert(model("base"))
    return sorted(zoo.objects.iterdir())


def test_limits_are_measured_on_the_objects_themselves(objects: list[Path]) -> None:
    try:
        found = limits(objects)
    except UserError as error:
        pytest.skip(str(error))
    assert found.nbytes == sum(path.stat().st_size for path in objects)
    assert list(found.disk_mb_s) == [1, 2, 4, 8] and list(found.sha256_mb_s) == CORES
    assert min(*found.disk_mb_s.values(), *found.sha256_mb_s.values()) > 0


def test_the_limit_is_the_slower_of_the_best_disk_and_the_best_hash() -> None:
    found = Limits(1, {1: 100.0, 4: 300.0}, {1: 200.0, 2: 400.0})
    assert found.slower_mb_s == 300.0
    assert replace(found, sha256_mb_s={1: 200.0, 2: 150.0}).slower_mb_s == 200.0


def test_every_byte_is_read_and_hashed_whatever_the_number_of_threads(
    objects: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    hashed: list[int] = []
    preadv, sha256 = os.preadv, module.hashlib.sha256
    monkeypatch.setattr(module, "PIECE", 4096)
    monkeypatch.setattr(os, "preadv", lambda *given: read.append(preadv(*given)) or read[-1])
    monkeypatch.setattr(module.hashlib, "sha256", lambda data: hashed.append(len(data)) or sha256(data))
    try:
        found = limits(objects)
    except UserError as error:
        pytest.skip(str(error))
    assert sum(read) == found.nbytes * len(module.DISK_THREADS) * module.TRIES
    assert sum(hashed) == found.nbytes * len(CORES) * module.TRIES


def test_filling_puts_every_byte_of_every_file_where_it_belongs(
    objects: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 4096)
    large = tmp_path / "of several pieces"
    large.write_bytes(bytes(range(250)) * 100)
    files = [*objects, large]
    given: list[Bytes] = []

    def place(nbytes: int) -> Bytes:
        given.append(fresh(nbytes))
        return given[-1]

    try:
        assert seconds_to_fill(files, place) > 0
    except UserError as error:
        pytest.skip(str(error))
    contents = [path.read_bytes() for path in files]
    assert [
        bytes(memory[: len(content)]) for memory, content in zip(given, contents, strict=True)
    ] == contents


def test_no_more_is_hashed_than_the_sample(objects: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 1000)
    whole = b"".join(path.read_bytes() for path in objects)
    assert len(whole) > 1000 and module._sample(objects) == whole[:1000]


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(UserError, match="no objects to measure"):
        limits([])


def test_a_file_system_without_direct_access_has_no_limit_to_measure(
    objects: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"objects cannot be read past the page cache \(Invalid argument\)"):
        limits(objects)


def test_evicting_says_how_much_is_left(objects: list[Path], tmp_path: Path) -> None:
    path = objects[0]
    path.read_bytes()
    with path.open("rb") as file:
        assert any(module._in_cache(file.fileno(), path.stat().st_size))
    assert 0.0 <= evict(objects) <= 1.0
    empty = tmp_path / "empty"
    empty.touch()
    assert evict([empty]) == evict([]) == 0.0
