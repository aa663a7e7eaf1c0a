"""The host server leaves no plaintext behind, and none can be read while there is some."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest
from flexserve.live_numbers import FLEX, PROTECTIONS, leaves_nothing, part_bytes
from flexserve.live_pages import NEW, PARTS, PATIENCE_S, PROMPT, Slow

from remeasure.impls.common import llama
from remeasure.impls.flexserve.real import resident
from remeasure.impls.flexserve.real.memory import Region
from remeasure.impls.flexserve.real.server import HostServer
from remeasure.impls.flexserve.secure.attacker import REFUSALS, attack

secret_only = pytest.mark.skipif("secret" not in PROTECTIONS, reason="this kernel has no secret memory")


@pytest.mark.parametrize("kept", [0, 2])
def test_release_zeroes_all_that_is_not_kept_and_keeps_a_prefix(serve, kept):
    server = serve(system=replace(FLEX, cache="cooperative"), cached_parts=kept)
    server.prefill(PROMPT)
    server.decode(NEW)
    server.release()
    assert leaves_nothing(server, range(kept))
    assert all(part_bytes(server, part).any() for part in range(kept))
    assert server.plaintext_bytes == sum(server._memory.nbytes[:kept])


def test_mutant_that_skips_zeroing_is_caught(serve, monkeypatch):
    server = serve()
    server.prefill(PROMPT)
    with monkeypatch.context() as patch:
        patch.setattr(Region, "zero", lambda self: None)
        server.release()
    assert not leaves_nothing(server)


def test_a_cold_pool_gives_every_page_back_and_a_warm_one_none(serve):
    for pool, owned in (("cold", 0), ("warm", PARTS)):
        server = serve(pool=pool)
        server.prefill(PROMPT)
        server.release()
        assert len(server._memory._regions) == owned


def test_plaintext_is_counted_as_weights_and_filled_kv(serve):
    server = serve()
    made = server.prefill(PROMPT)
    assert made.peak_plaintext_bytes == sum(server._memory.nbytes) + llama.KV.nbytes(llama.MICRO, len(PROMPT))


@secret_only
@pytest.mark.parametrize("protection", ["secret", "none"])
def test_weights_and_kv_cannot_be_read_from_another_process_unless_unprotected(serve, protection):
    server = serve(protection=protection)
    server.prefill(PROMPT)
    tensors = {name: server._memory.weights(1)[name] for name in ("q", "down")} | {"kv": server._kv.kv.keys}
    for tensor in tensors.values():
        marker = tensor.reshape(-1)[:8].numpy().tobytes()
        seen = attack(os.getpid(), tensor.data_ptr(), 64, marker)
        if protection == "secret":
            assert {way: tried["outcome"] for way, tried in seen.items()} == REFUSALS
        else:
            assert any(tried["found"] for tried in seen.values())


def early_access(server: HostServer, part: int) -> tuple[threading.Thread, list[bool]]:
    """A reader of a part that is being scrubbed; what it saw there when it got in: whether it was all zero."""
    seen: list[bool] = []

    def read() -> None:
        server._memory.claim(part)
        seen.append(not part_bytes(server, part).any())

    assert Slow.begun.wait(PATIENCE_S)
    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.05)  # long enough to get in, were the gate open
    return reader, seen


def test_early_access_to_a_claimed_part_blocks_until_it_is_scrubbed(serve, slow):
    server = serve()
    server.prefill(PROMPT)
    done = server.reclaim([1])
    reader, seen = early_access(server, 1)
    assert not seen and not done.done()
    Slow.allowed.set()
    reader.join(PATIENCE_S)
    done.result(PATIENCE_S)
    assert seen == [True]


def test_mutant_with_an_open_gate_is_caught_reading_weights(serve, slow, monkeypatch):
    monkeypatch.setattr(resident.Gate, "enter", lambda self, part: None)
    server = serve()
    server.prefill(PROMPT)
    done = server.reclaim([1])
    reader, seen = early_access(server, 1)
    reader.join(PATIENCE_S)
    assert seen == [False]
    Slow.allowed.set()
    done.result(PATIENCE_S)


def test_a_part_is_not_claimed_twice():
    gate = resident.Gate()
    gate.claim(1)
    with pytest.raises(ValueError, match="claimed already"):
        gate.claim(1)
