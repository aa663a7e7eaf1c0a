"""KV pages outside the protected memory: encrypted, and only the last one written restores (invariants 3 and 6)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.secure import kvswap
from remeasure.impls.flexserve.secure.kvswap import KVSwap

PAGE = 64
RECORD = PAGE + 16
names = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3))
contents = st.one_of(st.just(bytes(PAGE)), st.binary(min_size=PAGE, max_size=PAGE))
operations = st.lists(
    st.tuples(st.sampled_from(["write", "restore", "forget"]), names, contents), max_size=25
)


@pytest.fixture
def swap(tmp_path: Path) -> Iterator[KVSwap]:
    made = KVSwap(tmp_path / "kv", PAGE)
    yield made
    made.close()


@given(operations)
def test_what_restores_is_what_was_written_last(tmp_path_factory, todo):
    swap = KVSwap(tmp_path_factory.mktemp("swap") / "kv", PAGE)
    expected: dict[tuple[str, int], bytes] = {}
    for what, name, content in todo:
        if what == "write":
            swap.write_back(*name, memoryview(content))
            expected[name] = content
        elif what == "forget":
            swap.forget(name[0])
            expected = {key: kept for key, kept in expected.items() if key[0] != name[0]}
        elif name in expected:
            assert restored(swap, *name) == expected.pop(name)
        else:
            with pytest.raises(KeyError):
                restored(swap, *name)
        assert swap.pages == len(expected)
    swap.close()


# --- invariants 3 and 6 ----------------------------------------------------------------------------------------------


class Recording:
    """AESGCM that notes every (key, nonce) it encrypts with."""

    used: list[tuple[int, bytes]]
    generate_key = staticmethod(kvswap.AESGCM.generate_key)

    def __init__(self, key: bytes, honest: Callable[[bytes], kvswap.AESGCM] = kvswap.AESGCM) -> None:
        self._key, self._aead = key, honest(key)

    def encrypt_into(self, nonce: bytes, *arguments: object) -> int:
        self.used.append((self._key, bytes(nonce)))
        return self._aead.encrypt_into(nonce, *arguments)

    def decrypt_into(self, *arguments: object) -> int:
        return self._aead.decrypt_into(*arguments)


class Plain(Recording):
    """The mutant that writes pages back as they are."""

    def encrypt_into(self, nonce: bytes, plain: memoryview, bound: bytes, out: memoryview) -> int:
        written = super().encrypt_into(nonce, plain, bound, out)
        out[: len(plain)] = plain
        return written


def faults(make: type[KVSwap], aead: type[Recording], folder: Path, todo: list) -> set[str]:
    """Which of the two invariants the operations break."""
    with pytest.MonkeyPatch.context() as patched:
        aead.used = []
        patched.setattr(kvswap, "AESGCM", aead)
        swaps = [make(folder / name, PAGE) for name in ("one", "two")]
        found, blocks, held = set(), set(), set()
        for what, name, content in todo:
            for swap in swaps:
                if what == "write":
                    swap.write_back(*name, memoryview(content))
                    blocks |= {content[at : at + 16] for at in range(0, PAGE, 16)}
                    held.add(name)
                elif what == "restore" and name in held:
                    restored(swap, *name)
            if what == "restore":
                held.discard(name)
            stored = b"".join((folder / file).read_bytes() for file in ("one", "two"))
            if any(block in stored for block in blocks):
                found.add("plaintext in the file")
        if len(set(aead.used)) < len(aead.used):
            found.add("nonce repeated")
        for swap in swaps:
            swap.close()
        return found


@given(st.lists(st.tuples(st.sampled_from(["write", "restore"]), names, contents), max_size=25))
def test_no_block_of_a_page_is_in_the_file_and_no_nonce_repeats_under_a_key(tmp_path_factory, todo):
    assert not faults(KVSwap, Recording, tmp_path_factory.mktemp("swap"), todo)


class ConstantNonce(KVSwap):
    def _nonce(self) -> bytes:
        return bytes(12)


class NonceOfThePlace(KVSwap):
    """Looks unique while every page is written once."""

    def _nonce(self) -> bytes:
        return self._slots.to_bytes(12, "big")


TWICE = [("write", ("a", 0), bytes(PAGE)), ("restore", ("a", 0), b""), ("write", ("a", 0), b"\1" * PAGE)]


@pytest.mark.parametrize("mutant", [ConstantNonce, NonceOfThePlace])
def test_the_check_catches_a_nonce_that_repeats(mutant, tmp_path):
    assert faults(mutant, Recording, tmp_path, TWICE) == {"nonce repeated"}


def test_the_check_catches_pages_written_in_plain(tmp_path):
    todo = [("write", ("a", 0), os.urandom(PAGE))]
    assert faults(KVSwap, Plain, tmp_path, todo) == {"plaintext in the file"}


# --- what does not restore -------------------------------------------------------------------------------------------


def older_page(swap: KVSwap, path: Path) -> None:
    swap.write_back("a", 0, memoryview(b"o" * PAGE))
    old = path.read_bytes()
    restored(swap, "a", 0)
    swap.write_back("a", 0, memoryview(b"n" * PAGE))
    path.write_bytes(old)


def foreign_page(swap: KVSwap, path: Path) -> None:
    swap.write_back("a", 0, memoryview(b"a" * PAGE))
    swap.write_back("b", 0, memoryview(b"b" * PAGE))
    stored = path.read_bytes()
    path.write_bytes(stored[RECORD:] + stored[:RECORD])


def page_of_another_file(swap: KVSwap, path: Path) -> None:
    swap.write_back("a", 0, memoryview(b"a" * PAGE))
    other = KVSwap(path.with_name("other"), PAGE)
    other.write_back("a", 0, memoryview(b"x" * PAGE))
    path.write_bytes(path.with_name("other").read_bytes())
    other.close()


def flipped_bit(swap: KVSwap, path: Path) -> None:
    swap.write_back("a", 0, memoryview(b"a" * PAGE))
    stored = bytearray(path.read_bytes())
    stored[20] ^= 4
    path.write_bytes(stored)


def truncated(swap: KVSwap, path: Path) -> None:
    swap.write_back("a", 0, memoryview(b"a" * PAGE))
    os.truncate(path, 30)


def emptied(swap: KVSwap, path: Path) -> None:
    swap.write_back("a", 0, memoryview(b"a" * PAGE))
    os.truncate(path, 0)


TAMPERS = [older_page, foreign_page, page_of_another_file, flipped_bit, truncated, emptied]


def refused(swap: KVSwap, tamper: Callable[[KVSwap, Path], None], path: Path) -> bool:
    """Whether the page does not restore, leaves zeros, and the sentence names it."""
    tamper(swap, path)
    out = bytearray(b"\xaa" * PAGE)
    try:
        swap.restore("a", 0, memoryview(out))
    except UserError as error:
        return not any(out) and f"{path}, KV page 0 of 'a'" in str(error)
    return False


@pytest.mark.parametrize("tamper", TAMPERS)
def test_only_the_last_page_written_restores(tamper, swap, tmp_path):
    assert refused(swap, tamper, tmp_path / "kv")


class Unbound(ConstantNonce):
    """Pages are interchangeable: one nonce, and nothing but their bytes under the tag."""


@pytest.mark.parametrize("tamper", [older_page, foreign_page])
def test_the_check_catches_pages_that_are_interchangeable(tamper, tmp_path, monkeypatch):
    monkeypatch.setattr(kvswap, "bound", lambda *_: b"")
    swap = Unbound(tmp_path / "kv", PAGE)
    assert not refused(swap, tamper, tmp_path / "kv")
    swap.close()


def test_the_check_catches_a_restore_that_leaves_what_it_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr(kvswap, "zero", lambda view: None)
    swap = KVSwap(tmp_path / "kv", PAGE)
    assert not refused(swap, flipped_bit, tmp_path / "kv")
    swap.close()


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_full_disk_keeps_what_was_written_before(swap, monkeypatch):
    swap.write_back("a", 0, memoryview(b"1" * PAGE))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(kvswap.os, "pwrite", full)
        with pytest.raises(UserError, match=r"No space left.*prefilled again"):
            swap.write_back("a", 0, memoryview(b"2" * PAGE))
    assert restored(swap, "a", 0) == b"1" * PAGE


def test_places_in_the_file_are_used_again(swap, tmp_path):
    for page in range(50):
        swap.write_back("a", page, memoryview(bytes(PAGE)))
        restored(swap, "a", page)
    assert (tmp_path / "kv").stat().st_size == RECORD


def test_the_file_goes_when_the_swap_closes(tmp_path):
    KVSwap(tmp_path / "kv", PAGE).close()
    assert not (tmp_path / "kv").exists()


def test_a_file_that_is_there_already_is_refused(tmp_path):
    (tmp_path / "kv").touch()
    with pytest.raises(UserError, match="cannot be made"):
        KVSwap(tmp_path / "kv", PAGE)


@pytest.mark.parametrize("nbytes", [PAGE - 1, PAGE + 1])
def test_a_page_of_another_size_is_a_mistake_of_the_caller(swap, nbytes):
    with pytest.raises(ValueError, match="a page has 64 bytes"):
        swap.write_back("a", 0, memoryview(bytes(nbytes)))


def restored(swap: KVSwap, owner: str, page: int) -> bytes:
    out = bytearray(PAGE)
    swap.restore(owner, page, memoryview(out))
    return bytes(out)
