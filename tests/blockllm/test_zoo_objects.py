"""One object: its name is its content, its file has one form, and other tools can read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from blockllm.zoo_models import bits
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.blockllm.zoo import objects
from remeasure.impls.blockllm.zoo.memory import fresh
from remeasure.impls.blockllm.zoo.objects import SUFFIX, described, read, write

STAGING = fresh(objects.PIECE)
SETTINGS = {"rank": 8, "scale": 0.25, "made by": 'a "test" of ours'}


def tensors(seed: int = 1) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return {
        "b": torch.from_numpy(rng.standard_normal((3, 5))).half(),
        "a": torch.from_numpy(rng.standard_normal(7)).half(),
        "wide": torch.from_numpy(rng.standard_normal((2, 2))).float(),
    }


def put(folder: Path, content: objects.Content) -> Path:
    path = folder / content.file
    path.unlink(missing_ok=True)
    write(content, path, STAGING)
    return path


@st.composite
def contents(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """Tensors of both types and of any shape, also without numbers or sides, in any order, contiguous or not."""
    made = {}
    for name in draw(st.lists(st.text(min_size=1, max_size=4), max_size=4, unique=True)):
        shape = draw(st.lists(st.integers(0, 5), max_size=3))
        dtype = draw(st.sampled_from([torch.float16, torch.float32]))
        count = int(np.prod(shape, dtype=int)) * dtype.itemsize
        raw = draw(st.binary(min_size=count, max_size=count))
        tensor = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        made[name] = tensor.view(shape[::-1]).permute(tuple(reversed(range(len(shape)))))
    return made


@given(
    tensors=contents(),
    settings=st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
)
def test_what_was_written_is_read_bit_for_bit(
    tensors: dict[str, torch.Tensor], settings: dict[str, int | str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes are drawn freely, so there are infinities, many kinds of NaN and both zeros among the numbers."""
    content = described(tensors, settings)
    path = put(tmp_path_factory.mktemp("object"), content)
    for check in (True, False):
        found = read(path, check)
        assert bits(found.tensors) == bits(tensors) and found.settings == settings
        assert (found.name, found.nbytes) == (content.name, path.stat().st_size)


def test_safetensors_reads_the_same_tensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    path = put(tmp_path, described(tensors(), SETTINGS))
    with safetensors.safe_open(path, "pt") as file:
        assert bits({name: file.get_tensor(name) for name in file.keys()}) == bits(tensors())  # noqa: SIM118
        assert set(file.metadata()) == set(SETTINGS)


def test_tensors_begin_at_64_bytes_and_lie_at_multiples_of_their_size(tmp_path: Path) -> None:
    found = read(put(tmp_path, described(tensors(), {})))
    first, *_ = found.tensors.values()
    assert first.data_ptr() % 64 == 0
    assert all(tensor.data_ptr() % tensor.itemsize == 0 for tensor in found.tensors.values())


def test_a_large_object_goes_through_the_staging_memory_piece_by_piece(tmp_path: Path) -> None:
    numbers = torch.arange(2 * objects.PIECE // 4 + 77, dtype=torch.float32)
    held = {"long": numbers, "short": torch.ones(3).half()}
    assert bits(read(put(tmp_path, described(held, {}))).tensors) == bits(held)


def test_a_file_system_without_direct_access_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct, really = os.O_DIRECT, os.open

    def refuse(path: Path, flags: int, mode: int) -> int:
        if flags & direct:
            raise OSError(22, "Invalid argument")
        return really(path, flags, mode)

    monkeypatch.setattr(objects.os, "open", refuse)
    assert bits(read(put(tmp_path, described(tensors(), {}))).tensors) == bits(tensors())


def names() -> Iterator[tuple[str, str]]:
    """What must not have the name of `tensors()` without settings."""
    held = tensors()
    turned = held["b"].clone().view(-1)
    turned.view(torch.int16)[-1] ^= 1
    yield "a bit", described({**held, "b": turned.view(3, 5)}, {}).name
    yield "a shape", described({**held, "b": held["b"].reshape(5, 3)}, {}).name
    yield "a flat shape", described({**held, "b": held["b"].reshape(15)}, {}).name
    yield "a name", described({"c" if name == "a" else name: t for name, t in held.items()}, {}).name
    yield (
        "names that change places",
        described({"b": held["b"], "wide": held["a"], "a": held["wide"]}, {}).name,
    )
    yield "a type", described({**held, "wide": held["wide"].view(torch.float16).view(2, 4)}, {}).name
    yield "a type of the same shape", described({**held, "wide": torch.zeros(2, 2).half()}, {}).name
    yield "one tensor less", described({name: held[name] for name in ("a", "b")}, {}).name
    yield "a setting", described(held, {"rank": 1}).name
    yield "a setting's value", described(held, {"rank": 2}).name
    yield "a setting's type", described(held, {"rank": 1.0}).name


def check_names(distinct: list[tuple[str, str]]) -> None:
    """All names differ, from each other and from that of the tensors as they are."""
    own = described(tensors(), {}).name
    assert len({own, *(name for _, name in distinct)}) == 1 + len(distinct)


def test_a_name_tells_contents_apart() -> None:
    check_names(list(names()))


def test_a_name_is_that_of_the_content_not_of_how_it_came() -> None:
    held = tensors()
    other = {
        name: held[name].t().contiguous().t() if held[name].dim() == 2 else held[name]
        for name in reversed(held)
    }
    assert not other["b"].is_contiguous()
    assert described(other, {"x": 1, "y": 2}).name == described(held, {"y": 2, "x": 1}).name


@pytest.mark.parametrize(
    "forgotten",
    [
        lambda entries, contents, settings: (
            [objects.Entry(e.name, e.type, ()) for e in entries],
            contents,
            settings,
        ),
        lambda entries, contents, settings: (
            [objects.Entry("", e.type, e.shape) for e in entries],
            contents,
            settings,
        ),
        lambda entries, contents, settings: (entries, contents, {}),
        lambda entries, contents, settings: (entries, [content[:-4] for content in contents], settings),
    ],
    ids=["the shapes", "the names", "the settings", "the end"],
)
def test_a_name_that_forgets_something_is_noticed(forgotten: object, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = objects._name
    monkeypatch.setattr(objects, "_name", lambda *given: whole(*forgotten(*given)))  # type: ignore[operator]
    with pytest.raises(AssertionError):
        check_names(list(names()))


def check_every_byte(path: Path) -> None:
    """No byte of a file can be changed without `read` refusing it."""
    whole = path.read_bytes()
    path.chmod(0o644)
    for place in range(len(whole)):
        for flip in (0x01, 0x20, 0x80):
            damaged = bytearray(whole)
            damaged[place] ^= flip
            path.write_bytes(damaged)
            with pytest.raises(ValueError):
                read(path)
    path.write_bytes(whole)
    read(path)


def test_any_flipped_byte_is_found_in_header_padding_and_tensors_alike(tmp_path: Path) -> None:
    check_every_byte(
        put(tmp_path, described({"x": torch.arange(9.0).half(), "y": torch.ones(1)}, {"rank": 1}))
    )


def test_a_reader_that_only_parses_the_header_would_miss_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutant: the header is not compared with the one form it has, so other blanks and names in it pass."""
    path = put(tmp_path, described({"x": torch.arange(9.0).half()}, {}))
    monkeypatch.setattr(objects, "_name", lambda entries, contents, settings: path.name.removesuffix(SUFFIX))
    with pytest.raises(pytest.fail.Exception):
        check_every_byte(path)


@pytest.mark.parametrize("size", [0, 5, 100, 1 << 12], ids=["empty", "no header", "cut off", "longer"])
def test_a_file_of_another_length_is_refused_in_a_clause(size: int, tmp_path: Path) -> None:
    path = put(tmp_path, described(tensors(), {}))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:size].ljust(size, b"\0"))
    with pytest.raises(ValueError, match=r"empty|ends in its header|its header promises"):
        read(path)


def test_another_objects_content_under_this_name_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, described(tensors(), {}))
    other = put(tmp_path, described(tensors(2), {}))
    os.replace(other, path)
    with pytest.raises(ValueError, match="not what its name says"):
        read(path)
    read(path, check=False)


def test_whoever_writes_to_what_was_read_changes_a_copy(tmp_path: Path) -> None:
    path = put(tmp_path, described(tensors(), {}))
    read(path).tensors["b"].zero_()
    assert bits(read(path).tensors) == bits(tensors())


def test_an_object_is_never_written_over(tmp_path: Path) -> None:
    content = described(tensors(), {})
    path = put(tmp_path, content)
    with pytest.raises(FileExistsError):
        write(content, path, STAGING)
