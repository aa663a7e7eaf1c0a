"""A nonce never repeats under a key (invariant 6), in no writing of any model."""

from __future__ import annotations

from pathlib import Path

import pytest
from flexserve.written_models import KEY
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.secure import cipher, shards
from remeasure.impls.flexserve.secure.shards import write_model


class Recording:
    """AESGCM that notes every (key, nonce) it encrypts with."""

    used: list[tuple[bytes, bytes]]

    def __init__(self, key: bytes) -> None:
        self._key, self._aead = key, cipher_aead(key)

    def encrypt_into(self, nonce: bytes, *arguments: object) -> int:
        self.used.append((self._key, bytes(nonce)))
        return self._aead.encrypt_into(nonce, *arguments)


cipher_aead = cipher.AESGCM


def repeats(monkeypatch: pytest.MonkeyPatch, base: Path, sizes: list[int], writings: int) -> bool:
    """Whether writing the same model again and again encrypts twice under one key and nonce."""
    Recording.used = []
    monkeypatch.setattr(cipher, "AESGCM", Recording)
    for writing in range(writings):
        write_model(base / str(writing), "m", 1, [bytes(size) for size in sizes], KEY, chunk_bytes=64)
    assert len(Recording.used) == writings * sum(-(-size // 64) for size in sizes)
    return len(set(Recording.used)) < len(Recording.used)


@given(st.lists(st.integers(0, 700), max_size=5), st.integers(1, 3))
def test_no_two_chunks_of_any_writing_share_key_and_nonce(tmp_path_factory, sizes, writings):
    with pytest.MonkeyPatch.context() as patched:
        assert not repeats(patched, tmp_path_factory.mktemp("models"), sizes, writings)


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (shards, "place", lambda part, chunk: bytes(12)),
        (shards, "place", lambda part, chunk: chunk.to_bytes(12, "big")),
        (shards.secrets, "token_bytes", bytes),
    ],
    ids=["constant nonce", "nonce without the part", "same salt at each writing"],
)
def test_the_check_catches_a_writer_that_reuses_nonces(module, name, broken, tmp_path, monkeypatch):
    monkeypatch.setattr(module, name, broken)
    assert repeats(monkeypatch, tmp_path, sizes=[200, 200], writings=2)
