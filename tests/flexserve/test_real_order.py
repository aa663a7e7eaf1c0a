"""Nothing is written, zeroed or given back while the ledger says otherwise; mutants show that the check sees it."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from flexserve.live_pages import FINE, MICRO, PATIENCE_S, POOLS, PROMPT, Slow, agrees, faults, states

from remeasure.errors import UserError
from remeasure.impls.common import llama
from remeasure.impls.flexserve.policy.pages import (
    MONITOR,
    Ledger,
    Refused,
    State,
)
from remeasure.impls.flexserve.real import resident
from remeasure.impls.flexserve.real.pages import KV_OWNER, LedgerPages, part_owner


@POOLS
@pytest.mark.parametrize("run", [MICRO, FINE], ids=["layers", "chunks"])
@pytest.mark.parametrize("crypto", ["software", "none"])
def test_plaintext_comes_after_fill_and_pages_go_after_scrub(root, run, pool, crypto):
    assert not faults(replace(run, pool=pool, system=replace(run.system, crypto=crypto)), root)


@pytest.mark.parametrize("crypto", ["software", "none"])
def test_the_check_catches_a_fill_after_the_plaintext(root, monkeypatch, crypto):
    def late(self, part, offset, nbytes):
        return self._memory.view(part, offset, nbytes)

    update = resident.ResidentParts.owned

    def owned(self, parts):
        for part in set(parts) & set(self._regions):
            self.fill(part, 0, self.nbytes[part])
        update(self, parts)

    monkeypatch.setattr(resident.Filled, "view", late)
    monkeypatch.setattr(resident.ResidentParts, "owned", owned)
    run = replace(MICRO, pool="cold", system=replace(MICRO.system, crypto=crypto))
    assert faults(run, root) == {"plaintext before fill"}


def test_the_check_catches_a_swap_in_before_fill(root, monkeypatch):
    fill = LedgerPages.fill

    def parts_only(self, owner, offset=0, nbytes=None):
        if owner != KV_OWNER:
            fill(self, owner, offset, nbytes)

    monkeypatch.setattr(LedgerPages, "fill", parts_only)
    assert faults(MICRO, root) == {"plaintext before fill"}


def test_the_check_catches_pages_mapped_again_when_they_are_claimed(root, monkeypatch):
    claim = Ledger.claim

    def hasty(self, extents):
        listed = list(extents)
        claim(self, listed)
        for extent in listed:
            for effects in self._effects:
                effects.remap(extent)

    monkeypatch.setattr(Ledger, "claim", hasty)
    monkeypatch.setattr(LedgerPages, "zero", lambda self, extent: None)  # nothing is left to zero
    again = LedgerPages.remap
    monkeypatch.setattr(
        LedgerPages,
        "remap",
        lambda self, extent: again(self, extent) if self._owners[extent] in self._regions else None,
    )
    assert faults(MICRO, root) == {"given back before it was scrubbed", "given back with something in it"}


def test_the_check_catches_pages_given_back_without_zeroing(root, monkeypatch):
    monkeypatch.setattr(LedgerPages, "zero", lambda self, extent: None)
    assert faults(MICRO, root) == {"given back with something in it"}


@pytest.mark.parametrize("step", ["scrub", "release", "claim"])
def test_a_step_out_of_turn_is_a_bug_and_changes_nothing(serve, step):
    server = serve(pool="cold")
    before = server.pages.counters()
    with pytest.raises(Refused):
        getattr(server._pages, step)(part_owner(1))
    assert server.pages.counters() == before
    assert not server._pages.lock.locked()
    assert not issubclass(Refused, UserError)


def test_a_refusal_in_the_midst_of_a_prefill_is_raised_as_it_is(serve, monkeypatch):
    server = serve()

    def refuse(self, extents):
        raise Refused("not its turn")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "fill", refuse)
        with pytest.raises(Refused):
            server.prefill(PROMPT)
    assert len(server.prefill(PROMPT).logits) == llama.MICRO.vocab and agrees(server)


def test_who_waits_for_pages_whose_scrubbing_failed_gets_an_error(serve, monkeypatch):
    server = serve()
    server.prefill(PROMPT)
    owner = part_owner(1)

    def broken(self, region_owner):
        raise Refused("not its turn")

    with monkeypatch.context() as patched:
        patched.setattr(LedgerPages, "scrub", broken)
        with pytest.raises(Refused):
            server.reclaim([1]).result(PATIENCE_S)
        with pytest.raises(RuntimeError, match="part 1 was claimed and could not be scrubbed"):
            server._memory.claim(1)
    assert states(server, owner) == {State.CLAIMED}
    server._memory._give_back(1)


def test_claimed_pages_block_the_kernel_and_the_reader_until_they_are_scrubbed(serve, slow):
    server = serve()
    server.prefill(PROMPT)
    owner = part_owner(1)
    page = server._pages.place(owner).start
    done = server.reclaim([1])
    assert states(server, owner) == {State.CLAIMED} and server.pages.owner(page) == MONITOR
    assert server.pages.access("normal", page) == "blocked"
    assert server.pages.access("secure", page) == "refused"
    assert Slow.begun.wait(PATIENCE_S)
    reader = threading.Thread(target=server._memory.claim, args=[1])
    reader.start()
    reader.join(0.05)  # long enough to get in, were the gate open
    assert reader.is_alive() and states(server, owner) == {State.CLAIMED}
    assert states(server, part_owner(2)) == {State.FLEX_PLAIN}
    with pytest.raises(Refused):  # the ledger keeps the pages even from who passes the gate
        server._pages.fill(owner)
    Slow.allowed.set()
    reader.join(PATIENCE_S)
    done.result(PATIENCE_S)
    assert states(server, owner) == {State.FLEX_EMPTY}


def test_the_ledger_is_free_for_others_while_pages_are_zeroed(serve, slow):
    server = serve()
    server.prefill(PROMPT)
    done = server.reclaim([1])
    assert Slow.begun.wait(PATIENCE_S)
    assert server._pages.lock.acquire(timeout=PATIENCE_S)
    server._pages.lock.release()
    Slow.allowed.set()
    done.result(PATIENCE_S)
    assert states(server, part_owner(1)) == {State.NW}
