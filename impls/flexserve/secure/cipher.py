"""One chunk under a key: AES-256-GCM, or AES-256-CTR without tags for the ablation.

Both write straight into the caller's memory. `AESGCM.decrypt_into` leaves bytes in it even where the tag is wrong, so
whoever calls `open` zeroes the memory on InvalidTag.
"""

from __future__ import annotations

from typing import Literal, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Name = Literal["gcm", "ctr"]
NONCE_BYTES = 12
TAG_BYTES = {"gcm": 16, "ctr": 0}


class ChunkCipher(Protocol):
    """Seals and opens chunks; a nonce is used once under a key."""

    def seal(self, nonce: bytes, plain: memoryview, bound: bytes, record: memoryview) -> None:
        """Fill `record` with ciphertext and tag of `plain`; `bound` is authenticated with it."""

    def open(self, nonce: bytes, record: memoryview, bound: bytes, plain: memoryview) -> None:
        """Fill `plain`. Raises InvalidTag where record, nonce or `bound` is not what was sealed."""


class Gcm:
    """Authenticated."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, nonce: bytes, plain: memoryview, bound: bytes, record: memoryview) -> None:
        self._aead.encrypt_into(nonce, plain, bound, record)

    def open(self, nonce: bytes, record: memoryview, bound: bytes, plain: memoryview) -> None:
        self._aead.decrypt_into(nonce, record, bound, plain)


class Ctr:
    """Not authenticated: any record opens, to whatever it opens to. What is bound is ignored."""

    def __init__(self, key: bytes) -> None:
        self._key = algorithms.AES(key)

    def seal(self, nonce: bytes, plain: memoryview, bound: bytes, record: memoryview) -> None:
        # The last four bytes count blocks, so a chunk may have 2^36 bytes.
        Cipher(self._key, modes.CTR(nonce + bytes(4))).encryptor().update_into(plain, record)

    def open(self, nonce: bytes, record: memoryview, bound: bytes, plain: memoryview) -> None:
        self.seal(nonce, record, bound, plain)


def chunk_cipher(name: Name, key: bytes) -> ChunkCipher:
    return Gcm(key) if name == "gcm" else Ctr(key)
