"""What the case `decryption` runs: the same bytes decrypted shard after shard, or one hot buffer again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from ..questions import Decryption

if TYPE_CHECKING:
    from ..secure.pool import Pool
    from ..secure.reader import Shards


def decrypted(config: Decryption) -> Callable[[], None]:
    """Reads the ciphertext; what is returned decrypts it."""
    shards, pool = _opened(config.model), _pool(config.model, config.into)
    if config.form == "hot buffer":
        return _hot(shards, pool)
    read = [shards.read(part, 0, nbytes) for part, nbytes in enumerate(shards.part_bytes) if nbytes]

    def run() -> None:
        offset = 0
        for ciphertext in read:
            shards.decrypt(ciphertext, pool.view(offset, ciphertext.nbytes))
            offset += ciphertext.nbytes

    return run


def _hot(shards: Shards, pool: Pool) -> Callable[[], None]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key, nonce = bytes(range(32)), bytes(12)
    size = shards.chunk_bytes
    sealed, out = AESGCM(key).encrypt(nonce, bytes(size), None), pool.view(0, size)
    times, cipher = -(-sum(shards.part_bytes) // size), AESGCM(key)

    def run() -> None:
        for _ in range(times):
            cipher.decrypt_into(nonce, sealed, None, out)

    return run


@lru_cache(maxsize=1)
def _opened(model: str) -> Shards:
    from ..real.models import HostRun
    from ..real.models import model as served
    from ..real.prepared import open_shards

    run = HostRun(model=model)
    parts = served(run).config.layers + 2
    opened = open_shards(run, served(run), buffers=parts)
    assert hasattr(opened, "decrypt")
    return opened  # type: ignore[return-value]


@lru_cache(maxsize=2)
def _pool(model: str, into: str) -> Pool:
    from ..secure.pool import Pool

    nbytes = sum(_opened(model).part_bytes) + (1 << 20)
    pool = Pool(nbytes, "secret" if into == "secret" else "none")
    pool.touch(0, nbytes)
    return pool
