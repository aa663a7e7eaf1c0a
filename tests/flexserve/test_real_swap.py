"""The KV cache of an idle sequence goes to an encrypted file and comes back bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from flexserve.live_pages import NEW, PARTS, POOLS, PROMPT, agrees, states

from remeasure.errors import UserError
from remeasure.impls.flexserve.policy.pages import (
    PAGE_BYTES,
    State,
)
from remeasure.impls.flexserve.real.pages import KV_OWNER, pages_of
from remeasure.impls.flexserve.real.server import HostServer
from remeasure.impls.flexserve.real.swap import SwapFile
from remeasure.impls.flexserve.secure.kvswap import KVSwap

# --- KV of an idle sequence ------------------------------------------------------------------------------------------


def swap_path(server: HostServer) -> Path:
    return server._kv._swap.path


@POOLS
def test_decoding_after_a_swap_is_bit_for_bit_as_if_there_had_been_none(serve, pool):
    stayed, swapped = serve(pool=pool), serve(pool=pool)
    assert torch.equal(stayed.prefill(PROMPT).logits, swapped.prefill(PROMPT).logits)
    expected = stayed.decode(NEW)
    logits, tokens = [], []
    for _ in range(NEW):
        swapped.swap_out()
        swapped.swap_in()
        made = swapped.decode(1)
        logits.append(made.logits)
        tokens += made.tokens
    assert tokens == expected.tokens
    assert torch.equal(torch.cat(logits), expected.logits)


def test_the_check_catches_a_swap_that_restores_the_wrong_page(serve, monkeypatch):
    server = serve()
    server.prefill(PROMPT)
    expected = server.decode(NEW).logits
    server.prefill(PROMPT)
    restore = KVSwap.restore

    def elsewhere(self, owner, page, out):
        restore(self, owner, page ^ 1 if page < 2 else page, out)

    monkeypatch.setattr(KVSwap, "restore", elsewhere)
    server.swap_out()
    server.swap_in()
    assert not torch.equal(server.decode(NEW).logits, expected)


def test_a_swapped_out_sequence_owns_no_page_and_has_nothing_readable_in_its_file(serve):
    server = serve()
    server.prefill(PROMPT)
    plain = bytes(server._kv.region.view())
    server.swap_out()
    assert states(server, KV_OWNER) == {State.NW}
    assert server._kv.region is None and server.plaintext_bytes == sum(server._memory.nbytes)
    path = swap_path(server)
    stored = path.read_bytes()
    assert len(stored) == (PAGE_BYTES + 16) * pages_of(len(plain))
    blocks = {plain[at : at + 16] for at in range(0, len(plain), 16)}
    assert len(blocks) > 100 and not any(block in stored for block in blocks)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    server.swap_in()
    assert states(server, KV_OWNER) == {State.FLEX_PLAIN} and bytes(server._kv.region.view()) == plain
    serve.close()
    assert not path.parent.exists()


@POOLS
@pytest.mark.parametrize("page", [0, -1])
def test_a_tampered_swap_file_is_refused_and_ends_the_sequence(serve, pool, page):
    server = serve(pool=pool)
    first = server.prefill(PROMPT)
    rest = server.decode(2)
    server.swap_out()
    stored = bytearray(swap_path(server).read_bytes())
    stored[page * (PAGE_BYTES + 16) + 20] ^= 1
    swap_path(server).write_bytes(stored)
    with pytest.raises(
        UserError, match=r"does not hold what was written; the session has to be prefilled again\.$"
    ):
        server.swap_in()
    if pool == "warm":
        assert not any(server._kv.region.view())
    assert states(server, KV_OWNER) == {State.FLEX_PLAIN if pool == "warm" else State.NW} and agrees(server)
    with pytest.raises(ValueError, match="no sequence is swapped out"):
        server.swap_in()
    with pytest.raises(ValueError, match="prefill comes before"):
        server.decode(1)
    assert server.resident == frozenset(range(PARTS))
    assert server.prefill(PROMPT).token == first.token
    assert server.decode(2).tokens == rest.tokens


def test_a_swap_file_that_cannot_be_written_leaves_the_sequence_in_memory(serve, monkeypatch):
    server = serve()
    server.prefill(PROMPT)
    expected = server.decode(2).tokens
    server.prefill(PROMPT)
    write = KVSwap.write_back

    def full(self, owner, page, plain):
        if page == 2:
            raise UserError("the disk is full.")
        write(self, owner, page, plain)

    with monkeypatch.context() as patched:
        patched.setattr(KVSwap, "write_back", full)
        with pytest.raises(UserError, match="disk is full"):
            server.swap_out()
    assert server._kv._swap._swap.pages == 0
    assert states(server, KV_OWNER) == {State.FLEX_PLAIN}
    assert server.decode(2).tokens == expected


def test_no_temporary_folder_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="TMPDIR"):
        SwapFile()


@pytest.mark.parametrize("ended_by", ["prefill", "release", "reclaim"])
def test_a_swapped_out_sequence_that_ends_is_forgotten(serve, ended_by):
    server = serve()
    server.prefill(PROMPT)
    server.swap_out()
    {
        "prefill": lambda: server.prefill(PROMPT),
        "release": server.release,
        "reclaim": lambda: server.reclaim([]),
    }[ended_by]()
    with pytest.raises(ValueError, match="no sequence is swapped out"):
        server.swap_in()
    assert server._kv._swap._swap.pages == 0


def test_swaps_out_of_turn_are_mistakes_of_the_caller(serve):
    server = serve()
    with pytest.raises(ValueError, match="in memory"):
        server.swap_out()
    server.prefill(PROMPT)
    with pytest.raises(ValueError, match="no sequence"):
        server.swap_in()
    server.swap_out()
    with pytest.raises(ValueError, match="in memory"):
        server.swap_out()
    with pytest.raises(ValueError, match="swap_in comes before"):
        server.decode(1)
    server.swap_in()
    assert len(server.decode(1).tokens) == 1
