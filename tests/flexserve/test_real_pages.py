"""The host runs the policy's page ledger: no byte is written, zeroed or given back while the ledger says otherwise."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.common import llama
from remeasure.impls.flexserve.policy.pages import (
    FLEX,
    MONITOR,
    NORMAL_WORLD,
    PAGE_BYTES,
    Ledger,
    Refused,
    State,
)
from remeasure.impls.flexserve.policy.runs import Extent
from remeasure.impls.flexserve.real import loading, resident
from remeasure.impls.flexserve.real.memory import Region
from remeasure.impls.flexserve.real.models import HostRun
from remeasure.impls.flexserve.real.pages import KV_OWNER, LedgerPages, pages_of, part_owner
from remeasure.impls.flexserve.real.server import HostServer
from remeasure.impls.flexserve.real.swap import SwapFile
from remeasure.impls.flexserve.secure.kvswap import KVSwap
from remeasure.impls.flexserve.secure.pool import memfd_secret
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold

PATIENCE_S = 20.0
PROMPT = [5, 17, 3, 90, 44, 8, 61]
NEW = 6
PARTS = llama.MICRO.layers + 2


def _protection() -> str:
    try:
        os.close(memfd_secret())
    except OSError:
        return "none"
    return "secret"


MICRO = HostRun(
    cold(FLEXSERVE),
    model="micro",
    prompt_tokens=24,
    new_tokens=NEW,
    protection=_protection(),  # type: ignore[arg-type]
)
FINE = replace(MICRO, system=replace(MICRO.system, granularity="64 KiB"))
POOLS = pytest.mark.parametrize("pool", ["warm", "cold"])


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def serve(root) -> Iterator[Callable[..., HostServer]]:
    """Makes servers that are closed after the test."""
    with ExitStack() as stack:

        def start(run: HostRun = MICRO, at: Path = root, **changes) -> HostServer:
            return stack.enter_context(HostServer(replace(run, **changes), at))

        start.close = stack.close  # type: ignore[attr-defined]
        yield start


def states(server: HostServer, owner: str) -> set[State]:
    """Of the pages that are an owner's, whoever has them now."""
    with server._pages.lock:
        return {state for _, state, _ in server.pages.pieces(server._pages.place(owner))}


def everything(server: HostServer) -> set[State]:
    return {state for _, state, _ in server.pages.pieces()}


def agrees(server: HostServer) -> bool:
    """Whether counters sum, each page is its range's owner's, and all plaintext lies in pages that may hold some."""
    ledger = server.pages
    owners = [*map(part_owner, range(PARTS)), KV_OWNER]
    return (
        sum(ledger.counters().values()) == ledger.total_pages
        and {owner for _, owner in ledger.counters()} <= {*owners, NORMAL_WORLD}
        and all(_owns_its_place_or_nothing(server, owner) for owner in owners)
        and ledger.count(State.FLEX_PLAIN) * PAGE_BYTES >= server.plaintext_bytes
        and all(states(server, part_owner(part)) == {State.FLEX_PLAIN} for part in server.resident)
    )


def _owns_its_place_or_nothing(server: HostServer, owner: str) -> bool:
    place = server._pages.place(owner)
    holders = {of for _, _, of in server.pages.pieces(place)}
    owned = server.pages.count(owner=owner)
    return (holders, owned) in (({owner}, place.pages), ({NORMAL_WORLD}, 0))


# --- states over a server's life -------------------------------------------------------------------------------------


@POOLS
def test_pages_go_from_the_kernel_to_plaintext_and_back(serve, pool):
    server = serve(pool=pool)
    sizes = [*server._memory.nbytes, server._kv.nbytes]
    assert server.pages.total_pages == sum(map(pages_of, sizes))
    assert everything(server) == {State.FLEX_EMPTY if pool == "warm" else State.NW}
    server.prefill(PROMPT)
    assert everything(server) == {State.FLEX_PLAIN} and agrees(server)
    server.decode(2)
    server.release()
    assert everything(server) == {State.FLEX_PLAIN if pool == "warm" else State.NW} and agrees(server)
    server.prefill(PROMPT)
    assert everything(server) == {State.FLEX_PLAIN} and agrees(server)
    serve.close()
    assert everything(server) == {State.NW} and server.pages.protected == 0


def test_release_of_a_cold_pool_keeps_the_kept_parts_and_no_other_page(serve):
    server = serve(pool="cold", system=replace(MICRO.system, cache="cooperative"), cached_parts=2)
    server.prefill(PROMPT)
    server.release()
    kept = sum(server._pages.place(part_owner(part)).pages for part in range(2))
    assert server.pages.count(State.FLEX_PLAIN) == kept == server.pages.protected
    assert agrees(server)


@pytest.mark.parametrize("system", [FLEXSERVE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE])
def test_every_protected_system_has_a_ledger_in_ordinary_memory_too(serve, system):
    server = serve(system=cold(system), protection="none")
    server.prefill(PROMPT)
    assert everything(server) == {State.FLEX_PLAIN} and agrees(server)
    assert "unprotected" in server.label


def test_the_unprotected_system_has_no_ledger_and_serves(serve):
    server = serve(system=NW_BASE)
    assert server.pages is None
    first = server.prefill(PROMPT)
    server.swap_out()
    server.swap_in()
    server.reclaim([1]).result(PATIENCE_S)
    assert server.prefill(PROMPT).token == first.token


@settings(max_examples=25)
@given(
    st.builds(
        lambda system, granularity, crypto, overlap, **rest: replace(
            MICRO,
            system=replace(
                cold(system), granularity=granularity, crypto=crypto, overlap=overlap, cache="cooperative"
            ),
            **rest,
        ),
        system=st.sampled_from([FLEXSERVE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE]),
        granularity=st.sampled_from(["layer", "64 KiB"]),
        crypto=st.sampled_from(["none", "software"]),
        overlap=st.booleans(),
        pool=st.sampled_from(["warm", "cold"]),
        cached_parts=st.integers(0, PARTS),
    ),
    st.lists(
        st.sampled_from(["prefill", "release", "reclaim", "reclaim 0", "out", "in", "decode"]), max_size=9
    ),
)
def test_whatever_is_done_the_ledger_agrees_with_what_really_happens(root, run, todo):
    with Watched(run, root) as watched:
        server = watched.server
        for what in todo:
            try:
                {
                    "prefill": lambda: server.prefill(PROMPT),
                    "release": server.release,
                    "reclaim": lambda: server.reclaim(range(PARTS)).result(PATIENCE_S),
                    "reclaim 0": lambda: server.reclaim([0]).result(PATIENCE_S),
                    "out": server.swap_out,
                    "in": server.swap_in,
                    "decode": lambda: server.decode(1),
                }[what]()
            except ValueError as error:  # out of turn
                assert what in ("out", "in", "decode"), error
            assert agrees(server)
    assert not watched.faults
    assert everything(server) == {State.NW}


# --- order of ledger and deed, and its mutants -----------------------------------------------------------------------


class Watched:
    """A server whose every write, zeroing and unmapping is held against its ledger, just when it happens."""

    def __init__(self, run: HostRun, root: Path) -> None:
        self.faults: set[str] = set()
        self._run, self._root = run, root

    def __enter__(self) -> Watched:
        self._patch = pytest.MonkeyPatch()
        read, decrypt, zero, close = loading.Loader.load, loading.Loader.decrypt, Region.zero, Region.close
        restore = KVSwap.restore

        def loads(loader, op):
            if not isinstance(loader._shards, loading.Shards):
                self._writes_through(loader, op)
            read(loader, op)

        def decrypts(loader, op):
            self._writes_through(loader, op)
            decrypt(loader, op)

        def restores(swap, owner, page, out):
            self._allow({State.FLEX_PLAIN}, "plaintext before fill", self._place(owner))
            restore(swap, owner, page, out)

        def zeroes(region):
            self._allow(FLEX | {State.CLAIMED}, "foreign pages zeroed", self._of(region))
            zero(region)

        def closes(region):
            self._allow({State.SCRUBBED}, "given back before it was scrubbed", self._of(region))
            if any(region.view()):
                self.faults.add("given back with something in it")
            close(region)

        for owner, name, replacement in (
            (loading.Loader, "load", loads),
            (loading.Loader, "decrypt", decrypts),
            (KVSwap, "restore", restores),
            (Region, "zero", zeroes),
            (Region, "close", closes),
        ):
            self._patch.setattr(owner, name, replacement)
        self.server = HostServer(self._run, self._root)
        return self

    def __exit__(self, *error: object) -> None:
        self.server.close()
        self._patch.undo()

    def _writes_through(self, loader, op) -> None:
        """Let the loader see memory that checks the ledger at the moment a piece is handed to the storage."""
        to, watched = loader._to, self

        class Through:
            def view(self, part, offset, nbytes):
                view = to.view(part, offset, nbytes)
                start = watched._place(part_owner(part)).start + offset // PAGE_BYTES
                piece = Extent(start, pages_of(nbytes))
                watched._allow({State.FLEX_PLAIN}, "plaintext before fill", piece)
                return view

        if type(to).__name__ != "Through":
            loader._to = Through()

    def _place(self, owner: str) -> Extent:
        return self.server._pages.place(owner)

    def _of(self, region: Region) -> Extent:
        (owner,) = (name for name, held in self.server._pages._regions.items() if held is region)
        return self._place(owner)

    def _allow(self, allowed, fault: str, extent: Extent) -> None:
        with self.server._pages.lock:
            if any(state not in allowed for _, state, _ in self.server.pages.pieces(extent)):
                self.faults.add(fault)


def faults(run: HostRun, root: Path) -> set[str]:
    """What a life with every way of taking and giving pages does wrong."""
    with Watched(run, root) as watched:
        server = watched.server
        server.prefill(PROMPT)
        server.swap_out()
        server.swap_in()
        server.decode(1)
        server.reclaim([1]).result(PATIENCE_S)
        server.prefill(PROMPT)
        server.release()
    return watched.faults


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


# --- failed decryption ------------------------------------------------------------------------------------------------


@POOLS
@pytest.mark.parametrize("run", [MICRO, FINE], ids=["layers", "chunks"])
def test_after_a_tampered_part_pages_count_as_plaintext_or_went_back(serve, tmp_path, pool, run):
    server = serve(run, at=tmp_path, pool=pool)
    (path,) = tmp_path.glob("*/part-00002-*.bin")
    content = bytearray(path.read_bytes())
    content[3] ^= 0x20
    path.write_bytes(content)
    with pytest.raises(UserError, match="part-00002"):
        server.prefill(PROMPT)
    if pool == "cold":
        assert everything(server) == {State.NW}
    else:
        assert everything(server) <= {State.FLEX_EMPTY, State.FLEX_PLAIN}
        assert states(server, part_owner(1)) == {State.FLEX_PLAIN} == states(server, KV_OWNER)
        assert State.FLEX_PLAIN in states(server, part_owner(2))
        assert not any(any(server._memory.view(part, 0, n)) for part, n in enumerate(server._memory.nbytes))
    assert agrees(server)
    serve.close()
    assert everything(server) == {State.NW}


# --- reclaim and early access -----------------------------------------------------------------------------------------


class Slow(Region):
    """Memory whose scrubbing waits to be allowed."""

    allowed = threading.Event()
    begun = threading.Event()

    def zero(self) -> None:
        Slow.begun.set()
        assert Slow.allowed.wait(PATIENCE_S)
        super().zero()


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(resident, "Region", Slow)
    Slow.allowed.clear()
    Slow.begun.clear()
    yield
    Slow.allowed.set()


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
