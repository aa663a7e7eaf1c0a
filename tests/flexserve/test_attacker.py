"""Invariant 1: no memory that holds plaintext can be read from outside; an attacker process really tries."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from remeasure.errors import UserError
from remeasure.impls.flexserve.secure import cipher
from remeasure.impls.flexserve.secure.attacker import REFUSALS, attack
from remeasure.impls.flexserve.secure.pool import Pool
from remeasure.impls.flexserve.secure.reader import Shards, open_model
from remeasure.impls.flexserve.secure.shards import write_model

KEY = bytes(range(32))
WEIGHTS = np.random.default_rng(5).bytes(4096)
MARKER = WEIGHTS[1000:1032]
Load = Callable[[Shards, Pool], None]


def decrypt_into_the_pool(model: Shards, pool: Pool) -> None:
    model.decrypt(model.read(0, 0, len(WEIGHTS)), pool.view(0, len(WEIGHTS)))


def decrypt_before_protecting(model: Shards, pool: Pool) -> None:
    """The mutant: plaintext lies in ordinary memory first and is moved to safety afterwards."""
    ordinary = bytearray(len(WEIGHTS))
    model.decrypt(model.read(0, 0, len(WEIGHTS)), memoryview(ordinary))
    pool.view(0, len(WEIGHTS))[:] = ordinary


def attacked_while_decrypting(
    load: Load, pool: Pool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, object]]:
    """What the attacker gets of the memory that a chunk was just decrypted into, wherever that is."""
    write_model(folder, "m", 1, [WEIGHTS], KEY)
    seen: list[dict[str, dict[str, object]]] = []
    honest = cipher.Gcm.open

    def opened(self: cipher.Gcm, nonce: bytes, record: memoryview, bound: bytes, plain: memoryview) -> None:
        honest(self, nonce, record, bound, plain)
        assert plain == WEIGHTS
        address = np.frombuffer(plain, np.uint8).__array_interface__["data"][0]
        seen.append(attack(os.getpid(), address, len(plain), MARKER))

    monkeypatch.setattr(cipher.Gcm, "open", opened)
    with open_model(folder, "m", KEY) as model:
        load(model, pool)
    assert pool.view(0, len(WEIGHTS)) == WEIGHTS
    return seen[0]


def refused(result: dict[str, dict[str, object]]) -> bool:
    """Every way ended in the error that only secret memory gives."""
    return all(result[way] == {"outcome": error, "found": False} for way, error in REFUSALS.items())


def test_plaintext_in_the_pool_is_out_of_reach(secret, tmp_path, monkeypatch):
    assert refused(attacked_while_decrypting(decrypt_into_the_pool, secret, tmp_path, monkeypatch))


def test_the_check_catches_decryption_before_protection(secret, tmp_path, monkeypatch):
    assert not refused(attacked_while_decrypting(decrypt_before_protecting, secret, tmp_path, monkeypatch))


def test_the_check_catches_an_unprotected_pool(tmp_path, monkeypatch, attacker_may_try):
    pool = Pool(4096, "none")
    result = attacked_while_decrypting(decrypt_into_the_pool, pool, tmp_path, monkeypatch)
    assert result == {way: {"outcome": "read", "found": True} for way in REFUSALS}


def test_an_attack_on_nothing_is_an_error_and_finds_nothing(attacker_may_try):
    result = attack(os.getpid(), 4096, 16, MARKER)
    assert all(not way["found"] and way["outcome"] != "read" for way in result.values())


def test_memory_without_the_marker_is_read_and_not_called_found(attacker_may_try):
    pool = Pool(4096, "none")
    result = attack(os.getpid(), pool.address(), 4096, MARKER)
    assert result == {way: {"outcome": "read", "found": False} for way in REFUSALS}


@pytest.fixture
def attacker_may_try() -> None:
    """A refusal proves nothing where the attacker cannot read even ordinary memory (a container's ptrace rules)."""
    pool = Pool(4096, "none")
    pool.view(0, len(MARKER))[:] = MARKER
    control = attack(os.getpid(), pool.address(), 4096, MARKER)
    if not all(way["found"] for way in control.values()):
        pytest.skip(f"processes may not read each other here, so this attacker shows nothing: {control}")


@pytest.fixture
def secret(attacker_may_try: None):
    try:
        pool = Pool(4096)
    except UserError as error:
        pytest.skip(str(error))
    yield pool
    pool.close()
